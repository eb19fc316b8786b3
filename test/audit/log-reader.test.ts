import { randomUUID } from "node:crypto";
import type { Producer, Transaction } from "kafkajs";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, inject, test } from "vitest";
import { kafkaLog } from "../../engine/kafka/kafka-log.ts";
import type { Log, LogRecord, TopicPartition } from "../../engine/log.ts";
import { randomFrom } from "../../engine/testing/jumping-clock.ts";
import type { AuditRecord, Until } from "../../ops/audit/audited-log.ts";
import { type LogReader, openLogReader, type ReaderLimits } from "../../ops/audit/log-reader.ts";
import { deleteRecords, stockClient } from "../broker/admin.ts";
import { readAll as readByEngine } from "../log-reads.ts";
import { until } from "../until.ts";

/** The audit's reader on a real broker, beside the engine's. */

const settings = {
  brokers: [inject("kafkaBrokers")],
  clientId: "audit-test",
  tls: null,
  sasl: null,
};
const { signal } = new AbortController();
let log: Log;
let topic: string;
let at: TopicPartition;
let readers: LogReader[] = [];
let producers: Producer[] = [];

beforeAll(() => {
  log = kafkaLog(settings);
});
beforeEach(() => {
  topic = `audited-${randomUUID()}`;
  at = { topic, partition: 0 };
});
afterEach(async () => {
  for (const reader of readers) reader.close();
  await Promise.all(producers.map((producer) => producer.disconnect()));
  readers = [];
  producers = [];
});
afterAll(async () => {
  await log.close();
});

async function makeTopic(config: Readonly<Record<string, string>> = {}): Promise<void> {
  const kept = { "retention.ms": "-1", ...config };
  await log.createTopic({ name: topic, partitions: 1, replicationFactor: 1, config: kept });
}

function openReader(limits: Partial<ReaderLimits> = {}): LogReader {
  const reader = openLogReader(settings, signal, limits);
  readers.push(reader);
  return reader;
}

interface Reading {
  readonly until?: Until;
  readonly limits?: Partial<ReaderLimits>;
}

async function readAll({ until = "all is decided", limits = {} }: Reading = {}) {
  const reader = openReader(limits);
  return collect(reader, { until, mark: await reader.mark(at) });
}

async function collect(
  reader: LogReader,
  { until, mark }: { until: Until; mark: { start: bigint; end: bigint } },
): Promise<AuditRecord[]> {
  const records: AuditRecord[] = [];
  for await (const slice of reader.topic(at, mark).read(until)) records.push(...slice.records);
  return records;
}

async function openProducer(transactionalId?: string): Promise<Producer> {
  const producer = stockClient().producer({
    idempotent: true,
    maxInFlightRequests: 1,
    ...(transactionalId !== undefined && { transactionalId, transactionTimeout: 60_000 }),
  });
  await producer.connect();
  producers.push(producer);
  return producer;
}

async function openTransaction(): Promise<Transaction> {
  return (await openProducer(randomUUID())).transaction();
}

async function send(by: Pick<Producer, "send">, ...values: string[]): Promise<void> {
  const messages = values.map((value) => ({ partition: 0, key: "key", value }));
  await by.send({ topic, messages });
}

const values = (records: readonly LogRecord[]) => records.map(({ value }) => String(value));

describe("what is committed", () => {
  test("is told by the markers, however transactions overlap: a random script of them", async () => {
    const seed = Number(process.env["SEED"] ?? Date.now() % 1_000_000);
    const random = randomFrom(seed);
    await makeTopic();
    const plain = await openProducer();
    const writers = await Promise.all([openProducer("w1"), openProducer("w2"), openProducer("w3")]);
    const open = new Map<Producer, { transaction: Transaction; values: string[] }>();
    const committed = new Set<string>();
    const aborted = new Set<string>();
    const end = async (writer: Producer) => {
      const own = open.get(writer);
      if (own === undefined) return;
      const isKept = random() < 0.5;
      await (isKept ? own.transaction.commit() : own.transaction.abort());
      for (const value of own.values) (isKept ? committed : aborted).add(value);
      open.delete(writer);
    };
    for (let i = 0; i < 120; i++) {
      const value = `v${i}`;
      const writer = writers[Math.floor(random() * 3)] as Producer;
      if (random() < 0.15) {
        await send(plain, value);
        committed.add(value);
      } else if (random() < 0.3) await end(writer);
      else {
        const own = open.get(writer) ?? { transaction: await writer.transaction(), values: [] };
        open.set(writer, own);
        await send(own.transaction, value);
        own.values.push(value);
      }
    }
    for (const writer of writers) await end(writer);

    for (const limits of [{}, { heldBytes: 300 }]) {
      const read = await readAll({ limits });
      expect(
        read.map(({ offset }) => offset),
        `SEED=${seed}`,
      ).toEqual(
        [...read].sort((a, b) => (a.offset < b.offset ? -1 : 1)).map(({ offset }) => offset),
      );
      expect(new Set(values(read)), `SEED=${seed}`).toEqual(committed);
      expect(read, `SEED=${seed}`).toHaveLength(committed.size);
      expect(values(read)).toEqual(values(await readByEngine(log, at)));
    }
    expect(aborted.size).toBeGreaterThan(0);
  });

  test("does not depend on the end that was looked up, but on how the transaction ends", async () => {
    await makeTopic();
    const transaction = await openTransaction();
    await send(transaction, "begun before the end");
    await send(await openProducer(), "plain");
    const reader = openReader();
    const mark = await reader.mark(at);
    const reading = collect(reader, { until: "all is decided", mark });
    await transaction.commit();
    expect(values(await reading)).toEqual(["begun before the end", "plain"]);
    expect(values(await collect(reader, { until: "the end", mark }))).toEqual(["plain"]);
  });

  test("leaves out what is not ended in time, and nothing behind it", async () => {
    await makeTopic();
    const plain = await openProducer();
    await send(plain, "before");
    const hanging = await openTransaction();
    await send(hanging, "hanging");
    await send(plain, "after");
    const reader = openReader({ patienceMs: 300 });
    const mark = await reader.mark(at);
    const read = await collect(reader, { until: "all is decided", mark });
    expect(values(read)).toEqual(["before", "after"]);
    const held = openReader({ patienceMs: 300, heldBytes: 1 });
    expect(values(await collect(held, { until: "all is decided", mark }))).toEqual(values(read));
    expect(await reader.hanging(at, mark.end)).toMatchObject({ stable: 1n, end: 3n });

    await hanging.commit();
    // Its marker is written after the commit was answered, and this reader's patience is short.
    await until("the commit to be seen", async () => (await reader.hanging(at, mark.end)) === null);
    expect(values(await readAll())).toEqual(["before", "hanging", "after"]);
  });

  test("names its writer where it was written in a transaction", async () => {
    await makeTopic();
    const transaction = await openTransaction();
    await send(transaction, "transactional");
    await transaction.commit();
    await send(await openProducer(), "plain");
    const read = await readAll();
    expect(read.map(({ writer }) => writer !== null)).toEqual([true, false]);
    expect(read[0]?.writer).toMatch(/^\d+\/0$/);
  });
});

describe("a record", () => {
  test.each(["uncompressed", "gzip", "zstd"])("is read whole, kept %s", async (codec) => {
    await makeTopic({ "compression.type": codec, "max.message.bytes": "8000000" });
    const producer = await openProducer();
    const many = Array.from({ length: 500 }, (_, i) => [`h${i}`, `é${i}`] as const);
    await producer.send({
      topic,
      messages: [
        { partition: 0, key: null, value: "no key", timestamp: "1600000000000" },
        { partition: 0, key: "é/1", value: null, timestamp: "1500000000000" },
        { partition: 0, key: "", value: "", timestamp: "1700000000123" },
        { partition: 0, key: "many", value: "headers", headers: Object.fromEntries(many) },
        { partition: 0, key: "twice", value: "x", headers: { twice: ["1", "2"] } },
      ],
    });
    const large = Buffer.alloc(3_000_000, "0123456789abcdef!");
    await producer.send({ topic, messages: [{ partition: 0, key: "large", value: large }] });
    await send(producer, "after");

    const read = await readAll();
    expect(read).toMatchObject(await readByEngine(log, at)); // And who wrote it, besides.
    expect(read.map(({ key }) => key?.toString() ?? null)).toEqual([
      null,
      "é/1",
      "",
      "many",
      "twice",
      "large",
      "key",
    ]);
    expect(read[1]?.value).toBeNull();
    expect(read.slice(0, 3).map(({ timestamp }) => timestamp)).toEqual([
      1_600_000_000_000, 1_500_000_000_000, 1_700_000_000_123,
    ]);
    expect(read[3]?.headers).toHaveLength(500);
    expect(read[4]?.headers.map(([name, value]) => [name, String(value)])).toEqual([
      ["twice", "1"],
      ["twice", "2"],
    ]);
    expect(read[5]?.value?.equals(large)).toBe(true);
  });

  test("has the broker's time where the topic says so", async () => {
    await makeTopic({ "message.timestamp.type": "LogAppendTime" });
    const before = Date.now();
    await send(await openProducer(), "now");
    const [record] = await readAll();
    expect(record?.timestamp).toBeGreaterThanOrEqual(before - 60_000);
    expect(record?.timestamp).toBe((await readByEngine(log, at))[0]?.timestamp);
  });

  test("kept in a compression that the audit does not know is refused with what to do", async () => {
    await makeTopic({ "compression.type": "lz4" });
    await send(await openProducer(), "x");
    await expect(readAll()).rejects.toThrow(/lz4.*set compression\.type/is);
  });
});

describe("a log that was cleaned", () => {
  test("is read over its gaps and emptied batches", async () => {
    await makeTopic({
      "cleanup.policy": "compact",
      "segment.ms": "200",
      "min.cleanable.dirty.ratio": "0.001",
      "max.compaction.lag.ms": "200",
      "delete.retention.ms": "100",
    });
    const put = async (by: Pick<Producer, "send">, key: string, value: string | null) =>
      by.send({ topic, messages: [{ partition: 0, key, value }] });
    for (const round of ["1", "2", "3"]) {
      // Each producer's last batch is kept, emptied; an aborted one loses its marker too.
      const kept = await openTransaction();
      await put(kept, "a", round);
      await put(kept, "b", round);
      await kept.commit();
      const lost = await openTransaction();
      await put(lost, "a", "aborted");
      await lost.abort();
      await put(await openProducer(), "c", round);
    }
    const fill = await openProducer();
    let fillers = 0;
    await until("the cleaner to pass", async () => {
      await put(fill, `filler-${fillers++}`, "x");
      const read = await readByEngine(log, at);
      return read.filter(({ key }) => !String(key).startsWith("filler")).length === 3;
    });
    const read = await readAll();
    expect(
      read
        .filter(({ key }) => !String(key).startsWith("filler"))
        .map((it) => [String(it.key), String(it.value)]),
    ).toEqual([
      ["a", "3"],
      ["b", "3"],
      ["c", "3"],
    ]);
    const [first] = read;
    expect(first?.offset).toBeGreaterThan(0n);
  });

  test("tells where retention has removed the beginning", async () => {
    await makeTopic();
    const producer = await openProducer();
    for (const value of ["1", "2", "3"]) await send(producer, value);
    const reader = openReader();
    const before = await reader.mark(at);
    await deleteRecords(at, 2n);
    expect((await reader.mark(at)).start).toBe(2n);

    const slices = [];
    for await (const slice of reader.topic(at, before).read("the end")) slices.push(slice);
    const [found] = slices.filter(({ records }) => records.length > 0);
    expect(found?.isAfterGap).toBe(true);
    expect(values(found?.records ?? [])).toEqual(["3"]);
  });
});

test("a broker that is not there is said to be so within seconds", async () => {
  const nowhere = { ...settings, brokers: ["127.0.0.1:1"] };
  const reader = openLogReader(nowhere, signal);
  readers.push(reader);
  await expect(reader.mark(at)).rejects.toThrow(/127\.0\.0\.1:1/);
});

test("a topic that is not there is named", async () => {
  await expect(openReader().partitionsOf(topic)).rejects.toMatchObject({ code: "TOPIC_MISSING" });
});
