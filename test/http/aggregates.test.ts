import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { FatalError } from "../../engine/errors.ts";
import type { OutRecord, Reader } from "../../engine/log.ts";
import { headers } from "../../engine/message.ts";
import { openServedBank, type ServedBank } from "./served-bank.ts";

let bank: ServedBank;

beforeAll(async () => {
  bank = await openServedBank();
});

afterAll(async () => bank.close());

const path = (id: string) => `/aggregates/account/${encodeURIComponent(id)}`;

/** An account and so many deposits of 1. */
function life(id: string, deposits: number): OutRecord[] {
  const movements = Array.from({ length: deposits }, (_, i) =>
    bank.command("DepositFunds", id, `${id}-${i + 2}`, { amountCents: 1 }),
  );
  return [bank.command("OpenAccount", id, `${id}-1`, { owner: "Ada" }), ...movements];
}

describe("the state of an aggregate", () => {
  beforeAll(async () => {
    await bank.send(...life("ada", 3), ...life("bob", 2));
  });

  test("is what its events make of it, at its version", async () => {
    const { status, body } = await bank.get(path("ada"));
    expect(status).toBe(200);
    expect(body).toMatchObject({
      aggregate: "account",
      id: "ada",
      version: 4,
      state: { status: "open", owner: "Ada", balanceCents: 3 },
    });
    expect(new Date(String(body["time"])).toISOString()).toBe(body["time"]);
  });

  test("can be had after each of its events", async () => {
    for (const version of [1, 2, 3, 4]) {
      const { body } = await bank.get(`${path("ada")}?version=${version}`);
      expect(body).toMatchObject({ version, state: { balanceCents: version - 1 } });
    }
  });

  test("can be had as of an instant, whose event counts", async () => {
    const { body: third } = await bank.get(`${path("ada")}?version=3`);
    const at = encodeURIComponent(String(third["time"]));
    const { body } = await bank.get(`${path("ada")}?at=${at}`);
    expect(body["time"]).toBe(third["time"]);
    const { body: later } = await bank.get(`${path("ada")}?at=2100-01-01T00:00:00+01:00`);
    expect(later["version"]).toBe(4);
  });

  test("is nothing before its first event, after its last, or where there is none", async () => {
    const before = await bank.get(`${path("ada")}?at=2000-01-01T00:00Z`);
    expect(before).toMatchObject({ status: 404, body: { code: "NOT_FOUND", latest: 4 } });
    expect(before.body["detail"]).toContain("no event by 2000-01-01T00:00:00.000Z");
    const after = await bank.get(`${path("ada")}?version=5`);
    expect(after).toMatchObject({ status: 404, body: { latest: 4 } });
    const none = await bank.get(path("nobody"));
    expect(none.status).toBe(404);
    expect(none.body["detail"]).toContain('There is no event of account "nobody"');
  });

  test("of an aggregate that there is not names those that there are", async () => {
    for (const name of ["card", "__proto__", "Account"]) {
      const { status, body } = await bank.get(`/aggregates/${name}/ada`);
      expect(status).toBe(404);
      expect(body["detail"]).toContain("The aggregates are account.");
    }
  });

  test("shows its reader what the reader has written", { timeout: 60_000 }, async () => {
    for (let round = 0; round < 10; round++) {
      const id = `written-${round}`;
      const producer = await bank.log.openProducer();
      const [offset = 0n] = await producer.send(life(id, 0));
      await producer.close();
      const token = bank.token(id, offset, 1);
      const { status, body } = await bank.get(`${path(id)}?token=${token}&waitMs=30000`);
      expect(status, JSON.stringify(body)).toBe(200);
      expect(body["version"]).toBe(1);
    }
  });

  test("is refused where the index has not come as far as the token", async () => {
    const ahead = bank.token("ada", 2n ** 40n, 1);
    const { status, body } = await bank.get(`${path("ada")}?token=${ahead}&waitMs=0`);
    expect({ status, code: body["code"] }).toEqual({ status: 409, code: "BEHIND" });
  });

  test.each([
    ["?version=0", "query version"],
    ["?version=-1", "query version"],
    ["?version=1.5", "query version"],
    ["?version=99999999999999999999", "query version"],
    ["?version=", "query version"],
    ["?at=yesterday", "query at"],
    ["?at=2020-01-01", "query at"],
    ["?at=2020-13-01T00:00:00Z", "query at"],
    ["?at=2020-01-01T00:00:00", "query at"],
    ["?at=2020-01-01T00:00:00Z&version=1", "query at"],
    ["?version=1&version=2", "query version"],
    ["?verzion=1", "query verzion"],
    ["?waitMs=-1", "query waitMs"],
    ["/events?after=-1", "query after"],
    ["/events?after=x", "query after"],
    ["/events?limit=0", "query limit"],
    ["/events?limit=501", "query limit"],
    ["/events?version=1", "query version"],
  ])("refuses %s and names what is wrong", async (query, field) => {
    const { status, body } = await bank.get(`${path("ada")}${query}`);
    expect(status).toBe(400);
    expect(body).toMatchObject({ code: "INVALID_REQUEST", errors: [{ field }] });
  });

  test("refuses a token that is none", async () => {
    const { body } = await bank.get(`${path("ada")}?token=abc`);
    expect(body["code"]).toBe("INVALID_TOKEN");
  });
});

describe("the events of an aggregate", () => {
  test("come in pages that hold each of them once, as the log has them", async () => {
    const commands = life("cyd", 11);
    await bank.send(...life("dan", 3), ...commands, ...life("eve", 3));
    const seen: unknown[] = [];
    for (let after: number | null = 0; after !== null;) {
      const { body } = await bank.get(`${path("cyd")}/events?limit=5&after=${after}`);
      seen.push(...(body["events"] as unknown[]));
      after = body["next"] as number | null;
    }
    expect(seen).toMatchObject(
      commands.map((_, i) => ({
        version: i + 1,
        type: i === 0 ? "AccountOpened" : "FundsDeposited",
        commandId: `cyd-${i + 1}`,
        data: i === 0 ? { owner: "Ada" } : { amountCents: 1, reference: null },
      })),
    );
  });

  test("say who asked and what for, where that is known", async () => {
    const [open, plain] = life("fay", 1) as [OutRecord, OutRecord];
    const said: OutRecord["headers"] = [
      [headers.correlationId, "order-7"],
      [headers.causationId, "step-3"],
      [headers.actor, "clerk"],
    ];
    await bank.send({ ...open, headers: said }, plain);
    const { body } = await bank.get(`${path("fay")}/events`);
    const [first, second] = body["events"] as [object, object];
    expect(first).toMatchObject({
      correlationId: "order-7",
      causationId: "step-3",
      actor: "clerk",
    });
    expect(Object.keys(second)).toEqual(["version", "type", "time", "commandId", "data"]);
  });

  test("end with an empty page, but there are none of an aggregate that there is not", async () => {
    const { body } = await bank.get(`${path("ada")}/events?after=4`);
    expect(body).toEqual({ events: [], next: null });
    expect((await bank.get(`${path("nobody")}/events`)).status).toBe(404);
  });
});

describe("an id", () => {
  const strange = [
    "with/slash",
    "/",
    "../ada",
    "line\nbreak",
    "🏦 bank",
    "__proto__",
    "events",
    "100%",
    "%41",
    "a b+c?d=e#f&g",
    "'; drop table accounts; --",
    'quo"te',
    "ada/1",
    "é".repeat(126),
  ];

  test("is whatever it is", { timeout: 60_000 }, async () => {
    await bank.send(...strange.flatMap((id) => life(id, 1)));
    for (const id of strange) {
      const { status, body } = await bank.get(path(id));
      expect(status, id).toBe(200);
      expect(body).toMatchObject({ id, version: 2, state: { balanceCents: 1 } });
      const { body: page } = await bank.get(`${path(id)}/events`);
      expect(page["events"], id).toHaveLength(2);
    }
  });

  test.each([
    ["too long", "x".repeat(256)],
    ["of a character that Postgres cannot hold", "a\0b"],
    ["of no character", ""],
  ])("%s is refused", async (_, id) => {
    const { status, body } = await bank.get(`${path(id)}/events`);
    expect(status).toBe(400);
    expect(body).toMatchObject({ errors: [{ field: "path id" }] });
  });

  test("that is not percent-encoded UTF-8 is refused", async () => {
    expect((await bank.get("/aggregates/account/%ff")).status).toBe(400);
  });
});

describe("an aggregate of many events", () => {
  test("is folded to its end, wherever they stand", { timeout: 120_000 }, async () => {
    const [opened, ...deposits] = life("hot", 5_000) as [OutRecord, ...OutRecord[]];
    await bank.send(opened);
    // Between them, here and there, those of others on the same partition and on others.
    const mixed = deposits.flatMap((it, i) =>
      i % 100 === 0 ? [it, ...life(`between-${i}`, 10)] : [it],
    );
    await bank.send(...mixed);
    const { body } = await bank.get(path("hot"));
    expect(body).toMatchObject({ version: 5_001, state: { balanceCents: 5_000 } });

    await bank.send(bank.command("DepositFunds", "hot", "one-more", { amountCents: 5 }));
    expect((await bank.get(path("hot"))).body).toMatchObject({ state: { balanceCents: 5_005 } });
    const { body: earlier } = await bank.get(`${path("hot")}?version=2500`);
    expect(earlier).toMatchObject({ version: 2_500, state: { balanceCents: 2_499 } });
    const { body: page } = await bank.get(`${path("hot")}/events?after=4900&limit=500`);
    expect(page["next"]).toBeNull();
    expect(page["events"]).toHaveLength(102);
  });
});

describe("an index that is not of this log", () => {
  const table = "projection_event_index.event_index_v1";

  test.each([
    ["another event's place", "log_offset = (select log_offset from other)"],
    ["a place beyond the log", "log_offset = 1000000000"],
  ])("with %s is a fault of the server, never wrong data", async (what, change) => {
    const id = `broken by ${what}`;
    await bank.send(...life(id, 1));
    await bank.admin.query(
      `with other as (select log_offset from ${table} where aggregate_id = $1 and version = 1)
       update ${table} set ${change} where aggregate_id = $1 and version = 2`,
      [id],
    );
    bank.faults.length = 0;
    for (const url of [path(id), `${path(id)}/events?after=1`]) {
      const { status, body } = await bank.get(url);
      expect(status).toBe(500);
      expect(body["code"]).toBe("INTERNAL");
    }
    expect(bank.faults).toEqual([expect.any(FatalError), expect.any(FatalError)]);
  });

  test("and lacks a version says so in the log alone", async () => {
    await bank.send(...life("gap", 3));
    await bank.admin.query(`delete from ${table} where aggregate_id = 'gap' and version = 2`);
    bank.faults.length = 0;
    expect((await bank.get(path("gap"))).status).toBe(500);
    expect(bank.faults).toMatchObject([{ code: "VERSION_GAP" }]);
  });
});

describe("what is away", () => {
  test("Postgres: a page says that the views cannot be read, and when to come again", async () => {
    const served = await bank.serve({ readUrl: "postgres://reader@127.0.0.1:1/nowhere" });
    const { status, headers: sent, body } = await served.get(path("ada"));
    expect({ status, code: body["code"] }).toEqual({ status: 503, code: "VIEWS_UNAVAILABLE" });
    expect(sent["retry-after"]).toBeDefined();
    await served.close();
  });

  test("the log: others wait for a reader, and too many are sent away", async () => {
    await bank.send(...life("queued", 1));
    let open: () => void = () => undefined;
    const opened = new Promise<void>((resolve) => (open = resolve));
    const readers: Reader[] = [];
    const served = await bank.serve({
      log: {
        openReader: async () => {
          await opened;
          const reader = await bank.log.openReader();
          readers.push(reader);
          return reader;
        },
      },
    });
    const answers = Array.from({ length: 110 }, async () => served.get(path("queued")));
    const early = await Promise.race(answers);
    expect(early).toMatchObject({ status: 503, body: { code: "NOT_READY" } });
    open();
    const statuses = (await Promise.all(answers)).map(({ status }) => status);
    expect(statuses.filter((status) => status === 200)).toHaveLength(104);
    expect(statuses.filter((status) => status === 503)).toHaveLength(6);
    expect(readers.length).toBe(4);
    await served.close();
  });
});
