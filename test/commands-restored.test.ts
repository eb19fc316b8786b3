import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { beforeEach, describe, expect, test } from "vitest";
import { type Clock, systemClock } from "../engine/clock.ts";
import type { Codec } from "../engine/codec.ts";
import { sqliteStores } from "../engine/commands/sqlite-store.ts";
import { WriterLostError } from "../engine/errors.ts";
import type { OutRecord } from "../engine/log.ts";
import { jumpingClock } from "../engine/testing/jumping-clock.ts";
import { MemoryLog, type MemoryLogOptions } from "../engine/testing/memory-log.ts";
import { MemoryStoreFiles } from "../engine/testing/memory-store.ts";
import type { AggregateTopics } from "../engine/topic.ts";
import {
  bankCodec,
  type BankRun,
  bankTopics,
  commandRecord,
  createTopics,
  processPartition,
  seen,
} from "./bank.ts";
import { until } from "./until.ts";

/** What a worker knows after a restart, of an account and of what was asked of it. */

let log: MemoryLog;
let topics: AggregateTopics;
let codec: Codec;
let files: MemoryStoreFiles;
let bank: BankRun;
let sent: bigint;

beforeEach(async () => {
  topics = bankTopics("test", 1);
  codec = await bankCodec(topics, systemClock);
  log = await emptyLog();
  files = new MemoryStoreFiles();
  bank = { log, topics, codec, clock: systemClock, openStore: files.open };
  sent = 0n;
});

async function emptyLog(options: MemoryLogOptions = {}): Promise<MemoryLog> {
  const empty = new MemoryLog(options);
  await createTopics(empty, topics);
  return empty;
}

const at = (kind: "commands" | "events" | "replies") => ({
  topic: topics[kind].name,
  partition: 0,
});
const command = (type: string, commandId: string, more: Record<string, unknown> = {}): OutRecord =>
  commandRecord({ topics, codec }, type, { commandId, accountId: "a", ...more });
const open = (id: string, more = {}) => command("OpenAccount", id, { owner: "Ada", ...more });
const deposit = (id: string, more = {}) => command("DepositFunds", id, { amountCents: 5, ...more });

async function send(...records: OutRecord[]): Promise<void> {
  const offsets = await (await log.openProducer()).send(records);
  sent = (offsets.at(-1) ?? sent) + 1n;
}

/** Runs until everything sent has been consumed, then stops. */
async function run(more: Partial<BankRun> = {}) {
  const running = processPartition({ ...bank, ...more }, 0);
  await until("all commands to be consumed", () => running.position() >= sent, { everyMs: 1 });
  await running.stop();
  return running;
}

const replies = () => seen(codec, topics.replies, log.committed(at("replies")));
const answers = () =>
  replies().map(({ key, data }) => [key, data["outcome"], data["version"], data["reason"]]);
const eventKeys = () => log.committed(at("events")).map(({ key }) => String(key));
const dayMs = 24 * 60 * 60 * 1000;
const clockAt = (shiftMs: number): Clock => ({ ...systemClock, now: () => Date.now() + shiftMs });

describe("a command id", () => {
  test("belongs to its aggregate, also once the other one's answer is remembered", async () => {
    await send(open("1"));
    await run();
    await send(open("1", { accountId: "b" }), open("1"));
    await run();
    expect(replies().map(({ data }) => [data["aggregateId"], data["duplicate"]])).toEqual([
      ["a", false],
      ["b", false],
      ["a", true],
    ]);
    expect(eventKeys()).toEqual(["a/1", "b/1"]);
  });

  test("sent again after the store is gone has the offset of its first handling in its answer", async () => {
    await send(open("1"), deposit("2"));
    await run();
    files.delete();
    await send(deposit("2"));
    await run();
    expect(replies().map(({ data }) => [data["commandOffset"], data["firstOffset"]])).toEqual([
      [0, 0],
      [1, 1],
      [2, 1],
    ]);
  });

  test("that an idle partition has forgotten is refused after a restart, though no reply says so", async () => {
    const clock = jumpingClock();
    log = await emptyLog({ clock });
    const window = { maxAgeMs: 60_000, maxCount: 100 };
    const idle = { log, clock, limits: { window } };
    const first = open("1", { issuedAt: clock.now() });
    await send(first, deposit("2", { issuedAt: clock.now() + 1 }));
    const worker = processPartition({ ...bank, ...idle }, 0);
    const snapshots = { topic: topics.snapshots.name, partition: 0 };
    await until("the snapshot of the account", () =>
      log.committed(snapshots).some(({ key }) => String(key) === "a"),
    );
    await worker.stop();
    files.delete();
    await send(first);
    await run(idle);
    expect(answers().at(-1)).toEqual(["1", "failed", null, "EXPIRED"]);
    expect(eventKeys()).toEqual(["a/1", "a/2"]);
  });
});

describe("a local store", () => {
  test("that is older than the life of a tombstone is dropped", async () => {
    await send(open("1"));
    await run();
    expect((await run({ clock: clockAt(6 * dayMs) })).story.at(-1)).toBe("ready from store");
    expect((await run({ clock: clockAt(14 * dayMs) })).story.at(-1)).toBe("ready from log");
  });

  test("of a log that is as long and ends with another event is dropped", async () => {
    const other = await emptyLog();
    await (await other.openProducer()).send([open("1", { accountId: "b" })]);
    sent = 1n;
    await run({ log: other });
    await send(open("1"));
    await run({ openStore: new MemoryStoreFiles().open });
    await send(deposit("2"));
    expect((await run()).story.at(-1)).toBe("ready from log");
    expect(answers().at(-1)).toEqual(["2", "accepted", 2, null]);
  });

  test("takes nothing more from the worker that had it before", async () => {
    const thaw = Promise.withResolvers<null>();
    const worked = { isOver: false };
    const slow = log.via(async (call, handle) => {
      if (call.api === "Fetch" && worked.isOver) await thaw.promise;
      return handle();
    });
    const unwritten = { log: slow, limits: { storeDelayMs: dayMs } };
    const first = processPartition({ ...bank, ...unwritten }, 0);
    await send(open("1"));
    await until("the first to work", () => first.position() >= sent, { everyMs: 1 });
    worked.isOver = true; // It stops reading, and so does not hear that it has been fenced.
    const second = processPartition({ ...bank, limits: { storeDelayMs: 0 } }, 0);
    await send(deposit("2"));
    const store = await files.open(`${topics.commands.name}/0`);
    await until("the second to write", () => String(store.checkpoint()).includes('"commands":"2"'));
    await second.stop();
    const third = processPartition({ ...bank, limits: { storeDelayMs: dayMs } }, 0);
    await send(open("3", { accountId: "b" }));
    await until("the third to work", () => third.position() >= sent, { everyMs: 1 });
    const ended = first.stop(); // Writes what it has not written yet, or finds that it cannot.
    thaw.resolve(null);
    await ended;
    await third.stop(); // Writes what is new to it, beside what there is.
    await send(deposit("4"));
    expect((await run()).story.at(-1)).toBe("ready from store");
    expect(eventKeys()).toEqual(["a/1", "a/2", "b/1", "a/3"]);
  });

  test("that another worker has emptied is believed no more", async () => {
    await send(open("1"));
    const running = processPartition({ ...bank, limits: { storeDelayMs: 0 } }, 0);
    const store = await files.open(`${topics.commands.name}/0`);
    await until("it to write", () => String(store.checkpoint()).includes('"commands":"1"'));
    expect(store.empty(store.checkpoint(), Buffer.from("theirs"))).toBe(true);
    await send(open("1"));
    await until("it to go on", () => running.position() >= sent, { everyMs: 1 });
    await running.stop();
    expect(running.story).toEqual([
      ...["opening assigned", "ready from log"],
      ...["opening fenced", "ready from log"],
    ]);
    expect(replies().map(({ data }) => [data["outcome"], data["duplicate"]])).toEqual([
      ["accepted", false],
      ["accepted", true],
    ]);
  });

  test("in which another worker stands still in the middle of a write is gone on without", async () => {
    const folder = mkdtempSync(join(tmpdir(), "foldlog-commands-"));
    bank = { ...bank, openStore: sqliteStores(folder) };
    await send(open("1"));
    await run();
    const working = processPartition(bank, 0);
    await until("it to work", () => working.position() >= sent, { everyMs: 1 });
    const stopped = new DatabaseSync(join(folder, topics.commands.name, "0", "store.db"));
    stopped.exec("begin immediate");
    await send(deposit("2"));
    await until("the store to be missed", () => working.story.length === 4, { everyMs: 1 });
    await send(deposit("2"), deposit("3"));
    await until("it to go on", () => working.position() >= sent, { everyMs: 1 });
    await working.stop();
    expect(working.story).toEqual([
      ...["opening assigned", "ready from store"],
      ...["opening transient", "ready from log"],
    ]);
    stopped.close();
    await send(deposit("3"), deposit("4"));
    const after = await run();
    expect(after.story).toEqual(["opening assigned", "ready from store"]);
    expect(eventKeys()).toEqual(["a/1", "a/2", "a/3", "a/4"]);
    rmSync(folder, { recursive: true });
  });
});

test("what its predecessor commits while a worker opens its writer is in the worker's state", async () => {
  let isFirst = true;
  const predecessor = processPartition({ ...bank, confirm: async () => isFirst }, 0);
  await send(open("1"));
  await until("the first to work", () => predecessor.position() >= sent, { everyMs: 1 });
  const late = log.via(async (call, handle) => {
    if (call.api === "InitProducerId" && isFirst) {
      await send(deposit("2"));
      await until("the first to go on", () => predecessor.position() >= sent, { everyMs: 1 });
      isFirst = false;
    }
    return handle();
  });
  const openStore = new MemoryStoreFiles().open;
  const worker = processPartition({ ...bank, log: late, openStore }, 0);
  await until("the second to be ready", () => worker.story.length > 1, { everyMs: 1 });
  await send(deposit("3"));
  await until("the second to work", () => worker.position() >= sent, { everyMs: 1 });
  await worker.stop();
  await predecessor.stop();
  expect(eventKeys()).toEqual(["a/1", "a/2", "a/3"]);
});

test("commands that were deleted before they were seen are fatal, also where the group has no offset", async () => {
  await send(open("1"));
  await run();
  await send(deposit("2"), deposit("3"));
  log.deleteBefore(at("commands"), 2n);
  log.deleteOffsets(topics.commands.name);
  await expect(processPartition(bank, 0).ended).rejects.toMatchObject({ code: "COMMANDS_LOST" });
});

test("the time of events does not go back where the clock does", async () => {
  await send(open("1"));
  await run();
  await send(deposit("2"));
  await run({ clock: clockAt(-dayMs) });
  files.delete();
  await send(deposit("3"));
  await run({ clock: clockAt(-2 * dayMs) });
  const [first, ...later] = log.committed(at("events")).map(({ timestamp }) => timestamp);
  expect(later).toEqual([first, first]);
});

test("a transaction that somebody holds open among the events holds up the restore, not its end", async () => {
  await send(open("1"));
  await run();
  const holding = log.via(async (call, handle) => {
    if (call.api === "EndTxn") throw new WriterLostError("indefinite", "lost");
    return handle();
  });
  const foreign = { ...at("events"), key: "x/1", value: null, headers: [], timestamp: 0 };
  const meddler = await holding.openWriter({ transactionalId: "meddler" });
  const held = meddler.transact({ records: [foreign], consumed: null });
  await expect(held).rejects.toThrow("lost");
  const writer = await log.openWriter({ transactionalId: "test.account.test.account.commands.0" });
  await writer.transact({ records: [{ ...foreign, key: "y/1" }], consumed: null });

  files.delete();
  let aheadMs = 0;
  const hasty: Clock = { ...systemClock, now: () => Date.now() + (aheadMs += 5_000) };
  const waiting = processPartition({ ...bank, clock: hasty }, 0);
  await send(deposit("2"));
  await until("the worker to say that it waits", () => waiting.story.includes("stuck"));
  expect(new Set(waiting.story)).toEqual(new Set(["opening assigned", "stuck"]));
  await log.openWriter({ transactionalId: "meddler" }); // Aborts it.
  await until("the worker to go on", () => waiting.position() >= sent);
  await waiting.stop();
  expect(eventKeys()).toEqual(["a/1", "y/1", "a/2"]);
});
