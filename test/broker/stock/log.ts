import { randomUUID } from "node:crypto";
import { afterAll, inject } from "vitest";
import { kafkaLog } from "../../../engine/kafka/kafka-log.ts";
import type { Log, OutRecord, TopicPartition } from "../../../engine/log.ts";
import { readAll } from "../../log-reads.ts";
import { until } from "../../until.ts";
import { stockConsumer } from "./kafkajs.ts";

/** Our log over the broker, or over the proxy before it that listens on `port`. */
export function openLog(port?: number): Log {
  const broker = port === undefined ? inject("kafkaBrokers") : `127.0.0.1:${port}`;
  return kafkaLog({ brokers: [broker], clientId: "ours", tls: null, sasl: null });
}

/** The same, open until the end of the file. */
export function ourLog(port?: number): Log {
  return closeAtEnd(openLog(port));
}

const closing: { close(): Promise<void> }[] = [];
afterAll(async () => {
  for (const it of closing.reverse()) await it.close();
});

export function closeAtEnd<T extends { close(): Promise<void> }>(it: T): T {
  closing.push(it);
  return it;
}

/** Makes a topic of one partition, and returns that. */
export async function newPartition(
  log: Log,
  config: Readonly<Record<string, string>> = {},
): Promise<TopicPartition> {
  const topic = `stock-${randomUUID()}`;
  await log.createTopic({ name: topic, partitions: 1, replicationFactor: 1, config });
  return { topic, partition: 0 };
}

export function outRecord(to: TopicPartition, value: string): OutRecord {
  return { ...to, key: "key", value: Buffer.from(value), headers: [], timestamp: Date.now() };
}

/** What our reader returns from `offset` up to the end that the partition has now, as `<offset>:<value>`. */
export async function ourReads(log: Log, of: TopicPartition, offset = 0n): Promise<string[]> {
  const records = await readAll(log, of, offset);
  return records.map((it) => `${it.offset}:${String(it.value)}`);
}

/** The values alone. */
export async function ourValues(log: Log, of: TopicPartition): Promise<string[]> {
  return (await ourReads(log, of)).map((it) => it.slice(it.indexOf(":") + 1));
}

/** Sets a group's offset, for a consumer that is to begin there. */
export async function setGroupOffset(
  log: Log,
  group: string,
  to: TopicPartition & { readonly offset: bigint },
): Promise<void> {
  const writer = await log.openWriter({ transactionalId: group });
  await writer.transact({ records: [], consumed: { group, ...to } });
  await writer.close();
  // Before its marker is written the group has no offset, and a consumer would begin at the start.
  await until("the offset to be seen", async () => {
    return (await log.committedOffset(group, to)) === to.offset;
  });
}

/** What a stock consumer hands over from `offset` until the record with the value `last`, as `<offset>:<value>`. */
export async function stockReads(
  log: Log,
  of: TopicPartition,
  last: string,
  offset = 0n,
): Promise<string[]> {
  const group = `${of.topic}-${randomUUID()}`;
  await setGroupOffset(log, group, { ...of, offset });
  const consumer = await stockConsumer(of.topic, group);
  const read: string[] = [];
  await consumer.run({
    eachMessage: async ({ message }) => {
      read.push(`${message.offset}:${String(message.value)}`);
    },
  });
  await until(
    `a stock consumer to read "${last}"`,
    () => read.at(-1)?.endsWith(`:${last}`) ?? false,
  );
  await consumer.disconnect();
  return read;
}
