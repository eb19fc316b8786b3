import { beforeAll, expect, test } from "vitest";
import { systemClock } from "../engine/clock.ts";
import type { Codec } from "../engine/codec.ts";
import { deadLetter, deadLetterHeaders } from "../engine/commands/dead-letter.ts";
import { headerOf, type OutRecord } from "../engine/log.ts";
import { headers, partitionOf } from "../engine/message.ts";
import { MemoryLog } from "../engine/testing/memory-log.ts";
import { MemoryStoreFiles } from "../engine/testing/memory-store.ts";
import type { AggregateTopics } from "../engine/topic.ts";
import {
  bankCodec,
  bankTopics,
  commandRecord,
  createTopics,
  processPartition,
  seen,
} from "./bank.ts";
import { poisons } from "./poisons.ts";
import { until } from "./until.ts";

let topics: AggregateTopics;
let codec: Codec;

beforeAll(async () => {
  topics = bankTopics("test", 2);
  codec = await bankCodec(topics, systemClock);
});

const good = (commandId: string, accountId: string): OutRecord =>
  commandRecord({ topics, codec }, "OpenAccount", { commandId, accountId, owner: "Ada" });

test.each(poisons)(
  "$what: one dead letter, one failed reply, and the next is processed",
  async (poison) => {
    const log = new MemoryLog();
    await createTopics(log, topics);
    const record = poison.record({ topics, codec });
    const { partition } = record;
    const neighbour = ["a", "b", "c", "d"].find((id) => partitionOf(id, 2) === partition) ?? "";

    const producer = await log.openProducer();
    await producer.send([
      { ...good("before", neighbour), partition },
      record,
      { ...good("after", neighbour), partition },
    ]);
    const files = new MemoryStoreFiles();
    const bank = { log, topics, codec, clock: systemClock, openStore: files.open };
    const running = processPartition(bank, partition);
    await until("the three records to be consumed", () => running.position() >= 3n, { everyMs: 1 });
    await running.stop();

    const replies = seen(
      codec,
      topics.replies,
      log.committed({ topic: topics.replies.name, partition }),
    );
    expect(replies.map(({ data }) => [data["commandId"], data["outcome"], data["reason"]])).toEqual(
      [
        ["before", "accepted", null],
        [poison.commandId, "failed", poison.code],
        ["after", "rejected", "AlreadyOpened"],
      ],
    );
    expect(replies[1]?.key).toBe(poison.commandId ?? `@${partition}/1`);

    const letters = log.committed({ topic: topics.dlq.name, partition });
    expect(letters).toHaveLength(1);
    const [letter] = letters;
    expect(letter?.value).toEqual(record.value);
    expect(letter?.key).toEqual(record.key === null ? null : Buffer.from(record.key));
    const header = (name: string) => (letter ? headerOf(letter, name) : null);
    expect(header(deadLetterHeaders.code)).toBe(poison.code);
    expect(header(deadLetterHeaders.topic)).toBe(topics.commands.name);
    expect(header(deadLetterHeaders.partition)).toBe(String(partition));
    expect(header(deadLetterHeaders.offset)).toBe("1");
    expect(header(deadLetterHeaders.exceptionMessage)).not.toBe("");
  },
);

test("a header that is there a thousand times is handed on once, the last of them", async () => {
  const log = new MemoryLog();
  await createTopics(log, topics);
  const sent = good("1", "a");
  const value = Buffer.alloc(1_000, "x");
  const actors = Array.from({ length: 1_030 }, () => [headers.actor, value] as const);
  await (
    await log.openProducer()
  ).send([{ ...sent, headers: [...actors, [headers.actor, "Ada"]] }]);
  const openStore = new MemoryStoreFiles().open;
  const bank = { log, topics, codec, clock: systemClock, openStore };
  const running = processPartition(bank, sent.partition);
  await until("it to be consumed", () => running.position() >= 1n, { everyMs: 1 });
  await running.stop();
  for (const { name: topic } of [topics.events, topics.replies]) {
    const [record] = log.committed({ topic, partition: sent.partition });
    const names = (record?.headers ?? []).filter(([name]) => name === headers.actor);
    expect(names.map(([, text]) => String(text))).toEqual(["Ada"]);
  }
});

test("a dead letter of which the headers would not fit has them left out, and says how many", () => {
  const unreadable = [["\uFFFD".repeat(900_000), null]] as const;
  const record = {
    ...{ offset: 7n, timestamp: 0, key: null, value: Buffer.from("bytes") },
    headers: [...unreadable, ["short", Buffer.from("x")] as const],
  };
  const poison = {
    ...{ code: "BAD_WIRE_FORMAT" as const, message: "short", schemaId: null },
    ...{ commandId: null, aggregateId: null, type: null },
  } as const;
  const from = { topic: topics.commands.name, partition: 0 };
  const letter = deadLetter(record, from, poison, { dlq: topics.dlq, worker: "account" });
  const names = letter.headers.map(([name]) => name);
  expect(names).not.toContain("short");
  expect(letter.headers).toContainEqual([deadLetterHeaders.leftOut, "2"]);
  expect(letter.value).toEqual(record.value);
});

test("ids with newlines, quotes, emoji or __proto__ simply work", async () => {
  const log = new MemoryLog();
  await createTopics(log, topics);
  const ids = [
    "a\nb",
    `q"'\\`,
    "😀".repeat(63),
    "__proto__",
    "constructor",
    "@position",
    "@",
    "a/1",
    " ",
    "\u0001",
  ];
  const producer = await log.openProducer();
  for (const id of ids) await producer.send([good(id, id), good(`${id}'`, id)]);
  const files = new MemoryStoreFiles();
  const bank = { log, topics, codec, clock: systemClock, openStore: files.open };
  for (const deleteStore of [false, true]) {
    if (deleteStore) files.delete();
    for (const partition of [0, 1]) {
      const running = processPartition(bank, partition);
      const { end } = await (
        await log.openReader()
      ).offsets({ topic: topics.commands.name, partition }, new AbortController().signal);
      await until("all to be consumed", () => running.position() >= end, { everyMs: 1 });
      await running.stop();
    }
  }
  const all = [0, 1].flatMap((partition) =>
    seen(codec, topics.replies, log.committed({ topic: topics.replies.name, partition })),
  );
  const outcomes = new Map(all.map(({ key, data }) => [key, data["outcome"]]));
  for (const id of ids) {
    expect([id, outcomes.get(id), outcomes.get(`${id}'`)]).toEqual([id, "accepted", "rejected"]);
  }
});
