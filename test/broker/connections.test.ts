import { getEventListeners, once } from "node:events";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, inject, test } from "vitest";
import { KafkaClient } from "../../engine/kafka/client.ts";
import { kafkaLog } from "../../engine/kafka/kafka-log.ts";
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

test("Half an answer is forgotten with its connection, and what follows is read from its beginning", async () => {
  const [producer, reader] = [await log.openProducer(), await log.openReader()];
  for (const value of ["first", "second"]) {
    await producer.send([outRecord(at, value)]);
    proxy.inject({ api: "Fetch", does: "halve-answer" });
    const offset = value === "first" ? 0n : 1n;
    const { records } = await reader.read({ ...at, offset }, limits, never);
    expect(records.map((it) => String(it.value))).toEqual([value]);
  }
  await producer.close();
  await reader.close();
});

describe("With the first of the brokers that were named gone", () => {
  let named: Log;
  let first: Server;
  const opened = async () => {
    const writer = await named.openWriter({ transactionalId: at.topic });
    expect(await writer.transact({ records: [outRecord(at, "there")], consumed: null })).toEqual([
      0n,
    ]);
    await writer.close();
  };
  beforeEach(async () => {
    first = createServer().listen(0, "127.0.0.1");
    await once(first, "listening");
    const { port } = first.address() as AddressInfo;
    const brokers = [`127.0.0.1:${port}`, `127.0.0.1:${proxy.port}`];
    named = kafkaLog({ brokers, clientId: "test", tls: null, sasl: null });
  });
  afterEach(async () => {
    await named.close();
    first.close();
  });

  test("a writer is opened by the next", async () => {
    first.close();
    await opened();
    expect((await named.describeTopic(at.topic))?.partitions).toBe(1);
  });

  test("so it is where the first takes connections, and is silent or hangs up", async () => {
    const silent = new Set<Socket>();
    let count = 0;
    first.on("connection", (socket) => {
      if (count++ > 0) socket.destroy();
      else silent.add(socket);
    });
    await opened();
    expect((await named.describeTopic(at.topic))?.partitions).toBe(1);
    for (const socket of silent) socket.destroy();
  });
});

test("Metadata that was lost once is asked again, and no fault of ours", async () => {
  expect((await log.describeTopic(at.topic))?.partitions).toBe(1);
  proxy.inject({ api: "Metadata", does: "lose-request" });
  await expect(log.describeTopic(at.topic)).rejects.toBeInstanceOf(TransientError);
  expect((await log.describeTopic(at.topic))?.partitions).toBe(1);

  const [broker, other] = [`127.0.0.1:${proxy.port}`, await newPartition(log)];
  const client = new KafkaClient({ brokers: [broker], clientId: "test", tls: null, sasl: null });
  expect(await client.partitionsOf(at.topic)).toEqual([0]);
  proxy.inject({ api: "Metadata", does: "lose-request" });
  await expect(client.partitionsOf(other.topic)).rejects.toThrow();
  const again = async () => client.partitionsOf(other.topic).catch(() => null);
  expect(await until("the partitions to be told", again)).toEqual([0]);
  client.close();
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
