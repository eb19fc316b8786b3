import { maxRecordBytes } from "../topic.ts";
import type { OutRecord, TopicPartition } from "../log.ts";
import { recordBytesAtMost } from "./record-batch.ts";

/** Records that go into one record batch, and where each stands in the caller's list. */
export interface PartitionChunk extends TopicPartition {
  readonly records: readonly OutRecord[];
  readonly positions: readonly number[];
}

/**
 * Splits records into batches: per topic partition, in the order given, each below what a topic takes by
 * default. A record that is larger by itself (a dead letter) makes a batch alone. Round `i` holds the i-th
 * batch of every partition; rounds are sent one after the other, which keeps the order.
 */
export function chunksByRound(records: readonly OutRecord[]): PartitionChunk[][] {
  const perPartition = new Map<string, PartitionChunk[]>();
  const open = new Map<string, { records: OutRecord[]; positions: number[]; bytes: number }>();
  records.forEach((record, position) => {
    const key = `${record.partition}/${record.topic}`;
    const bytes = recordBytesAtMost(record);
    let chunk = open.get(key);
    if (!chunk || chunk.bytes + bytes > maxRecordBytes) {
      chunk = { records: [], positions: [], bytes: 61 };
      open.set(key, chunk);
      const chunks = perPartition.get(key) ?? [];
      chunks.push({ topic: record.topic, partition: record.partition, ...chunk });
      perPartition.set(key, chunks);
    }
    chunk.records.push(record);
    chunk.positions.push(position);
    chunk.bytes += bytes;
  });
  const rounds: PartitionChunk[][] = [];
  for (const chunks of perPartition.values()) {
    chunks.forEach((chunk, round) => (rounds[round] ??= []).push(chunk));
  }
  return rounds;
}
