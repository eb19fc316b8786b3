import { beforeEach, describe, expect, test } from "vitest";
import { type Clock, systemClock } from "../engine/clock.ts";
import type { Codec } from "../engine/codec.ts";
import type { OpenStore } from "../engine/commands/store.ts";
import { WriterLostError } from "../engine/errors.ts";
import type { OutRecord } from "../engine/log.ts";
import { positionKey } from "../engine/message.ts";
import { jumpingClock } from "../engine/testing/jumping-clock.ts";
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
  seen,
} from "./bank.ts";
import { until } from "./until.ts";

/** A worker that gets a partition back, with its store of then or without, after another had it. */

let log: MemoryLog;
let topics: AggregateTopics;
let codec: Codec;
let clock: Clock;
let sent: bigint;

beforeEach(async () => {
  topics = bankTopics("test", 1);
  codec = await bankCodec(topics, systemClock);
  await empty(systemClock);
});

async function empty(by: Clock): Promise<void> {
  clock = by;
  log = new MemoryLog({ clock });
  await createTopics(log, topics);
  sent = 0n;
}

const at = (kind: "events" | "replies" | "snapshots" | "dlq") => ({
  topic: topics[kind].name,
  partition: 0,
});
const command = (
  type: string,
  commandId: string,
  more: { accountId: string } & Record<string, unknown>,
): OutRecord => commandRecord({ topics, codec }, type, { commandId, ...more });
const open = (id: string, accountId = "a") => command("OpenAccount", id, { accountId, owner: id });
const deposit = (id: string, accountId = "a") =>
  command("DepositFunds", id, { accountId, amountCents: 500 });
const junk = (): OutRecord => ({ ...open("junk"), value: Buffer.from("junk") });

async function send(...records: OutRecord[]): Promise<void> {
  const offsets = await (await log.openProducer()).send(records);
  sent = (offsets.at(-1) ?? sent) + 1n;
}

/** Runs until everything sent has been consumed, then stops. */
async function run(openStore: OpenStore, more: Partial<BankRun> = {}) {
  const running = processPartition({ log, topics, codec, clock, openStore, ...more }, 0);
  let failure: unknown;
  running.ended.catch((error: unknown) => (failure = error));
  await until("all to be consumed", () => failure !== undefined || running.position() >= sent, {
    everyMs: 1,
  });
  await running.stop();
  return running;
}

/** Each transaction carries a snapshot of all that the ones before it have changed. */
const snapshotsAtOnce = {
  snapshots: { maxEventsBehind: 0, maxAgeMs: 0, maxPerTransaction: 10 },
};

const nowhere: OpenStore = (name) => new MemoryStoreFiles().open(name);
/** Keeps a copy of the disk after each write. */
function copying(files: MemoryStoreFiles, copies: MemoryStoreFiles[]): OpenStore {
  return async (name) => {
    const store = await files.open(name);
    const replace: typeof store.replace = (...write) => {
      const isDone = store.replace(...write);
      copies.push(files.copy());
      return isDone;
    };
    return { ...store, replace };
  };
}
const replies = () => seen(codec, topics.replies, log.committed(at("replies")));
const answers = () => replies().map(({ key, data }) => [key, data["outcome"], data["duplicate"]]);

describe("a fold that comes back after another one", () => {
  const other = { ...accountDecider, foldVersion: 2 };

  test.each(["its store", "nothing"])("with %s counts on none of its snapshots", async (left) => {
    const files = new MemoryStoreFiles();
    const store = left === "nothing" ? nowhere : files.open;
    await send(open("1"), deposit("2"));
    await run(store, { limits: snapshotsAtOnce });
    await send(open("3", "b")); // Carries the snapshot of what was before.
    await run(store, { limits: snapshotsAtOnce });
    for (const id of ["4", "5"]) {
      await send(deposit(id, "b")); // The second one carries the snapshots of the other fold.
      await run(nowhere, { limits: snapshotsAtOnce, decider: other });
    }
    for (const id of ["6", "7", "8"]) {
      await send(deposit(id, "b"));
      await run(store, { limits: snapshotsAtOnce });
    }
    log.compact(at("snapshots"));
    const [snapshot] = seen(codec, topics.snapshots, log.committed(at("snapshots"))).filter(
      ({ key }) => key === "a",
    );
    expect(snapshot?.header("fold-version")).toMatch(/^1-/);

    await send(deposit("9"), open("10"));
    await run(nowhere, { limits: snapshotsAtOnce });
    expect(answers().slice(-2)).toEqual([
      ["9", "accepted", false],
      ["10", "rejected", false],
    ]);
    expect(log.committed(at("events")).at(-1)?.key?.toString()).toBe("a/3");
  });
});

test("a position that counts on snapshots of another fold is not trusted", async () => {
  await send(open("1"), deposit("2"));
  await run(nowhere, { limits: snapshotsAtOnce });
  await send(open("3", "b"));
  await run(nowhere, { limits: snapshotsAtOnce });
  const ours = log.committed(at("snapshots")).findLast(({ key }) => String(key) === positionKey);
  for (const id of ["4", "5"]) {
    await send(deposit(id, "b"));
    await run(nowhere, { limits: snapshotsAtOnce, decider: { ...accountDecider, foldVersion: 2 } });
  }
  const { data } = codec.decode(topics.snapshots, ours?.value ?? Buffer.alloc(0));
  const position = { ...data, nextOffset: Number(sent), coveredFrom: 3 };
  const value = codec.encode(topics.snapshots, "Position", position);
  const record = { ...at("snapshots"), key: positionKey, value, headers: [], timestamp: 0 };
  await (await log.openProducer()).send([record]);

  await send(deposit("6"));
  await run(nowhere, { limits: snapshotsAtOnce });
  expect(answers().at(-1)).toEqual(["6", "accepted", false]);
});

describe("a store that is written in the middle of a restore", () => {
  test("is not used where it is past a snapshot of another fold", async () => {
    const one = new MemoryStoreFiles();
    await send(open("1"), deposit("2"));
    await run(one.open, { limits: snapshotsAtOnce });
    await send(open("3", "b"));
    await run(one.open, { limits: snapshotsAtOnce });
    for (const foldVersion of [1, 1, 2, 2]) {
      await send(deposit(`${sent}`, "b"));
      await run(nowhere, { limits: snapshotsAtOnce, decider: { ...accountDecider, foldVersion } });
    }
    const copies: MemoryStoreFiles[] = [];
    await run(copying(one, copies), { limits: { ...snapshotsAtOnce, maxUnwritten: 0 } });
    for (const copy of copies.slice(1, -1)) {
      await send(deposit(`${sent}`, "b"));
      expect((await run(copy.open, { limits: snapshotsAtOnce })).story).toContain("ready from log");
    }
  });

  test("says how far it has come, wherever its worker is killed", async () => {
    const one = new MemoryStoreFiles();
    await send(open("1"));
    await run(one.open);
    await send(deposit("2"), open("3"), junk()); // Accepted, rejected, and a dead letter.
    await run(nowhere);
    const before = [answers(), log.committed(at("dlq")).length];

    const copies: MemoryStoreFiles[] = [];
    await run(copying(one, copies), { limits: { maxUnwritten: 0 } });
    expect(copies.length).toBeGreaterThan(3);
    log.deleteOffsets(topics.commands.name);
    for (const copy of copies) expect((await run(copy.open)).position()).toBe(sent);
    expect([answers(), log.committed(at("dlq")).length]).toEqual(before);
  });
});

describe("an answer that was forgotten without a reply that says so, and given anew", () => {
  const limits = (isSnapshotDue: boolean): NonNullable<BankRun["limits"]> => ({
    storeDelayMs: 0,
    window: { maxAgeMs: 60_000, maxCount: 100 },
    snapshots: {
      maxEventsBehind: 100,
      maxAgeMs: isSnapshotDue ? 0 : Number.MAX_SAFE_INTEGER,
      maxPerTransaction: 10,
    },
  });

  test.each(["a snapshot", "a dead letter"])("by %s is known to all", async (by) => {
    await empty(jumpingClock());
    const [one, two] = [new MemoryStoreFiles(), new MemoryStoreFiles()];
    await send(open("1"), deposit("2"));
    await run(one.open, { limits: limits(false) });
    await clock.sleep(120_000);
    if (by === "a dead letter") await send(junk());
    const count = log.committed(at("snapshots")).length;
    const another = processPartition(
      { log, topics, codec, clock, openStore: two.open, limits: limits(by === "a snapshot") },
      0,
    );
    await until(
      "what is old to be forgotten",
      () => another.position() >= sent && log.committed(at("snapshots")).length > count,
    );
    await another.stop();
    await send(deposit("2")); // Outside its window.
    await run(two.open, { limits: limits(false) });
    const copy = one.copy();
    for (const store of [two, copy]) {
      await send(deposit("2"));
      await run(store.open, { limits: limits(false) });
    }
    expect(answers().slice(-3)).toEqual([
      ["2", "accepted", false],
      ["2", "accepted", true],
      ["2", "accepted", true],
    ]);
  });
});

test("a transaction that somebody holds open before the last event is told, with a store too", async () => {
  const files = new MemoryStoreFiles();
  await send(open("1"));
  await run(files.open);
  const holding = log.via(async (call, handle) => {
    if (call.api === "EndTxn") throw new WriterLostError("indefinite", "lost");
    return handle();
  });
  const meddler = await holding.openWriter({ transactionalId: "meddler" });
  const running = processPartition({ log, topics, codec, clock, openStore: files.open }, 0);
  await until("it to be ready", () => running.story.includes("ready from store"));
  const foreign = { ...at("events"), key: "x/1", value: null, headers: [], timestamp: 0 };
  await expect(meddler.transact({ records: [foreign], consumed: null })).rejects.toThrow("lost");
  await send(deposit("2"));
  await until("it to be handled", () => running.position() >= sent);
  await running.stop();

  let aheadMs = 0;
  const hasty: Clock = { ...systemClock, now: () => Date.now() + (aheadMs += 5_000) };
  const waiting = processPartition({ log, topics, codec, clock: hasty, openStore: files.open }, 0);
  await until("the worker to say that it waits", () => waiting.story.includes("stuck"));
  await log.openWriter({ transactionalId: "meddler" }); // Aborts it.
  await until("the worker to go on", () => waiting.story.includes("ready from store"));
  expect(waiting.story.filter((it) => it !== "stuck")).toEqual([
    "opening assigned",
    "goes on",
    "ready from store",
  ]);
  await waiting.stop();
});
