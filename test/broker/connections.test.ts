import { getEventListeners } from "node:events";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, inject, test } from "vitest";
import { TransientError } from "../../engine/errors.ts";
import type { Log, TopicPartition } from "../../engine/log.ts";
import { type KafkaProxy, startKafkaProxy } from "../faults/kafka-proxy.ts";
import { until } from "../until.ts";
import { newPartition, openLog, outRecord } from "./stock/log.ts";

const { boundPort, advertisedPort } = inject("kafkaProxied");
const never = new AbortController().signal;
const limits = { maxBytes: 1 << 20, maxWaitMs: 9_000 };
let proxy: KafkaProxy;
let log: Log;
let at: TopicPartition;

beforeAll(async () => {
  proxy = await startKafkaProxy(advertisedPort, boundPort);
});
afterAll(async () => {
  await proxy.close();
});
beforeEach(async () => {
  log = openLog(proxy.port);
  at = await newPartition(log);
});
/** Every test leaves no connection behind: one that nobody closes keeps a worker from ending. */
afterEach(async () => {
  await log.close();
  await until("all connections to be closed", () => proxy.connections() === 0, {
    deadlineMs: 6_000,
  });
});

describe("A connection that has gone silent without an end, as where a host has vanished", () => {
  test("is given up once an answer is overdue, and the reader reads on by another", async () => {
    const producer = await log.openProducer();
    const reader = await log.openReader();
    await producer.send([outRecord(at, "first")]);
    expect((await reader.read({ ...at, offset: 0n }, limits, never)).next).toBe(1n);
    proxy.freeze();
    await producer.close();
    const again = await log.openProducer();
    await again.send([outRecord(at, "second")]);
    const { records } = await reader.read({ ...at, offset: 1n }, limits, never);
    expect(records.map(({ value }) => String(value))).toEqual(["second"]);
    await again.close();
    await reader.close();
  });

  test("does not keep a member from leaving its group soon", async () => {
    const member = await log.join({ group: at.topic, topics: [at.topic] });
    expect(await member.next(never)).toEqual([at]);
    expect(await member.confirm(at)).toBe(true);
    proxy.freeze();
    const begun = performance.now();
    await member.leave();
    expect(performance.now() - begun).toBeLessThan(5_000);
  });
});

describe("A connection that the broker has ended because it was idle", () => {
  test("is opened again for the next use, and no writer is lost by it", async () => {
    const writer = await log.openWriter({ transactionalId: at.topic });
    const reader = await log.openReader();
    const producer = await log.openProducer();
    const transaction = (offset: bigint) => ({
      records: [outRecord(at, "transacted")],
      consumed: { group: at.topic, ...at, offset },
    });
    await writer.transact(transaction(1n));
    await producer.send([outRecord(at, "sent")]);
    await reader.read({ ...at, offset: 0n }, limits, never);
    proxy.hangUp();
    await until("the connections to end", () => proxy.connections() === 0);

    expect(await writer.transact(transaction(2n))).toEqual([3n]);
    expect(await producer.send([outRecord(at, "sent")])).toHaveLength(1);
    const { records } = await reader.read({ ...at, offset: 3n }, limits, never);
    expect(String(records[0]?.value)).toBe("transacted");
    for (const it of [writer, reader, producer]) await it.close();
  });
});

test("A broker whose first answer was lost is asked again by a connection of its own", async () => {
  const starting = openLog(proxy.port);
  proxy.inject({ api: "ApiVersions", does: "swallow-answer" });
  const describing = async () =>
    starting.describeTopic(at.topic).catch((error: unknown) => {
      expect(error).toBeInstanceOf(TransientError);
      return null;
    });
  const described = await until("the topic to be described", describing, { deadlineMs: 30_000 });
  expect(described.partitions).toBe(1);
  await starting.close();
});

describe("What was closed", () => {
  test("ends a read that is waiting, and connects no more", async () => {
    const reader = await log.openReader();
    const reading = reader.read({ ...at, offset: 0n }, limits, never);
    await until("the fetch", () => proxy.seen("Fetch") > 0);
    await reader.close();
    await expect(reading).rejects.toThrow("closed");
    await expect(reader.offsets(at, never)).rejects.toThrow("closed");
  });

  test("connects no more, though it was left while it was joining", async () => {
    const member = await log.join({ group: at.topic, topics: [at.topic] });
    await member.leave();
    expect(await member.next(never)).toBeNull();
    expect(await member.confirm(at)).toBe(false);
  });

  test("leaves nothing on the signal that was waited with", async () => {
    const { signal } = new AbortController();
    const member = await log.join({ group: at.topic, topics: [at.topic] });
    expect(await member.next(signal)).toEqual([at]);
    expect(getEventListeners(signal, "abort")).toEqual([]);
    await member.leave();
  });
});
