import { randomUUID } from "node:crypto";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { FatalError, WriterLostError } from "../engine/errors.ts";
import {
  headerOf,
  type Log,
  type LogRecord,
  type OutRecord,
  type Reader,
  type TopicPartition,
  type Writer,
} from "../engine/log.ts";
import type { Subject } from "./log-contract-subject.ts";
import { timeContract } from "./log-contract-time.ts";

const limits = { maxBytes: 1 << 20, maxWaitMs: 200 };

/** What `engine/log.ts` promises, as tests. Whatever the simulator relies on is to be held here. */
export function logContract(adapter: string, open: () => Promise<Subject>): void {
  describe(`${adapter}: the contract of a log`, () => {
    let subject: Subject;
    let log: Log;
    let topic: string;
    let at: TopicPartition;
    let reader: Reader;
    const closing: { close(): Promise<void> }[] = [];
    const signal = new AbortController().signal;

    beforeEach(async () => {
      subject = await open();
      log = subject.log;
      topic = `contract-${randomUUID()}`;
      at = { topic, partition: 1 };
      const config = { "retention.ms": "-1" }; // The records of these tests are old.
      await log.createTopic({ name: topic, partitions: 3, replicationFactor: 1, config });
      reader = await log.openReader();
    });
    afterEach(async () => {
      await reader.close();
      for (const it of closing.splice(0)) await it.close();
      await subject.close();
    });

    const record = (value: string | null, more: Partial<OutRecord> = {}): OutRecord => ({
      ...at,
      key: "key",
      value: value === null ? null : Buffer.from(value),
      headers: [],
      timestamp: 1_700_000_000_000,
      ...more,
    });
    const writer = async (transactionalId = topic): Promise<Writer> => {
      const opened = await log.openWriter({ transactionalId });
      closing.push(opened);
      return opened;
    };
    const append = async (by: Writer, ...values: string[]) =>
      by.transact({ records: values.map((value) => record(value)), consumed: null });
    /** Everything up to the high watermark, reached by position. */
    const readAll = async (from: TopicPartition = at, first?: bigint): Promise<LogRecord[]> => {
      const { start, end } = await reader.offsets(from, signal);
      const records: LogRecord[] = [];
      for (let offset = first ?? start; offset < end;) {
        const slice = await reader.read({ ...from, offset }, limits, signal);
        records.push(...slice.records);
        offset = slice.next;
      }
      return records;
    };
    const values = async (from: TopicPartition = at) =>
      (await readAll(from)).map((it) => String(it.value));
    const lost = async (call: Promise<unknown>, reason: WriterLostError["reason"]) => {
      const error: unknown = await call.then(
        () => null,
        (it: unknown) => it,
      );
      expect(error).toBeInstanceOf(WriterLostError);
      expect(error).toMatchObject({ reason });
    };

    test("a committed transaction is read back as it was written, at the offsets of its receipt", async () => {
      const receipt = await (
        await writer()
      ).transact({
        records: [
          record("a", {
            key: "é/1",
            headers: [
              ["h", "x"],
              ["h", "y"],
              ["none", null],
            ],
          }),
          record(null, { key: Buffer.from([0, 0, 0, 0]), timestamp: 1_600_000_000_000 }),
          record("", { key: null }),
        ],
        consumed: null,
      });
      const read = await readAll();
      expect(read.map(({ offset }) => offset)).toEqual(receipt);
      expect(read.map(({ key }) => key?.toString("hex") ?? null)).toEqual([
        Buffer.from("é/1").toString("hex"),
        "00000000",
        null,
      ]);
      expect(read.map(({ value }) => value?.toString() ?? null)).toEqual(["a", null, ""]);
      expect(read.map(({ timestamp }) => timestamp)).toEqual([
        1_700_000_000_000, 1_600_000_000_000, 1_700_000_000_000,
      ]);
      expect(read[0]?.headers.map(([name, value]) => [name, value?.toString() ?? null])).toEqual([
        ["h", "x"],
        ["h", "y"],
        ["none", null],
      ]);
      expect(read[0] && headerOf(read[0], "h")).toBe("y");
    });

    test("a transaction over several topic partitions is seen in each", async () => {
      const other = { topic, partition: 2 };
      const receipt = await (
        await writer()
      ).transact({
        records: [record("a"), record("b", other), record("c")],
        consumed: null,
      });
      expect(await values()).toEqual(["a", "c"]);
      expect(await values(other)).toEqual(["b"]);
      expect(receipt).toEqual([0n, 0n, 1n]);
    });

    test("control records take offsets, and the position passes them", async () => {
      const by = await writer();
      await append(by, "a");
      await append(by, "b");
      await writer(); // Waits for the markers.
      const slice = await reader.read({ ...at, offset: 0n }, limits, signal);
      const { end } = await reader.offsets(at, signal);
      expect(end).toBe(4n);
      expect(slice.next).toBeGreaterThan(slice.records.at(-1)?.offset ?? 99n);
      expect((await readAll()).map(({ offset }) => offset)).toEqual([0n, 2n]);
    });

    test("a reader sees nothing at or after the first record of an open transaction", async () => {
      const by = await writer();
      await append(by, "before");
      subject.loseRequest("EndTxn");
      await lost(append(by, "open"), "indefinite");
      await append(await writer("another"), "after");
      const slice = await reader.read({ ...at, offset: 2n }, limits, signal);
      expect(slice).toMatchObject({ records: [], next: 2n, stable: 2n });
      expect(slice.end).toBeGreaterThan(slice.stable);
      await writer(); // Aborts what the first one left open.
      expect(await values()).toEqual(["before", "after"]);
    });

    test("aborted transactions stay invisible however they overlap", async () => {
      // The long one begins first and is aborted last, so a broker names it after the short one.
      const [long, short] = [await writer("long"), await writer("short")];
      subject.loseRequest("EndTxn");
      await lost(append(long, "long 1", "long 2"), "indefinite");
      subject.loseRequest("EndTxn");
      await lost(append(short, "short"), "indefinite");
      await writer("short");
      await writer("long");
      await append(await writer("last"), "end");
      expect(await values()).toEqual(["end"]);
      // Also when the reading begins inside of both.
      expect((await readAll(at, 1n)).map((it) => String(it.value))).toEqual(["end"]);
    });

    test("a key of four zero bytes in an aborted transaction is no abort marker", async () => {
      const by = await writer();
      subject.loseRequest("EndTxn");
      const zeros = record("zeros", { key: Buffer.from([0, 0, 0, 0]) });
      await lost(by.transact({ records: [zeros, record("later")], consumed: null }), "indefinite");
      await append(await writer(), "end");
      expect(await values()).toEqual(["end"]);
    });

    test("a second writer with the same id fences the first and aborts its open transaction", async () => {
      const zombie = await writer();
      await append(zombie, "mine");
      const owner = await writer();
      await lost(append(zombie, "zombie"), "fenced");
      await append(owner, "owner");
      expect(await values()).toEqual(["mine", "owner"]);
    });

    test("a writer that failed is of no more use", async () => {
      const by = await writer();
      subject.loseRequest("Produce");
      await lost(append(by, "lost"), "indefinite");
      await expect(append(by, "again")).rejects.toBeInstanceOf(FatalError);
    });

    test.each(["AddPartitionsToTxn", "Produce", "TxnOffsetCommit"] as const)(
      "a lost answer to %s leaves nothing, and the next writer loses nothing",
      async (api) => {
        const by = await writer();
        await append(by, "before");
        subject.loseAnswer(api);
        const consumed = { group: topic, topic, partition: 0, offset: 7n };
        await lost(by.transact({ records: [record("lost")], consumed }), "indefinite");
        const next = await writer();
        await append(next, "next");
        expect(await values()).toEqual(["before", "next"]);
        expect(await log.committedOffset(topic, { topic, partition: 0 })).toBeNull();
      },
    );

    test("a lost answer to EndTxn leaves the transaction committed once, with its group offset", async () => {
      const by = await writer();
      subject.loseAnswer("EndTxn");
      const consumed = { group: topic, topic, partition: 0, offset: 7n };
      await lost(by.transact({ records: [record("committed")], consumed }), "indefinite");
      await append(await writer(), "next");
      expect(await values()).toEqual(["committed", "next"]);
      expect(await log.committedOffset(topic, { topic, partition: 0 })).toBe(7n);
    });

    test("a lost answer to InitProducerId is indefinite, and opening again works", async () => {
      subject.loseAnswer("InitProducerId");
      await lost(writer(), "indefinite");
      await append(await writer(), "a");
      expect(await values()).toEqual(["a"]);
    });

    test("a group offset is committed with its transaction, also by a writer that is no member", async () => {
      const of = { topic, partition: 2 };
      const by = await writer();
      expect(await log.committedOffset(topic, of)).toBeNull();
      await by.transact({ records: [record("a")], consumed: { group: topic, ...of, offset: 9n } });
      await by.transact({ records: [], consumed: { group: topic, ...of, offset: 3n } });
      await append(by, "b");
      expect(await log.committedOffset(topic, of)).toBe(3n);
    });

    test("a producer appends in order and tells the offsets, also of sends that overlap", async () => {
      const producer = await log.openProducer();
      closing.push(producer);
      const sends = ["a", "b", "c", "d"].map((value) =>
        producer.send([record(value), record(`${value}2`)]),
      );
      const offsets = (await Promise.all(sends)).flat();
      expect(offsets).toEqual([0n, 1n, 2n, 3n, 4n, 5n, 6n, 7n]);
      expect(await values()).toEqual(["a", "a2", "b", "b2", "c", "c2", "d", "d2"]);
    });

    test("a producer that lost an answer refuses every later send, so that none is lost silently", async () => {
      const producer = await log.openProducer();
      closing.push(producer);
      await producer.send([record("before")]);
      subject.loseAnswer("Produce");
      await lost(producer.send([record("unknown")]), "indefinite");
      await lost(producer.send([record("different")]), "indefinite");
      const next = await log.openProducer();
      closing.push(next);
      const [offset] = await next.send([record("next")]);
      const read = await readAll();
      expect(read.map((it) => String(it.value))).toEqual(["before", "unknown", "next"]);
      expect(read.at(-1)?.offset).toBe(offset);
    });

    test("more than a record batch holds keeps its order, and its receipt is right", async () => {
      const big = (i: number) => record(`${i}:`.padEnd(300_000, "x"));
      const receipt = await (
        await writer()
      ).transact({
        records: Array.from({ length: 8 }, (_, i) => big(i)),
        consumed: null,
      });
      const read = await readAll();
      expect(read.map((it) => String(it.value).slice(0, 2))).toEqual(
        Array.from({ length: 8 }, (_, i) => `${i}:`),
      );
      expect(read.map(({ offset }) => offset)).toEqual(receipt);
    });

    test("a record over the topic's limit is refused for good, and nothing of its transaction is seen", async () => {
      const tooLarge = record("x".repeat(1_100_000));
      const failed = (await writer()).transact({
        records: [record("a"), tooLarge],
        consumed: null,
      });
      await expect(failed).rejects.toBeInstanceOf(FatalError);
      await append(await writer(), "next");
      expect(await values()).toEqual(["next"]);
    });

    test("one record larger than a batch is taken where the topic allows it", async () => {
      await log.alterTopic(topic, { "max.message.bytes": "2100000" });
      await (
        await writer()
      ).transact({
        records: [record("a"), record("x".repeat(2_000_000)), record("b")],
        consumed: null,
      });
      expect((await readAll()).map((it) => it.value?.length)).toEqual([1, 2_000_000, 1]);
    });

    test("a read returns at least one record whatever its limit, and where to go on", async () => {
      await (await log.openProducer()).send([record("x".repeat(5_000))]);
      await append(await writer(), "y".repeat(5_000));
      const first = await reader.read(
        { ...at, offset: 0n },
        { maxBytes: 10, maxWaitMs: 200 },
        signal,
      );
      expect(first.records).toHaveLength(1);
      const second = await reader.read({ ...at, offset: first.next }, limits, signal);
      expect(second.records.map((it) => String(it.value)[0])).toEqual(["y"]);
    });

    test("a read at the end waits, and returns when a record comes", async () => {
      const empty = await reader.read(
        { ...at, offset: 0n },
        { maxBytes: 1000, maxWaitMs: 50 },
        signal,
      );
      expect(empty).toMatchObject({ records: [], next: 0n, end: 0n });
      const waiting = reader.read(
        { ...at, offset: 0n },
        { maxBytes: 1000, maxWaitMs: 9_000 },
        signal,
      );
      const producer = await log.openProducer();
      closing.push(producer);
      await producer.send([record("a")]);
      expect((await waiting).records).toHaveLength(1);
    });

    test("reading before the start or after the end is fatal, never a silent jump", async () => {
      const producer = await log.openProducer();
      closing.push(producer);
      await producer.send([record("a"), record("b"), record("c")]);
      await subject.deleteBefore(at, 2n);
      expect((await reader.offsets(at, signal)).start).toBe(2n);
      expect(await values()).toEqual(["c"]);
      for (const offset of [0n, 99n]) {
        await expect(reader.read({ ...at, offset }, limits, signal)).rejects.toMatchObject({
          code: "OFFSET_OUT_OF_RANGE",
        });
      }
    });

    test("a topic may set the append time over the sender's", async () => {
      await log.alterTopic(topic, { "message.timestamp.type": "LogAppendTime" });
      const before = Date.now();
      await append(await writer(), "a");
      const [read] = await readAll();
      expect(read?.timestamp).toBeGreaterThanOrEqual(before - 1);
    });

    test("compaction leaves the last record of a key, and the position passes what it emptied", async () => {
      const compacted = { topic: `${topic}-c`, partition: 0 };
      await log.createTopic({
        name: compacted.topic,
        partitions: 1,
        replicationFactor: 1,
        config: subject.compactedConfig,
      });
      const of = (key: string, value: string) => record(value, { ...compacted, key });
      for (const by of ["one", "two"]) {
        const producer = await log.openProducer();
        closing.push(producer);
        await producer.send([of("a", `${by} a`), of("b", `${by} b`)]);
      }
      const by = await writer();
      await by.transact({ records: [of("c", "old")], consumed: null });
      await by.transact({ records: [of("c", "new")], consumed: null });
      await writer(); // Waits for the markers: the cleaner does not pass an open transaction.
      await subject.compact(compacted);
      const read = await readAll(compacted);
      const kept = new Map(read.map((it) => [String(it.key), String(it.value)]));
      expect(kept.get("a")).toBe("two a");
      expect(kept.get("b")).toBe("two b");
      expect(kept.get("c")).toBe("new");
      expect(read.filter(({ key }) => /^[abc]$/.test(String(key)))).toHaveLength(3);
    });

    test("a topic is described as it is, and a change leaves its other settings alone", async () => {
      expect(await log.describeTopic(`${topic}-missing`)).toBeNull();
      await log.alterTopic(topic, { "retention.ms": "1000" });
      await log.alterTopic(topic, { "cleanup.policy": "delete" });
      const described = await log.describeTopic(topic);
      expect(described).toMatchObject({ partitions: 3, replicationFactor: 1 });
      expect(described?.config.get("retention.ms")).toBe("1000");
      expect(described?.config.get("cleanup.policy")).toBe("delete");
      expect(await log.clusterId()).not.toBe("");
    });

    timeContract(() => ({ subject, log, topic, at, signal, record, writer, append, values, lost }));
  });
}
