import { FatalError, TransientError } from "../errors.ts";
import type { LogOffsets, LogRecord, Reader, ReadLimits, Slice, TopicPartition } from "../log.ts";
import { KafkaClient, type WireRequest } from "./client.ts";
import { type KafkaConfig } from "./kafkajs.ts";
import { offsetOutOfRange } from "./failure.ts";
import { untilAnswered } from "./retry.ts";
import { decodeBatches, type RecordBatch } from "./record-batch.ts";

const readUncommitted = 0;
const readCommitted = 1;
const latest = -1;
const earliest = -2;

/** What a broker says about one partition in answer to a fetch (Fetch API, version 11). */
export interface FetchedPartition {
  readonly errorCode: number;
  readonly highWatermark: bigint;
  readonly lastStableOffset: bigint;
  readonly logStartOffset: bigint;
  readonly aborted: readonly AbortedTransaction[];
  readonly batches: readonly RecordBatch[];
}

export interface AbortedTransaction {
  readonly producerId: bigint;
  readonly firstOffset: bigint;
}

/** Our own fetch loop: straight to the leader, without a consumer group. */
export class KafkaReader implements Reader {
  private readonly client: KafkaClient;

  constructor(config: KafkaConfig) {
    this.client = new KafkaClient(config);
  }

  async read(
    from: TopicPartition & { readonly offset: bigint },
    limits: ReadLimits,
    signal: AbortSignal,
  ): Promise<Slice> {
    const fetched = await this.asking(from, signal, async () => {
      const leader = await this.client.leaderOf(from);
      const answer = await this.client.send(leader, fetchRequest(from, limits));
      if (answer.errorCode === 0 || answer.errorCode === offsetOutOfRange) return answer;
      throw Object.assign(new Error(`Fetch answered code ${answer.errorCode}`), {
        code: answer.errorCode,
      });
    });
    if (!fetched) return { records: [], next: from.offset, start: 0n, stable: 0n, end: 0n };
    if (fetched.errorCode === offsetOutOfRange) {
      const { start, end } = await this.offsets(from, signal);
      throw new FatalError(
        "OFFSET_OUT_OF_RANGE",
        `${from.topic}/${from.partition} has no offset ${from.offset} (it reaches from ${start} to ${end}): ` +
          `the topic was emptied, truncated or created anew.`,
      );
    }
    return {
      ...committed(fetched, from.offset),
      start: fetched.logStartOffset,
      stable: fetched.lastStableOffset,
      end: fetched.highWatermark,
    };
  }

  async offsets(of: TopicPartition, signal: AbortSignal): Promise<LogOffsets> {
    const found = await this.asking(of, signal, async () => {
      const leader = await this.client.leaderOf(of);
      const ask = async (timestamp: number, isolationLevel: number) => {
        const topics = [{ topic: of.topic, partitions: [{ partition: of.partition, timestamp }] }];
        const answer = await leader.listOffsets({ replicaId: -1, isolationLevel, topics });
        return BigInt(answer.responses[0]?.partitions[0]?.offset ?? -1);
      };
      return {
        start: await ask(earliest, readUncommitted),
        stable: await ask(latest, readCommitted),
        end: await ask(latest, readUncommitted),
      };
    });
    if (!found) throw signal.reason;
    return found;
  }

  async close(): Promise<void> {
    this.client.close();
  }

  private asking<T>(
    { topic, partition }: TopicPartition,
    signal: AbortSignal,
    ask: () => Promise<T>,
  ): Promise<T | null> {
    return untilAnswered(this.client, `Reading ${topic}/${partition}`, ask, signal);
  }
}

/**
 * What a read_committed reader may see, and the position after it. As Kafka's Java consumer does it
 * (CompletedFetch): the aborted transactions come in the order in which they ended, so they are sorted by
 * where they began; each stays open until its producer's abort marker.
 */
export function committed(
  fetched: Pick<FetchedPartition, "batches" | "aborted" | "lastStableOffset">,
  from: bigint,
): { records: LogRecord[]; next: bigint } {
  const begun = [...fetched.aborted].sort((a, b) => (a.firstOffset < b.firstOffset ? -1 : 1));
  const aborting = new Set<bigint>();
  const records: LogRecord[] = [];
  let next = from;
  let begins = 0;
  for (const batch of fetched.batches) {
    for (let t = begun[begins]; t && t.firstOffset <= batch.lastOffset; t = begun[++begins]) {
      aborting.add(t.producerId);
    }
    next = batch.lastOffset + 1n;
    if (batch.control === "abort") aborting.delete(batch.producerId);
    if (batch.control !== null) continue;
    if (batch.transactional && aborting.has(batch.producerId)) continue;
    for (const record of batch.records()) if (record.offset >= from) records.push(record);
  }
  // The last stable offset is taken before the log is read, so nothing at all below it is a hole that
  // compaction left, and waiting for a record in it would be waiting for ever.
  if (fetched.batches.length === 0 && fetched.lastStableOffset > next) {
    next = fetched.lastStableOffset;
  }
  return { records, next };
}

function fetchRequest(
  of: TopicPartition & { readonly offset: bigint },
  limits: ReadLimits,
): WireRequest<FetchedPartition> {
  const topicBytes = Buffer.byteLength(of.topic);
  const body = Buffer.alloc(69 + topicBytes);
  let at = body.writeInt32BE(-1, 0); // Not a replica.
  at = body.writeInt32BE(limits.maxWaitMs, at);
  at = body.writeInt32BE(1, at); // At least a byte.
  at = body.writeInt32BE(limits.maxBytes, at);
  at = body.writeInt8(readCommitted, at);
  at = body.writeInt32BE(0, at); // No fetch session…
  at = body.writeInt32BE(-1, at); // …in any epoch.
  at = body.writeInt32BE(1, at);
  at = body.writeInt16BE(topicBytes, at);
  at += body.write(of.topic, at);
  at = body.writeInt32BE(1, at);
  at = body.writeInt32BE(of.partition, at);
  at = body.writeInt32BE(-1, at); // Any leader epoch.
  at = body.writeBigInt64BE(of.offset, at);
  at = body.writeBigInt64BE(-1n, at);
  at = body.writeInt32BE(limits.maxBytes, at);
  at = body.writeInt32BE(0, at); // No forgotten topics.
  at = body.writeInt16BE(0, at); // No rack.
  return {
    apiKey: 1,
    apiVersion: 11,
    apiName: "Fetch",
    body: body.subarray(0, at),
    decode: decodeFetch,
  };
}

function decodeFetch(answer: Buffer): FetchedPartition {
  const errorCode = answer.readInt16BE(4);
  if (errorCode !== 0)
    throw Object.assign(new Error(`Fetch answered code ${errorCode}`), { code: errorCode });
  if (answer.readInt32BE(10) === 0) {
    // No topics: the broker has the data and holds it back, and then the connection, too (KIP-219).
    throw new TransientError("The broker's quota for what this client may read is used up");
  }
  // Throttle time, error code, session id, one topic with its name, one partition with its number.
  let at = 4 + 2 + 4 + 4;
  at += 2 + answer.readInt16BE(at) + 4 + 4;
  const abortedAt = at + 2 + 8 + 8 + 8;
  const abortedCount = Math.max(0, answer.readInt32BE(abortedAt)); // −1: none.
  const aborted: AbortedTransaction[] = [];
  for (let i = 0; i < abortedCount; i++) {
    const entry = abortedAt + 4 + i * 16;
    aborted.push({
      producerId: answer.readBigInt64BE(entry),
      firstOffset: answer.readBigInt64BE(entry + 8),
    });
  }
  const recordsAt = abortedAt + 4 + abortedCount * 16 + 4 + 4;
  return {
    errorCode: answer.readInt16BE(at),
    highWatermark: answer.readBigInt64BE(at + 2),
    lastStableOffset: answer.readBigInt64BE(at + 10),
    logStartOffset: answer.readBigInt64BE(at + 18),
    aborted,
    batches: decodeBatches(answer.subarray(recordsAt)),
  };
}
