import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { client } from "../../engine/client/client.ts";
import { overHttp } from "../../engine/client/over-http.ts";
import { overKafka } from "../../engine/client/over-kafka.ts";
import type { Transport } from "../../engine/client/transport.ts";
import { view } from "../../engine/client/view.ts";
import type { AccountRejection } from "../../processors/aggregates/account.ts";
import { accountClient } from "../../schemas/client.ts";
import { topics } from "../../topics/catalog.ts";
import { readPage } from "../docs/markdown.ts";
import { until } from "../until.ts";
import { openRealBank, type RealBank } from "./real-bank.ts";

interface Balance {
  readonly account_id: string;
  readonly balance_cents: number;
  readonly version: number;
}

function bankOver(transport: Transport) {
  return client(transport, {
    aggregates: { account: accountClient<AccountRejection> },
    views: { balances: view<Balance> },
  });
}

describe.each(["HTTP", "Kafka"] as const)("the client over %s, on the real stack", (over) => {
  let real: RealBank;
  let transport: Transport;

  beforeAll(async () => {
    real = await openRealBank();
    const { application, config, url } = real;
    transport = over === "HTTP" ? overHttp(url) : await overKafka(application, config);
  });

  afterAll(async () => {
    await transport.close();
    await real.close();
  });

  test("reads what it has just written: a row, a list, a state, events", async () => {
    const bank = bankOver(transport);
    const accountId = "a/da\n🏦";
    await bank.account.openAccount({ accountId, owner: "Ada" });
    for (let i = 1; i <= 5; i++) {
      const answer = await bank.account.depositFunds({ accountId, amountCents: 100 });
      expect(answer).toMatchObject({ kind: "accepted", version: i + 1 });
      const row = await bank.views.balances.get(accountId);
      expect(row).toMatchObject({ balance_cents: 100 * i, version: i + 1 });
    }
    await bank.account.openAccount({ accountId: "grace", owner: "Grace" });
    const { rows } = await bank.views.balances.list({ sort: "-balance_cents" });
    expect(rows.map((row) => row.account_id)).toEqual([accountId, "grace"]);
    const some = await bank.views.balances.list({ where: { balance_cents: { gt: 100 } } });
    expect(some.rows).toHaveLength(1);
    const state = await bank.account.state(accountId);
    expect(state).toMatchObject({ version: 6, state: { owner: "Ada", balanceCents: 500 } });
    expect((await bank.account.state(accountId, { version: 2 }))?.state.balanceCents).toBe(100);
    const { events, next } = await bank.account.events(accountId, { limit: 2 });
    expect(events).toMatchObject([
      { version: 1, type: "AccountOpened", data: { owner: "Ada" } },
      { version: 2, type: "FundsDeposited", data: { amountCents: 100 } },
    ]);
    expect(next).toBe(2);
  });

  test("hears the business, and finds nothing where there is nothing", async () => {
    const bank = bankOver(transport);
    const withdrawal = { accountId: "nobody", amountCents: 1 };
    expect(await bank.account.withdrawFunds(withdrawal)).toMatchObject({
      kind: "rejected",
      reason: "NotOpen",
    });
    expect(await bank.account.state("nobody")).toBeNull();
    expect(await bank.views.balances.get("nobody")).toBeNull();
  });

  test("learns a pending answer by its status", async () => {
    const bank = bankOver(transport);
    const hasty = bankOver(unheard(transport));
    const fields = { accountId: "alan", owner: "Alan" };
    const answer = await hasty.account.openAccount(fields);
    expect(answer).toMatchObject({ kind: "accepted", version: 1, duplicate: null });
    expect(await bank.views.balances.get("alan", { token: tokenIn(answer) })).not.toBeNull();
  });
});

/** The answer to a command comes too late: the gateway says where to ask for it. */
function unheard(transport: Transport): Transport {
  return {
    ...transport,
    async exchange(request, signal) {
      const response = await transport.exchange(request, signal);
      if (request.method === "GET") return response;
      const { commandId, aggregateId, token } = JSON.parse(response.text) as Record<string, string>;
      const [said = ""] = (token ?? "").split(".");
      const place = JSON.parse(Buffer.from(said, "base64url").toString()) as readonly unknown[];
      const at = `${String(place[3])}-${String(place[4])}`;
      const status = `/commands/${commandId ?? ""}?aggregate=account&aggregateId=${aggregateId ?? ""}&at=${at}`;
      const body = { outcome: "pending", commandId, aggregateId, status };
      return { status: 202, retryAfter: "1", text: JSON.stringify(body) };
    },
  };
}

function tokenIn(answer: object): string {
  return "token" in answer ? String(answer.token) : "";
}

describe("the examples, as their pages say", () => {
  const root = join(import.meta.dirname, "../..");
  let real: RealBank;

  beforeAll(async () => {
    real = await openRealBank(topics.account);
  });

  afterAll(async () => {
    await real.close();
  });

  /** The commands of a page; the addresses come from this test. */
  function commandsOf(file: string): readonly string[] {
    const { fences } = readPage({ file, text: readFileSync(join(root, file), "utf8") });
    return fences
      .filter(({ language }) => language === "sh")
      .flatMap(({ text }) => text.split("\n"))
      .filter((line) => line.startsWith("npx node "));
  }

  const environment = () => ({ PATH: process.env["PATH"], ...real.env });

  test("the script pays, over HTTP and straight to Kafka, and refuses what is no payment", async () => {
    const commands = commandsOf("examples/script/README.md");
    const outputs: string[] = [];
    for (const command of commands) {
      const args = command.split(" ").slice(2);
      const ended = await promisify(execFile)(process.execPath, args, {
        cwd: root,
        env: environment(),
      }).catch((error: unknown) => error as { readonly stdout: string; readonly stderr: string });
      outputs.push(`${ended.stdout}${ended.stderr}`);
    }
    expect(outputs[0]).toMatch(/^accepted: ada holds \{[^}]*balance_cents: 500/);
    expect(outputs[1]).toMatch(/^accepted: ada holds \{[^}]*balance_cents: 1000/);
    expect(outputs[2]).toMatch(/amountCents/);
    expect(outputs).toHaveLength(3);
  });

  test("the page is served with all that it imports, and reaches the gateway by its own origin", async () => {
    const [command = ""] = commandsOf("examples/web/README.md");
    const [file = ""] = command.split(" ").slice(2);
    const server = spawn(process.execPath, [file, "0"], { cwd: root, env: environment() });
    try {
      const origin = await addressOf(server);
      expect(await (await fetch(origin)).text()).toContain('src="page.js"');
      const seen = await importsFrom(new URL("page.js", origin));
      expect(seen).toContain("/schemas/client.ts");
      expect(seen.size).toBeGreaterThan(10);
      const bank = bankOver(overHttp(new URL("api", origin)));
      const answer = await bank.account.openAccount({ accountId: "web", owner: "Web" });
      expect(answer.kind).toBe("accepted");
      expect(await bank.views.balances.get("web")).toMatchObject({ balance_cents: 0 });
      for (const path of ["/package.json", "/engine/config.ts", "/engine/client/../config.ts"]) {
        expect((await fetch(new URL(path, origin))).status).toBe(404);
      }
    } finally {
      server.kill("SIGKILL");
      await once(server, "close");
    }
  });
});

async function addressOf(server: ChildProcess): Promise<string> {
  let output = "";
  server.stdout?.setEncoding("utf8").on("data", (text: string) => (output += text));
  return until("the server's address", () => /^(http:\S+)/m.exec(output)?.[1] ?? null);
}

/** What a browser would load: each module is JavaScript, and is there. */
async function importsFrom(first: URL, seen = new Set<string>()): Promise<ReadonlySet<string>> {
  if (seen.has(first.pathname)) return seen;
  seen.add(first.pathname);
  const response = await fetch(first);
  expect([first.pathname, response.status]).toEqual([first.pathname, 200]);
  expect(response.headers.get("content-type")).toMatch("text/javascript");
  const text = await response.text();
  for (const [, path = ""] of text.matchAll(/\bfrom\s+"(\.[^"]+)"/g)) {
    await importsFrom(new URL(path, first), seen);
  }
  return seen;
}
