import { createRequire } from "node:module";
import type * as kafkajs from "kafkajs";
import { inject } from "vitest";
import type { TopicPartition } from "../../engine/log.ts";
import { until } from "../until.ts";

/** Stock kafkajs, for what the product never does: deleting records and groups, and showing its faults. */
export const stock = createRequire(import.meta.url)("kafkajs") as typeof kafkajs;

export function stockClient(options: Partial<kafkajs.KafkaConfig> = {}): kafkajs.Kafka {
  return new stock.Kafka({
    brokers: [inject("kafkaBrokers")],
    logLevel: stock.logLevel.NOTHING,
    ...options,
  });
}

export async function administer<T>(work: (admin: kafkajs.Admin) => Promise<T>): Promise<T> {
  const admin = stockClient().admin();
  await admin.connect();
  try {
    return await work(admin);
  } finally {
    await admin.disconnect();
  }
}

/** Where each partition begins and ends. A leader is named a moment before it takes office, and refuses until then. */
export async function boundsOf(admin: kafkajs.Admin, topic: string) {
  return until(`the leaders of ${topic} to take office`, async () => {
    try {
      return await admin.fetchTopicOffsets(topic);
    } catch (error) {
      if ((error as kafkajs.KafkaJSProtocolError).type === "NOT_LEADER_FOR_PARTITION") return null;
      throw error;
    }
  });
}

export async function deleteRecords(
  { topic, partition }: TopicPartition,
  before: bigint,
): Promise<void> {
  const partitions = [{ partition, offset: String(before) }];
  await administer(async (admin) => {
    await boundsOf(admin, topic); // Loads the metadata that the next call presumes.
    await admin.deleteTopicRecords({ topic, partitions });
  });
}
