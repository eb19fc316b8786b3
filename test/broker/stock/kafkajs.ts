import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type * as kafkajs from "kafkajs";
import { afterAll, inject } from "vitest";

const require = createRequire(import.meta.url);

/** Where kafkajs is installed. */
export const installedKafkajs = dirname(require.resolve("kafkajs/package.json"));

/** Copies the installed kafkajs to a folder of its own, which goes away after the tests of this file. */
export function copyOfKafkajs(): string {
  const folder = mkdtempSync(join(tmpdir(), "stock-kafkajs-"));
  afterAll(() => {
    rmSync(folder, { recursive: true, force: true });
  });
  const copy = join(folder, "kafkajs");
  cpSync(installedKafkajs, copy, { recursive: true });
  return copy;
}

/**
 * kafkajs as it is published. From a copy, so that its modules are loaded once more: what
 * `engine/kafka/kafkajs.ts` changes in those that it loads does not reach these.
 */
const stock = require(copyOfKafkajs()) as typeof kafkajs;

/** The defaults that its users get; where `NODE_ENV` is "test" it takes others. */
const publishedRetry = {
  maxRetryTime: 30_000,
  initialRetryTime: 300,
  factor: 0.2,
  multiplier: 2,
  retries: 5,
};

/** A client of the broker, or of the proxy before it that listens on `port`. */
export function stockClient(port?: number): kafkajs.Kafka {
  return new stock.Kafka({
    brokers: [port === undefined ? inject("kafkaBrokers") : `127.0.0.1:${port}`],
    retry: publishedRetry,
    logLevel: stock.logLevel.NOTHING,
  });
}

export const { DefaultPartitioner } = stock.Partitioners;

const disconnecting: { disconnect(): Promise<void> }[] = [];
afterAll(async () => {
  for (const client of disconnecting) await client.disconnect();
});

/** A stock producer, connected until the end of the file. */
export async function stockProducer(
  client: kafkajs.Kafka,
  options: Omit<kafkajs.ProducerConfig, "idempotent" | "maxInFlightRequests">,
): Promise<kafkajs.Producer> {
  const producer = client.producer({ ...options, idempotent: true, maxInFlightRequests: 1 });
  await producer.connect();
  disconnecting.push(producer);
  return producer;
}

/** A stock consumer that begins at the start, or where its group has come to; connected until the end of the file. */
export async function stockConsumer(topic: string, groupId: string): Promise<kafkajs.Consumer> {
  const consumer = stockClient().consumer({ groupId, maxWaitTimeInMs: 100 });
  await consumer.connect();
  disconnecting.push(consumer);
  await consumer.subscribe({ topic, fromBeginning: true });
  return consumer;
}
