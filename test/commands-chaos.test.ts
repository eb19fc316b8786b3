import { describe, expect, test } from "vitest";
import type { OpenStore } from "../engine/commands/store.ts";
import { WriterLostError } from "../engine/errors.ts";
import type { OutRecord } from "../engine/log.ts";
import { jumpingClock, randomFrom } from "../engine/testing/jumping-clock.ts";
import { MemoryLog } from "../engine/testing/memory-log.ts";
import { MemoryStoreFiles } from "../engine/testing/memory-store.ts";
import type { Network } from "../engine/testing/network.ts";
import {
  bankCodec,
  type BankRun,
  bankTopics,
  commandRecord,
  createTopics,
  processPartition,
  seen,
} from "./bank.ts";
import { referenceFold } from "./reference.ts";

const seeds = Number(process.env["SEEDS"] ?? 150);
const only = process.env["SEED"] === undefined ? null : Number(process.env["SEED"]);

class Crash extends Error {}

/** A process that can be killed: from then on nothing that it does reaches anything. */
function mortal(log: MemoryLog, openStore: OpenStore, random: () => number, faults: number) {
  let alive = true;
  const live = () => {
    if (!alive) throw new Crash();
  };
  const network: Network = async (call, handle) => {
    live();
    const dice = random();
    if (call.api === "Fetch" || call.api === "ListOffsets" || call.api === "OffsetFetch")
      return handle();
    if (dice < faults) throw new WriterLostError("indefinite", `${call.api} was lost`);
    const answer = handle();
    if (dice < 2 * faults)
      throw new WriterLostError("indefinite", `The answer to ${call.api} was lost`);
    await Promise.resolve();
    live();
    return answer;
  };
  const open: OpenStore = async (name) => {
    const store = await openStore(name);
    const replace: typeof store.replace = (...write) => {
      live();
      return store.replace(...write);
    };
    const clear = () => {
      live();
      store.clear();
    };
    return { ...store, replace, clear };
  };
  const kill = () => {
    alive = false;
  };
  return { log: log.via(network), openStore: open, kill };
}

/** Commands on few accounts, many of them sent twice or doomed. */
function commandsFor(random: () => number, bank: Pick<BankRun, "topics" | "codec">): OutRecord[] {
  const pick = <T>(list: readonly T[]) => list[Math.floor(random() * list.length)] as T;
  const records: OutRecord[] = [];
  for (let i = 0; i < 60; i++) {
    const accountId = pick(["a", "b", "c"]);
    if (records.length > 0 && random() < 0.25) {
      records.push(pick(records));
      continue;
    }
    const type = pick([
      "OpenAccount",
      "DepositFunds",
      "DepositFunds",
      "WithdrawFunds",
      "CloseAccount",
    ]);
    const amountCents = Math.floor(random() * 100) - 5;
    const expectedVersion = random() < 0.1 ? Math.floor(random() * 4) : null;
    const fields = {
      commandId: `c${i}`,
      accountId,
      owner: accountId,
      amountCents,
      expectedVersion,
    };
    const record = commandRecord(bank, type, fields);
    records.push(random() < 0.05 ? { ...record, value: Buffer.from("poison") } : record);
  }
  return records;
}

async function runSeed(seed: number): Promise<void> {
  const random = randomFrom(seed);
  const clock = jumpingClock(seed);
  const topics = bankTopics("chaos", 1);
  const log = new MemoryLog({ clock });
  await createTopics(log, topics);
  const codec = await bankCodec(topics, clock);
  const records = commandsFor(random, { topics, codec });
  const files = new MemoryStoreFiles();
  const backup = { files: new MemoryStoreFiles() };
  const faults = random() < 0.2 ? 0 : random() * 0.05;
  const limits = {
    maxRecords: 1 + Math.floor(random() * 10),
    storeDelayMs: random() < 0.5 ? 0 : 1_000,
    maxCached: 1 + Math.floor(random() * 3),
    snapshots: {
      maxEventsBehind: Math.floor(random() * 20),
      maxAgeMs: 60_000,
      maxPerTransaction: 2,
    },
  };
  const owner = { current: 0 };
  const start = (over: MemoryLog, faultRate: number) => {
    const me = ++owner.current;
    // A worker wakes on a disk as it was left, without a disk, or with an old one.
    const dice = random();
    if (dice < 0.2) files.delete();
    if (dice > 0.9) backup.files = files.copy();
    const store = dice < 0.3 && dice > 0.2 ? backup.files : files;
    const process = mortal(over, store.open, random, faultRate);
    const bank: BankRun = {
      log: process.log,
      topics,
      codec,
      clock,
      openStore: process.openStore,
      limits,
      confirm: async () => owner.current === me,
    };
    return { ...process, running: processPartition(bank, 0) };
  };

  const producer = await log.openProducer();
  let worker = start(log, faults);
  const zombies = [];
  for (const record of records) {
    await producer.send([record]);
    for (let turns = Math.floor(random() * 6); turns > 0; turns--) {
      await new Promise((resolve) => setImmediate(resolve));
    }
    if (random() < 0.08) {
      // Killed, or replaced while it goes on believing that it owns the partition.
      if (random() < 0.5) worker.kill();
      else zombies.push(worker);
      worker = start(log, faults);
    }
    if (random() < 0.05) log.compact({ topic: topics.snapshots.name, partition: 0 });
  }
  // Heal: everyone who is left goes away, and one undisturbed worker finishes the work.
  for (const { kill } of [...zombies, worker]) kill();
  const last = start(log, 0);
  const end = BigInt(records.length);
  for (let turns = 0; last.running.position() < end; turns++) {
    if (turns > 100_000) throw new Error("The commands were not consumed to their end");
    await new Promise((resolve) => setImmediate(resolve));
  }
  await last.running.stop();

  const at = (topic: { name: string }) => log.committed({ topic: topic.name, partition: 0 });
  const wanted = referenceFold(at(topics.commands), 0, { topics, codec });
  const events = seen(codec, topics.events, at(topics.events));
  expect(events.map(({ key, type, header }) => [key, type, header("command-id")])).toEqual(
    wanted.events,
  );
  const replies = seen(codec, topics.replies, at(topics.replies));
  const told = replies.map(({ data }) => [
    data["commandOffset"],
    data["outcome"],
    data["version"],
    data["reason"],
  ]);
  expect(told).toEqual(wanted.replies);
  expect(at(topics.dlq)).toHaveLength(
    records.filter(({ value }) => String(value) === "poison").length,
  );
}

describe("whatever is lost, killed, replaced or wiped, the log is as if nothing had happened", () => {
  const chosen = only === null ? Array.from({ length: seeds }, (_, i) => i + 1) : [only];
  test.each(chosen)("SEED=%i", async (seed) => {
    await runSeed(seed);
  });
});
