import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, expectTypeOf, test } from "vitest";
import { accountClient } from "../../schemas/client.ts";
import { client } from "./client.ts";
import { ClientError } from "./client-error.ts";
import { overHttp } from "./over-http.ts";
import { view } from "./view.ts";

/** What a client reads, and which tokens it hands in, told by a `fetch` that is a function. */

interface Balance {
  readonly account_id: string;
  readonly balance_cents: number;
}

const rows: Readonly<Record<string, object>> = {
  "/views/balances/ada": { account_id: "ada", balance_cents: 500 },
  "/aggregates/account/ada": { version: 2, time: "2026-01-01T00:00:00.000Z", state: {} },
};

function bankWith(change: (url: URL) => Response | null = () => null) {
  const asked: string[] = [];
  let version = 0;
  const answer = (url: URL, init: RequestInit): Response => {
    const changed = change(url);
    if (changed !== null) return changed;
    if (init.method === "POST") {
      const { accountId, commandId } = JSON.parse(init.body as string) as Record<string, string>;
      version += 1;
      const token = `${accountId ?? ""}.${version}`;
      const about = { aggregateId: accountId, commandId, version, token };
      return Response.json({ outcome: "accepted", duplicate: false, ...about });
    }
    if (url.pathname === "/views/balances") return Response.json({ rows: [], next: null });
    const row = rows[url.pathname];
    if (row !== undefined) return Response.json(row);
    return Response.json({ code: "NOT_FOUND", detail: "There is none." }, { status: 404 });
  };
  const transport = overHttp("http://bank.example", {
    fetch: async (address, init) => {
      const url = new URL(address);
      const token = url.searchParams.get("token");
      url.searchParams.delete("token");
      url.searchParams.delete("waitMs");
      const path = decodeURIComponent(`${url.pathname}${url.search}`);
      if (init.method === "GET") asked.push(token === null ? path : `${path} with ${token}`);
      return answer(url, init);
    },
  });
  const served = {
    aggregates: { account: accountClient },
    views: { balances: view<Balance>, nowhere: view },
  };
  const bank = client(transport, served);
  const write = async (accountId: string) => bank.account.closeAccount({ accountId });
  return { bank, asked, write };
}

describe("a client reads its own writes", () => {
  test("a row by the token of the aggregate that its key names, each time: a view may go back", async () => {
    const { bank, asked, write } = bankWith();
    await write("grace");
    await write("ada");
    await write("ada");
    const row = await bank.views.balances.get("ada");
    expectTypeOf(row).toEqualTypeOf<Balance | null>();
    expect(row).toEqual({ account_id: "ada", balance_cents: 500 });
    await bank.views.balances.get("ada");
    expect(asked).toEqual(["/views/balances/ada with ada.3", "/views/balances/ada with ada.3"]);
    await write("ada");
    await bank.views.balances.get("ada");
    expect(asked.at(-1)).toBe("/views/balances/ada with ada.4");
  });

  test("a list by every token that the view is not known to have, and by the newest", async () => {
    const { bank, asked, write } = bankWith();
    for (const id of ["ada", "grace", "alan"]) await write(id);
    await bank.views.balances.list({ sort: "-balance_cents" });
    expect(asked.toSorted()).toEqual([
      "/views/balances?limit=1 with ada.1",
      "/views/balances?limit=1 with grace.2",
      "/views/balances?sort=-balance_cents with alan.3",
    ]);
    await bank.views.balances.list();
    expect(asked.slice(3)).toEqual(["/views/balances with alan.3"]);
  });

  test("a state and events by the token of their aggregate", async () => {
    const { bank, asked, write } = bankWith();
    await write("ada");
    await bank.account.state("ada", { version: 2 });
    await bank.account.events("grace", { after: 3, limit: 4 });
    expect(asked).toEqual([
      "/aggregates/account/ada?version=2 with ada.1",
      "/aggregates/account/grace/events?after=3&limit=4",
    ]);
  });

  test("but with a token of another's, or with none, where that is said", async () => {
    const { bank, asked, write } = bankWith();
    await write("ada");
    await bank.views.balances.get("ada", { token: "another" });
    await bank.views.balances.get("ada", { token: null });
    await bank.account.state("ada", { token: null });
    expect(asked).toEqual([
      "/views/balances/ada with another",
      "/views/balances/ada",
      "/aggregates/account/ada",
    ]);
  });

  test("of the thousand aggregates that it wrote last", async () => {
    const { bank, asked, write } = bankWith();
    for (let i = 0; i <= 1_000; i++) await write(`a-${i}`);
    await bank.account.state("a-0");
    await bank.account.state("a-1");
    expect(asked).toEqual(["/aggregates/account/a-0", "/aggregates/account/a-1 with a-1.2"]);
  });

  test("by the newest token, though the answer to an older command comes last", async () => {
    const { bank, asked } = bankWith((url) => {
      if (!url.pathname.startsWith("/commands")) return null;
      const version = url.pathname.endsWith("OpenAccount") ? 1 : 2;
      const about = { aggregateId: "ada", commandId: "c", version, token: `ada.${version}` };
      return Response.json({ outcome: "accepted", duplicate: version === 1, ...about });
    });
    const fields = { accountId: "ada", commandId: "c" };
    await bank.account.closeAccount(fields);
    await bank.account.openAccount({ ...fields, owner: "Ada" });
    await bank.account.state("ada");
    expect(asked).toEqual(["/aggregates/account/ada with ada.2"]);
  });

  test("and forgets a token that the server does not know, so that the next read is answered", async () => {
    let isOther = true;
    const { bank, asked, write } = bankWith((url) => {
      if (!url.pathname.startsWith("/views") || !isOther) return null;
      isOther = false;
      return Response.json({ code: "INVALID_TOKEN", detail: "Another era." }, { status: 400 });
    });
    await write("ada");
    await expect(bank.views.balances.get("ada")).rejects.toMatchObject({ code: "INVALID_TOKEN" });
    await bank.views.balances.get("ada");
    expect(asked).toEqual(["/views/balances/ada with ada.1", "/views/balances/ada"]);
  });
});

describe("what is not there", () => {
  test("is null for a row and a state, and an empty page of events", async () => {
    const { bank } = bankWith();
    expect(await bank.views.balances.get("nobody")).toBeNull();
    expect(await bank.account.state("nobody")).toBeNull();
    expect(await bank.account.events("nobody")).toEqual({ events: [], next: null });
  });

  test("is an error for a view", async () => {
    const { bank } = bankWith();
    await expect(bank.views.nowhere.get("ada")).rejects.toMatchObject({ code: "NOT_FOUND" });
    await expect(bank.views.nowhere.list()).rejects.toMatchObject({ code: "NOT_FOUND" });
  });
});

describe("a view", () => {
  test("takes filters, ranges, keys of several parts and any characters", async () => {
    const { bank, asked } = bankWith();
    const from = new Date("2026-01-01T00:00:00Z");
    const { nowhere } = bank.views;
    await nowhere.list({ where: { a: "x&y", b: { gte: 1n, lt: from } } }).catch(() => null);
    await nowhere.get(["a/b", 7, true], { token: null }).catch(() => null);
    expect(asked.slice(0, 2)).toEqual([
      "/views/nowhere?a=x&y&b.gte=1&b.lt=2026-01-01T00:00:00.000Z",
      "/views/nowhere/a/b/7/true",
    ]);
  });

  test("is read to its end, page after page", async () => {
    const { bank, asked } = bankWith((url) => {
      const after = url.searchParams.get("after");
      const page = after === null ? [1, 2] : [3];
      return Response.json({ rows: page.map((n) => ({ n })), next: after === null ? "c" : null });
    });
    const found: unknown[] = [];
    for await (const row of bank.views.nowhere.all({ limit: 2 })) found.push(row);
    expect(found).toEqual([{ n: 1 }, { n: 2 }, { n: 3 }]);
    expect(asked).toEqual(["/views/nowhere?limit=2", "/views/nowhere?limit=2&after=c"]);
  });

  test("gives an integer that no number holds as a bigint, with every digit", async () => {
    const { bank } = bankWith(
      () => new Response('{"rows":[{"n":9223372036854775807,"x":1e300,"m":-5}],"next":null}'),
    );
    const { rows: found } = await bank.views.nowhere.list();
    expect(found).toEqual([{ n: 9223372036854775807n, x: 1e300, m: -5 }]);
  });

  test.each([".", ".."])("refuses the key %j, which an address cannot hold", async (key) => {
    const { bank, asked } = bankWith();
    await expect(bank.views.balances.get(key)).rejects.toMatchObject({ code: "BAD_CALL" });
    expect(asked).toEqual([]);
  });
});

describe("the client over HTTP", () => {
  test.each(["ftp://bank.example", "bank.example:80", "http://bank.example/?a=1", ""])(
    "refuses the address %j and says what one looks like",
    (address) => {
      expect(() => overHttp(address)).toThrow(ClientError);
      expect(() => overHttp(address)).toThrow("for example http://127.0.0.1:8080");
    },
  );

  test("keeps the path of its address, for a gateway behind a proxy", async () => {
    const asked: string[] = [];
    const transport = overHttp("https://example.org/bank/", {
      fetch: async (url) => {
        asked.push(url);
        return Response.json({ rows: [], next: null });
      },
    });
    await client(transport, { views: { balances: view } }).views.balances.list();
    expect(asked).toEqual(["https://example.org/bank/views/balances"]);
  });

  test("needs nothing of Node, no package, and of the engine its clock and its back-off", () => {
    const root = join(import.meta.dirname, "..");
    const seen = new Set<string>();
    const follow = (file: string) => {
      if (seen.has(file)) return;
      seen.add(file);
      expect(existsSync(file), file).toBe(true);
      const text = readFileSync(file, "utf8");
      for (const [, path = ""] of text.matchAll(
        /^(?:import|export) (?!type)[^;]*?from "([^"]+)"/gm,
      )) {
        expect(path, `${file} imports ${path}`).toMatch(/^\./);
        follow(join(dirname(file), path));
      }
      expect(text).not.toMatch(/\bBuffer\b|\bprocess\.|node:/);
    };
    follow(join(root, "client", "index.ts"));
    const outside = [...seen].filter((file) => !file.startsWith(join(root, "client")));
    expect(outside.map((file) => file.slice(root.length + 1)).sort()).toEqual([
      "backoff.ts",
      "clock.ts",
    ]);
  });
});
