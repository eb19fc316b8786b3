import { randomUUID } from "node:crypto";
import { expect, inject, test } from "vitest";
import { KafkaClient } from "../../engine/kafka/client.ts";
import { type KafkaConfig } from "../../engine/kafka/kafkajs.ts";
import { kafkaLog } from "../../engine/kafka/kafka-log.ts";
import { closeAtEnd, newPartition, outRecord } from "./stock/log.ts";

const signal = new AbortController().signal;

test("a reader that has used up its quota is held back, and reads on", async () => {
  const clientId = `throttled-${randomUUID()}`;
  const config = { brokers: [inject("kafkaBrokers")], clientId, tls: null, sasl: null };
  const log = closeAtEnd(kafkaLog(config));
  const at = await newPartition(log);
  const producer = closeAtEnd(await log.openProducer());
  const values = ["a", "b", "c"].map((it) => it.repeat(100_000));
  for (const value of values) await producer.send([outRecord(at, value)]);
  await limitReading(config, 29_000);

  const reader = closeAtEnd(await log.openReader());
  const read: string[] = [];
  for (let offset = 0n; offset < 3n;) {
    const slice = await reader.read({ ...at, offset }, { maxBytes: 1, maxWaitMs: 100 }, signal);
    read.push(...slice.records.map(({ value }) => String(value)));
    offset = slice.next;
  }
  expect(read).toEqual(values);
});

/** AlterClientQuotas, version 0: so many bytes a second for this client id. */
async function limitReading(config: KafkaConfig, bytesASecond: number): Promise<void> {
  const client = new KafkaClient(config);
  const text = (it: string) => {
    const bytes = Buffer.alloc(2 + it.length);
    bytes.writeInt16BE(it.length, 0);
    bytes.write(it, 2);
    return bytes;
  };
  const one = Buffer.from([0, 0, 0, 1]); // The length of an array.
  const value = Buffer.alloc(8);
  value.writeDoubleBE(bytesASecond);
  const errorCode = await client.send(await client.anyBroker(), {
    apiKey: 49,
    apiVersion: 0,
    apiName: "AlterClientQuotas",
    body: Buffer.concat([
      one,
      ...[one, text("client-id"), text(config.clientId)],
      ...[one, text("consumer_byte_rate"), value, Buffer.from([0])],
      Buffer.from([0]), // Not only to validate it.
    ]),
    decode: (answer) => answer.readInt16BE(8),
  });
  client.close();
  expect(errorCode).toBe(0);
}
