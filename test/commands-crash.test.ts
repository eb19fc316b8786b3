import { beforeAll, beforeEach, expect, test } from "vitest";
import { systemClock } from "../engine/clock.ts";
import type { Codec } from "../engine/codec.ts";
import { deadLetterHeaders } from "../engine/commands/dead-letter.ts";
import type { OpenNote } from "../engine/commands/note.ts";
import { headerOf, type OutRecord } from "../engine/log.ts";
import { partitionOf } from "../engine/message.ts";
import { MemoryLog } from "../engine/testing/memory-log.ts";
import { MemoryStoreFiles } from "../engine/testing/memory-store.ts";
import type { Network } from "../engine/testing/network.ts";
import type { AggregateTopics } from "../engine/topic.ts";
import {
  bankCodec,
  bankTopics,
  commandRecord,
  createTopics,
  processPartition,
  type RunningPartition,
  seen,
} from "./bank.ts";
import { until } from "./until.ts";

/** Commands that kill the process that handles them; a process is a run that shares nothing but log and disk. */

const partition = 0;
let topics: AggregateTopics;
let codec: Codec;
let log: MemoryLog;
let notes: Map<string, string>;
let files: MemoryStoreFiles;

beforeAll(async () => {
  topics = bankTopics("test", 2);
  codec = await bankCodec(topics, systemClock);
});
beforeEach(async () => {
  log = new MemoryLog();
  await createTopics(log, topics);
  notes = new Map();
  files = new MemoryStoreFiles();
});

const openNote: OpenNote = (name) => ({
  read: () => notes.get(name) ?? "",
  write: (text) => notes.set(name, text),
  close: () => undefined,
});

const accounts = Array.from({ length: 60 }, (_, i) => `account-${i}`).filter(
  (id) => partitionOf(id, 2) === partition,
);
const opening = (accountId: string, owner = "Ada"): OutRecord =>
  commandRecord({ topics, codec }, "OpenAccount", { commandId: accountId, accountId, owner });

async function send(records: readonly OutRecord[]): Promise<void> {
  const producer = await log.openProducer();
  await producer.send(records);
}

/** What happens to a process when it decodes this command. */
type Fate = (value: Buffer, decoded: number) => "lives" | "dies";

/** Kills by an error that nobody foresaw, which is what the loop sees last when a process is killed in it. */
function codecThatKills(fate: Fate) {
  const decoded: Buffer[] = [];
  const learned: Buffer[] = [];
  const deadly: Codec = {
    ...codec,
    learn: (values, signal) => {
      learned.push(...values.filter((it) => it !== null).map((it) => Buffer.from(it)));
      return codec.learn(values, signal);
    },
    encode: (topic, type, data) => codec.encode(topic, type, data),
    decode: (topic, bytes) => {
      if (topic.name === topics.commands.name) {
        const before = decoded.filter((it) => it.equals(bytes)).length;
        decoded.push(Buffer.from(bytes));
        if (fate(bytes, before) === "dies") throw new Error("Killed");
      }
      return codec.decode(topic, bytes);
    },
  };
  const count = (seen: readonly Buffer[], text: string) =>
    seen.filter((it) => it.includes(text)).length;
  /** How often bytes with this text were looked at. */
  const lookedAt = (text: string) => [count(learned, text), count(decoded, text)];
  return { codec: deadly, lookedAt };
}

interface Life {
  readonly codec: Codec;
  readonly network?: Network;
}

/** Starts one process after the other until one has consumed everything; how many died before it. */
async function liveUntilConsumed({ codec: deadly, network }: Life, end: bigint): Promise<number> {
  for (let deaths = 0; deaths < 20; deaths++) {
    const over = network === undefined ? log : log.via(network);
    const { open: openStore } = files;
    const bank = { log: over, topics, codec: deadly, clock: systemClock, openStore, openNote };
    const process: RunningPartition = processPartition(bank, partition);
    const life = { ended: false };
    const watched = process.ended.catch(() => {
      life.ended = true;
    });
    await until("death or the end", () => life.ended || process.position() >= end, { everyMs: 1 });
    if (life.ended) continue;
    await process.stop();
    await watched;
    return deaths;
  }
  throw new Error("It dies again and again");
}

const replies = () =>
  seen(codec, topics.replies, log.committed({ topic: topics.replies.name, partition })).map(
    ({ key, data }) => [key, data["outcome"], data["reason"]],
  );
const letters = () => log.committed({ topic: topics.dlq.name, partition });

test("a command that kills is dead-lettered unread after two deaths alone, and its neighbours are processed", async () => {
  const records = accounts.slice(0, 9).map((id, i) => opening(id, i === 4 ? "KILLER" : "Ada"));
  await send(records);
  const life = codecThatKills((value) => (value.includes("KILLER") ? "dies" : "lives"));
  const deaths = await liveUntilConsumed(life, 9n);
  expect(deaths).toBe(3); // Once among others, twice alone.
  expect(life.lookedAt("KILLER")).toEqual([3, 3]);

  expect(replies()).toEqual(
    accounts.slice(0, 9).map((id, i) => {
      return i === 4 ? ["@0/4", "failed", "CRASHED_WORKER"] : [id, "accepted", null];
    }),
  );
  expect(letters()).toHaveLength(1);
  const [letter] = letters();
  expect(letter?.value).toEqual(records[4]?.value);
  const header = (name: string) => (letter ? headerOf(letter, name) : null);
  expect(header(deadLetterHeaders.code)).toBe("CRASHED_WORKER");
  expect(header(deadLetterHeaders.offset)).toBe("4");
  expect(header(deadLetterHeaders.attempts)).toBe("2");
});

test("of several that kill, each is found", async () => {
  const deadly = new Set([0, 3, 4, 8]);
  await send(accounts.slice(0, 9).map((id, i) => opening(id, deadly.has(i) ? "KILLER" : "Ada")));
  const life = codecThatKills((value) => (value.includes("KILLER") ? "dies" : "lives"));
  expect(await liveUntilConsumed(life, 9n)).toBe(1 + 2 * deadly.size);
  expect(letters().map((it) => headerOf(it, deadLetterHeaders.offset))).toEqual(
    [...deadly].map(String),
  );
  expect(replies().filter(([, outcome]) => outcome === "accepted")).toHaveLength(5);
});

test("a good command that was being handled when the process was killed, once among others and once alone, is processed", async () => {
  await send(accounts.slice(0, 5).map((id) => opening(id)));
  const unlucky = accounts[2] ?? "";
  const life = codecThatKills((value, before) => {
    return value.includes(unlucky) && before < 2 ? "dies" : "lives";
  });
  expect(await liveUntilConsumed(life, 5n)).toBe(2);
  expect(letters()).toEqual([]);
  expect(replies()).toEqual(accounts.slice(0, 5).map((id) => [id, "accepted", null]));
});

test.each(["AddPartitionsToTxn", "Produce", "EndTxn"] as const)(
  "a good command is not suspected however often its process dies at %s",
  async (api) => {
    await send([opening(accounts[0] ?? "")]);
    let kills = 8;
    const network: Network = async (call, handle) => {
      if (call.api === api && kills-- > 0) throw new Error("Killed");
      return handle();
    };
    const life = codecThatKills(() => "lives");
    expect(await liveUntilConsumed({ ...life, network }, 1n)).toBe(8);
    expect(letters()).toEqual([]);
    expect(replies()).toEqual([[accounts[0], "accepted", null]]);
  },
);

test("a verdict stands although the process dies while it carries it out", async () => {
  await send([opening(accounts[0] ?? "", "KILLER"), opening(accounts[1] ?? "")]);
  let kills = 3;
  const network: Network = async (call, handle) => {
    if (call.api === "Produce" && kills-- > 0) throw new Error("Killed");
    return handle();
  };
  const life = codecThatKills((value) => (value.includes("KILLER") ? "dies" : "lives"));
  expect(await liveUntilConsumed({ ...life, network }, 2n)).toBe(6);
  expect(life.lookedAt("KILLER")).toEqual([3, 3]);
  expect(letters()).toHaveLength(1);
  expect(replies()).toEqual([
    ["@0/0", "failed", "CRASHED_WORKER"],
    [accounts[1], "accepted", null],
  ]);
});
