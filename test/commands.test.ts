import { beforeEach, describe, expect, test } from "vitest";
import { systemClock } from "../engine/clock.ts";
import type { Codec } from "../engine/codec.ts";
import { deadLetterHeaders } from "../engine/commands/dead-letter.ts";
import type { OutRecord } from "../engine/log.ts";
import { MemoryLog } from "../engine/testing/memory-log.ts";
import { MemoryStoreFiles } from "../engine/testing/memory-store.ts";
import type { AggregateTopics } from "../engine/topic.ts";
import {
  accountDecider,
  bankCodec,
  type BankRun,
  bankTopics,
  commandRecord,
  createTopics,
  processPartition,
  type RunningPartition,
  type Seen,
  seen,
} from "./bank.ts";
import { until } from "./until.ts";

let log: MemoryLog;
let topics: AggregateTopics;
let codec: Codec;
let files: MemoryStoreFiles;
let bank: BankRun;
let sent: bigint;

beforeEach(async () => {
  log = new MemoryLog();
  topics = bankTopics("test", 1);
  await createTopics(log, topics);
  codec = await bankCodec(topics, systemClock);
  files = new MemoryStoreFiles();
  bank = { log, topics, codec, clock: systemClock, openStore: files.open };
  sent = 0n;
});

const at = (kind: "commands" | "events" | "snapshots" | "replies" | "dlq") => ({
  topic: topics[kind].name,
  partition: 0,
});
const command = (type: string, commandId: string, more: Record<string, unknown> = {}): OutRecord =>
  commandRecord({ topics, codec }, type, { commandId, accountId: "a", ...more });
const open = (id = "open", more = {}) => command("OpenAccount", id, { owner: "Ada", ...more });
const deposit = (id: string, amountCents: number, more = {}) =>
  command("DepositFunds", id, { amountCents, ...more });
const withdraw = (id: string, amountCents: number, more = {}) =>
  command("WithdrawFunds", id, { amountCents, ...more });

async function send(...records: OutRecord[]): Promise<void> {
  const producer = await log.openProducer();
  const offsets = await producer.send(records);
  sent = (offsets.at(-1) ?? sent) + 1n;
}

/** Runs until everything sent has been consumed, then stops; a run before it may have done part of it. */
async function run(more: Partial<BankRun> = {}): Promise<RunningPartition> {
  const running = processPartition({ ...bank, ...more }, 0);
  await until("all commands to be consumed", () => running.position() >= sent, { everyMs: 1 });
  await running.stop();
  return running;
}

const replies = (): Seen[] => seen(codec, topics.replies, log.committed(at("replies")));
const events = (): Seen[] => seen(codec, topics.events, log.committed(at("events")));
const deadLetters = () => log.committed(at("dlq"));
const answers = () =>
  replies().map(({ key, data }) => [key, data["outcome"], data["version"], data["reason"]]);

describe("a command", () => {
  test("is answered, and what was accepted is in the log", async () => {
    await send(open("1"), deposit("2", 500), withdraw("3", 501), withdraw("4", 200));
    await run();
    expect(answers()).toEqual([
      ["1", "accepted", 1, null],
      ["2", "accepted", 2, null],
      ["3", "rejected", 2, "InsufficientFunds"],
      ["4", "accepted", 3, null],
    ]);
    expect(events().map(({ key, type, data }) => [key, type, data])).toEqual([
      ["a/1", "AccountOpened", { owner: "Ada" }],
      ["a/2", "FundsDeposited", { amountCents: 500, reference: null }],
      ["a/3", "FundsWithdrawn", { amountCents: 200, reference: null }],
    ]);
    const [, , third] = events();
    expect(third?.header("command-id")).toBe("4");
    expect(third?.header("command-offset")).toBe("3");
  });

  test("hands its correlation, cause, actor and trace on to its events and its reply", async () => {
    const headers: OutRecord["headers"] = [
      ["correlation-id", "order-7"],
      ["actor", "ada"],
      ["traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"],
      ["unrelated", "x"],
    ];
    await send({ ...open(), headers });
    await run();
    for (const it of [...events(), ...replies()]) {
      expect(it.header("correlation-id")).toBe("order-7");
      expect(it.header("actor")).toBe("ada");
      expect(it.header("traceparent")).toMatch(/^00-0af7/);
      expect(it.header("unrelated")).toBeNull();
    }
  });

  test.each([
    ["0 for an account that is not there", { expectedVersion: 0 }, "accepted"],
    ["a version that the account does not have", { expectedVersion: 3 }, "conflict"],
  ])("may expect a version: %s", async (_, more, outcome) => {
    await send(open("1", more));
    await run();
    expect(replies()[0]?.data["outcome"]).toBe(outcome);
  });

  test("of a stale writer gets the version that there is, and changes nothing", async () => {
    await send(open("1"), deposit("2", 5), deposit("3", 7, { expectedVersion: 1 }));
    await run();
    expect(answers()[2]).toEqual(["3", "conflict", 2, null]);
    expect(events()).toHaveLength(2);
  });

  test("whose event would not fit into a record fails, and can be sent again smaller", async () => {
    const owner = "x".repeat(1_045_000);
    await send(open("1", { owner }), open("2"));
    await run();
    expect(answers()).toEqual([
      ["1", "failed", null, "TOO_LARGE"],
      ["2", "accepted", 1, null],
    ]);
  });

  test("that makes the decider throw is dead-lettered, and the next one is processed", async () => {
    const decider = {
      ...accountDecider,
      decide: (it: { type: string; data: object }, state: never) => {
        if (it.type === "DepositFunds") throw new Error("a fault of the author's");
        return accountDecider.decide(it, state);
      },
    } as typeof accountDecider;
    await send(open("1"), deposit("2", 5), withdraw("3", 5));
    await run({ decider });
    expect(answers().map(([key, outcome]) => [key, outcome])).toEqual([
      ["1", "accepted"],
      ["2", "failed"],
      ["3", "rejected"],
    ]);
    expect(String(deadLetters()[0]?.value)).toBe(String(deposit("2", 5).value));
  });

  test("whose event its schema cannot hold is dead-lettered with the field's name", async () => {
    const decider = {
      ...accountDecider,
      decide: () => ({
        kind: "accepted",
        events: [{ type: "FundsDeposited", data: { amountCents: 0.5 } }],
      }),
    } as unknown as typeof accountDecider;
    await send(deposit("2", 5));
    await run({ decider });
    expect(answers()).toEqual([["2", "failed", null, "INVALID_EVENT"]]);
    const message = deadLetters()[0]?.headers.find(
      ([name]) => name === deadLetterHeaders.exceptionMessage,
    );
    expect(String(message?.[1])).toContain("amountCents");
  });
});

describe("a command id", () => {
  test("sent again gets the same answer under its own offset, and has no second effect", async () => {
    await send(open("1"), deposit("2", 5), deposit("2", 5), withdraw("3", 9), withdraw("3", 9));
    await run();
    expect(answers()).toEqual([
      ["1", "accepted", 1, null],
      ["2", "accepted", 2, null],
      ["2", "accepted", 2, null],
      ["3", "rejected", 2, "InsufficientFunds"],
      ["3", "rejected", 2, "InsufficientFunds"],
    ]);
    expect(replies()[2]?.data).toMatchObject({ duplicate: true, commandOffset: 2, firstOffset: 1 });
    expect(events()).toHaveLength(2);
  });

  test("keeps its answer when what forbade it has passed: no is final", async () => {
    await send(open("1"), withdraw("2", 5), deposit("3", 5), withdraw("2", 5));
    await run();
    expect(answers()[3]).toEqual(["2", "rejected", 1, "InsufficientFunds"]);
  });

  test("used for another payload is refused under a key of its own", async () => {
    await send(open("1"), deposit("2", 5), deposit("2", 6));
    await run();
    expect(answers()[2]).toEqual(["2@2", "failed", null, "COMMAND_ID_REUSED"]);
  });

  test("is the same command whatever its issue time says the second time", async () => {
    const [first, again] = [Date.now() - 2_000, Date.now() - 1_000];
    await send(open("1", { issuedAt: first }), open("1", { issuedAt: again }));
    await run();
    expect(replies()[1]?.data).toMatchObject({ outcome: "accepted", duplicate: true });
  });

  test("belongs to its aggregate: another aggregate may use the same", async () => {
    await send(open("1"), open("1", { accountId: "b" }));
    await run();
    expect(answers().map(([, outcome]) => outcome)).toEqual(["accepted", "accepted"]);
  });

  test("that failed may be sent again, and then runs", async () => {
    await send(open("1", { issuedAt: Date.now() + 3_600_000 }));
    await run();
    await send(open("1", { issuedAt: Date.now() }));
    await run();
    expect(answers()).toEqual([
      ["1", "failed", null, "CLOCK_AHEAD"],
      ["1", "accepted", 1, null],
    ]);
  });

  test("that may have been forgotten is refused as expired, never run again", async () => {
    const limits = { window: { maxAgeMs: 1e9, maxCount: 2 } };
    const issued = Date.now() - 1_000;
    const old = deposit("old", 5, { issuedAt: issued });
    await send(open("1", { issuedAt: issued - 1 }), old);
    await run({ limits });
    await send(
      deposit("2", 5, { issuedAt: issued + 1 }),
      deposit("3", 5, { issuedAt: issued + 2 }),
    );
    await run({ limits }); // Forgets the first two.
    const late = deposit("late", 5, { issuedAt: issued });
    await send(old, late, deposit("new", 5, { issuedAt: issued + 3 }));
    await run({ limits });
    expect(answers().slice(4)).toEqual([
      ["old", "failed", null, "EXPIRED"],
      ["late", "failed", null, "EXPIRED"],
      ["new", "accepted", 5, null],
    ]);
    expect(events()).toHaveLength(5);
  });

  test("takes its issue time from a UUIDv7", async () => {
    const limits = { window: { maxAgeMs: 1e9, maxCount: 1 } };
    const v7 = (time: number, n: number) => {
      const hex = time.toString(16).padStart(12, "0");
      return `${hex.slice(0, 8)}-${hex.slice(8)}-7000-8000-00000000000${n}`;
    };
    const first = open(v7(Date.now() - 5_000, 1));
    await send(first);
    await run({ limits });
    await send(deposit(v7(Date.now() - 4_000, 2), 5));
    await run({ limits });
    await send(first, deposit(v7(Date.now() + 3_600_000, 3), 5));
    await run({ limits });
    expect(replies().map(({ data }) => data["reason"])).toEqual([
      null,
      null,
      "EXPIRED",
      "CLOCK_AHEAD",
    ]);
  });
});

const withdraw2 = () => withdraw("2", 500);
const deposit2 = () => deposit("2", 500);

describe("after a restart", () => {
  const some = async () => {
    await send(open("1"), deposit("2", 500), withdraw("3", 900));
    await run();
    await send(deposit("2", 500), withdraw("4", 100), withdraw("3", 900));
  };
  const asExpected = () => {
    expect(answers().slice(3)).toEqual([
      ["2", "accepted", 2, null],
      ["4", "accepted", 3, null],
      ["3", "rejected", 2, "InsufficientFunds"],
    ]);
    expect(events().map(({ key }) => key)).toEqual(["a/1", "a/2", "a/3"]);
  };

  test("the local store gives the state and the answers", async () => {
    await some();
    expect((await run()).story).toEqual(["opening assigned", "ready from store"]);
    asExpected();
  });

  test("the log gives the same where the store is gone", async () => {
    await some();
    files.delete();
    expect((await run()).story).toEqual(["opening assigned", "ready from log"]);
    asExpected();
  });

  test("an older copy of the store is brought up to date from the log", async () => {
    await send(open("1"));
    await run();
    const old = files.copy();
    await send(deposit("2", 500), withdraw("3", 900));
    await run();
    await send(deposit("2", 500), withdraw("4", 100), withdraw("3", 900));
    expect((await run({ openStore: old.open })).story.at(-1)).toBe("ready from store");
    asExpected();
  });

  test("the store of another log is dropped", async () => {
    await some();
    const other = new MemoryLog();
    await createTopics(other, topics);
    const producer = await other.openProducer();
    await producer.send([open("1"), deposit("x", 1), deposit("y", 1), deposit("z", 1)]);
    const elsewhere = processPartition({ ...bank, log: other }, 0);
    await until("the other log to be consumed", () => elsewhere.position() >= 4n, { everyMs: 1 });
    await elsewhere.stop();
    expect((await run()).story.at(-1)).toBe("ready from log");
    asExpected();
  });

  test("the store of another cluster is dropped, even where it would fit", async () => {
    await some();
    const twin = new MemoryLog({ clusterId: "twin" }, log);
    expect((await run({ log: twin })).story.at(-1)).toBe("ready from log");
    asExpected();
  });

  test("a store that a restore was still filling is dropped", async () => {
    await some();
    const store = await files.open(`${topics.commands.name}/0`);
    const whole = store.checkpoint();
    const half = Buffer.from(String(whole).replace('"whole":true', '"whole":false'));
    expect(store.replace(whole, half, new Map([["sa", null]]))).toBe(true);
    expect((await run()).story.at(-1)).toBe("ready from log");
    asExpected();
  });

  test("the position alone tells what was consumed, where replies and offsets have expired", async () => {
    await send(open("1"), withdraw("2", 500));
    await run();
    const { end } = await (
      await log.openReader()
    ).offsets(at("replies"), new AbortController().signal);
    log.deleteBefore(at("replies"), end);
    log.deleteOffsets(topics.commands.name);
    files.delete();
    await send(deposit("3", 1));
    await run();
    expect(answers()).toEqual([["3", "accepted", 2, null]]);
  });

  test.each([
    ["the replies tell", ["snapshots"], withdraw2],
    ["the events tell", ["snapshots", "replies"], deposit2],
  ] as const)("what was consumed, %s, where snapshots are lost", async (_, lost, last) => {
    await send(open("1"), last());
    await run();
    const reader = await log.openReader();
    for (const kind of lost) {
      const { end } = await reader.offsets(at(kind), new AbortController().signal);
      log.deleteBefore(at(kind), end);
    }
    log.deleteOffsets(topics.commands.name);
    files.delete();
    await send(deposit("3", 1));
    const before = replies().length;
    await run();
    expect(
      answers()
        .slice(before)
        .map(([key, outcome]) => [key, outcome]),
    ).toEqual([["3", "accepted"]]);
  });

  test("a changed fold does not trust the snapshots of the old one", async () => {
    const limits = { snapshots: { maxEventsBehind: 0, maxAgeMs: 1e9, maxPerTransaction: 10 } };
    await send(open("1"), deposit("2", 500));
    await run({ limits });
    await send(withdraw("3", 900)); // Carries the snapshot, and covers what it reflects.
    await run({ limits });
    const decider: typeof accountDecider = {
      ...accountDecider,
      foldVersion: 2,
      evolve: (state, event) => {
        const next = accountDecider.evolve(state, event);
        return event.type === "AccountOpened" ? { ...next, balanceCents: 1_000 } : next;
      },
    };
    await send(withdraw("4", 1_500));
    await run({ limits, decider });
    expect(answers().at(-1)).toEqual(["4", "accepted", 3, null]);
  });

  test("a changed fold folds the whole log anew", async () => {
    await some();
    const decider = { ...accountDecider, foldVersion: 2 };
    expect((await run({ decider })).story.at(-1)).toBe("ready from log");
    asExpected();
  });

  test("snapshots spare the events that they cover", async () => {
    const limits = { snapshots: { maxEventsBehind: 0, maxAgeMs: 1e9, maxPerTransaction: 10 } };
    await send(open("1"), deposit("2", 500));
    await run({ limits });
    await send(withdraw("3", 900)); // Carries the snapshot of the two events before it.
    await run({ limits });
    const events0 = log.committed(at("events"));
    log.compact(at("snapshots"));
    // Without its first event only the snapshot can tell the balance.
    log.deleteBefore(at("events"), events0.at(-1)?.offset ?? 0n);
    files.delete();
    await send(deposit("2", 500), withdraw("4", 100), withdraw("3", 900));
    expect((await run({ limits })).story.at(-1)).toBe("ready from log");
    expect(
      answers()
        .slice(3)
        .map(([key, outcome, version]) => [key, outcome, version]),
    ).toEqual([
      ["2", "accepted", 2],
      ["4", "accepted", 3],
      ["3", "rejected", 2],
    ]);
  });

  test("an idle partition snapshots by itself", async () => {
    const limits = {
      snapshots: { maxEventsBehind: 1e9, maxAgeMs: 0, maxPerTransaction: 10 },
      storeDelayMs: 5,
    };
    await send(open("1"), deposit("2", 500));
    const running = processPartition({ ...bank, limits }, 0);
    await until("the snapshot of the account", () =>
      log.committed(at("snapshots")).some(({ key }) => String(key) === "a"),
    );
    await running.stop();
  });

  test.each(["the group's offsets are lost", "the group's offset is rewound"])(
    "nothing is done twice although %s",
    async (what) => {
      await some();
      if (what.endsWith("rewound")) {
        const zombie = await log.openWriter({ transactionalId: "zombie" });
        const consumed = { group: topics.commands.name, ...at("commands"), offset: 0n };
        await zombie.transact({ records: [], consumed });
      } else log.deleteOffsets(topics.commands.name);
      await run();
      asExpected();
    },
  );

  test("a group offset that would skip a command is fatal", async () => {
    await some();
    const operator = await log.openWriter({ transactionalId: "operator" });
    const consumed = { group: topics.commands.name, ...at("commands"), offset: 5n };
    await operator.transact({ records: [], consumed });
    const running = processPartition(bank, 0);
    await expect(running.ended).rejects.toMatchObject({ code: "OFFSETS_AHEAD" });
  });

  test("commands that were deleted before they were seen are fatal, unless an operator accepts it", async () => {
    await some();
    log.deleteBefore(at("commands"), 5n);
    await expect(processPartition(bank, 0).ended).rejects.toMatchObject({ code: "COMMANDS_LOST" });
    const operator = await log.openWriter({ transactionalId: "operator" });
    const consumed = { group: topics.commands.name, ...at("commands"), offset: 5n };
    await operator.transact({ records: [], consumed });
    await run();
    expect(answers().slice(3)).toEqual([["3", "rejected", 2, "InsufficientFunds"]]);
  });

  test("a commands topic created anew is fatal", async () => {
    await some();
    await run();
    const anew = new MemoryLog();
    await createTopics(anew, topics);
    const producer = await anew.openWriter({ transactionalId: "copy" });
    const copied = (["events", "snapshots", "replies"] as const).flatMap((kind) =>
      log.committed(at(kind)).map((record) => ({ ...at(kind), ...record })),
    );
    await producer.transact({ records: copied, consumed: null });
    files.delete();
    await expect(processPartition({ ...bank, log: anew }, 0).ended).rejects.toMatchObject({
      code: "LOG_TRUNCATED",
    });
  });

  test("a missing event is fatal, never folded over", async () => {
    await some();
    log.deleteBefore(at("events"), 1n);
    files.delete();
    await expect(processPartition(bank, 0).ended).rejects.toMatchObject({ code: "VERSION_GAP" });
  });

  test("answers survive although the replies have expired, or their ids are refused", async () => {
    const issued = Date.now() - 10_000;
    const first = deposit("2", 500, { issuedAt: issued });
    await send(open("1", { issuedAt: issued - 1 }), first);
    await run();
    const { end } = await (
      await log.openReader()
    ).offsets(at("replies"), new AbortController().signal);
    log.deleteBefore(at("replies"), end);
    files.delete();
    await send(first, deposit("3", 1, { issuedAt: issued + 1 }));
    await run();
    expect(answers()).toEqual([
      ["2", "failed", null, "EXPIRED"],
      ["3", "accepted", 3, null],
    ]);
  });
});

describe("two workers", () => {
  test("of which one is fenced: it finds that it has lost the partition and lets go", async () => {
    let mine = true;
    const zombie = processPartition({ ...bank, confirm: async () => mine }, 0);
    await send(open("1"));
    await until("the first to work", () => zombie.position() >= sent, { everyMs: 1 });
    mine = false;
    const owner = processPartition({ ...bank, openStore: new MemoryStoreFiles().open }, 0);
    await until("the second to be ready", () => owner.story.includes("ready from log"), {
      everyMs: 1,
    });
    await send(deposit("2", 5));
    expect(await zombie.ended).toBe("dropped");
    await until("the second to work", () => owner.position() >= sent, { everyMs: 1 });
    await owner.stop();
    expect(answers().map(([key, outcome]) => [key, outcome])).toEqual([
      ["1", "accepted"],
      ["2", "accepted"],
    ]);
    expect(owner.story).toEqual(["opening assigned", "ready from log"]);
  });

  test("that share a local store do each other no harm", async () => {
    const zombie = processPartition({ ...bank, confirm: async () => false }, 0);
    expect(await zombie.ended).toBe("dropped");
    const first = processPartition(bank, 0);
    await send(open("1"));
    await until("the first to work", () => first.position() >= sent, { everyMs: 1 });
    const second = processPartition(bank, 0);
    await until("the second to be ready", () => second.position() >= sent, { everyMs: 1 });
    await second.stop();
    await first.stop().catch(() => undefined);
    await send(deposit("2", 5), deposit("2", 5));
    await run();
    expect(events().map(({ key }) => key)).toEqual(["a/1", "a/2"]);
  });
});
