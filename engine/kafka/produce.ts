import { backOff, brokerBackoff } from "../backoff.ts";
import { systemClock } from "../clock.ts";
import { FatalError } from "../errors.ts";
import type { OutRecord, Receipt } from "../log.ts";
import { chunksByRound, type PartitionChunk } from "./batches.ts";
import { type KafkaClient, type WireRequest } from "./client.ts";
import { requestTimeoutMs } from "./kafkajs.ts";
import type { Broker } from "./kafkajs-types.ts";
import { retriable } from "./failure.ts";
import { encodeBatch } from "./record-batch.ts";

/** The identity that a broker gave to a producer, and the sequence numbers that it has used. */
export interface ProducerSession {
  readonly transactionalId: string | null;
  readonly producerId: bigint;
  readonly producerEpoch: number;
  /** Topic partition → the sequence number of its next record. */
  readonly sequences: Map<string, number>;
  /** Topic partition → the last offset that the broker acknowledged. */
  readonly acknowledged: Map<string, bigint>;
}

interface SentBatch {
  readonly chunk: PartitionChunk;
  readonly key: string;
  readonly bytes: Buffer;
}

const maxSequence = 2 ** 31;

/**
 * Appends the records and returns their offsets. Sends again only after an answer that says that a batch
 * was not appended, and then the same bytes with the same sequence number. After any throw the session
 * must not be used again: stock kafkajs goes on and loses the next send (`probes` t2).
 * @throws the client's error where the outcome is unknown; FatalError `LOST_SEND` where the broker
 *   acknowledges an offset that it had acknowledged before
 */
export async function produce(
  client: KafkaClient,
  session: ProducerSession,
  records: readonly OutRecord[],
): Promise<Receipt> {
  const offsets = new Array<bigint>(records.length);
  for (const round of chunksByRound(records)) {
    let unsent = round.map((chunk) => sealBatch(session, chunk));
    for (let attempt = 0; unsent.length > 0; attempt++) {
      if (attempt > 0) {
        await backOff(brokerBackoff, attempt - 1, systemClock);
        await client.refresh();
      }
      unsent = await sendRound(client, session, unsent, offsets, attempt);
    }
  }
  return offsets;
}

function sealBatch(session: ProducerSession, chunk: PartitionChunk): SentBatch {
  const key = `${chunk.partition}/${chunk.topic}`;
  const baseSequence = session.sequences.get(key) ?? 0;
  session.sequences.set(key, (baseSequence + chunk.records.length) % maxSequence);
  const transactional = session.transactionalId !== null;
  return {
    chunk,
    key,
    bytes: encodeBatch(chunk.records, { ...session, baseSequence, transactional }),
  };
}

/** Sends batches to their leaders, notes the offsets of those appended, returns the others. */
async function sendRound(
  client: KafkaClient,
  session: ProducerSession,
  batches: readonly SentBatch[],
  offsets: bigint[],
  attempt: number,
): Promise<SentBatch[]> {
  const byLeader = new Map<Broker, SentBatch[]>();
  for (const batch of batches) {
    const leader = await client.leaderOf(batch.chunk);
    const others = byLeader.get(leader);
    if (others) others.push(batch);
    else byLeader.set(leader, [batch]);
  }
  const refused: SentBatch[] = [];
  const answers = await Promise.all(
    [...byLeader].map(async ([leader, sent]) => ({
      sent,
      results: await client.send(leader, produceRequest(session.transactionalId, sent)),
    })),
  );
  for (const { sent, results } of answers) {
    for (const batch of sent) {
      const { topic, partition } = batch.chunk;
      const result = results.find((it) => it.topic === topic && it.partition === partition);
      if (!result) throw new Error(`The broker did not answer for ${topic}/${partition}`);
      if (result.errorCode === 0) note(session, batch, result.baseOffset, offsets);
      else if (retriable.produce.has(result.errorCode) && attempt < maxAttempts)
        refused.push(batch);
      else {
        const text = `Produce to ${topic}/${partition} answered code ${result.errorCode}`;
        throw Object.assign(new Error(text), { code: result.errorCode });
      }
    }
  }
  return refused;
}

/** About ten seconds: then a transaction has timed out anyway. */
const maxAttempts = 14;

function note(session: ProducerSession, batch: SentBatch, base: bigint, offsets: bigint[]): void {
  const last = session.acknowledged.get(batch.key);
  if (last !== undefined && base <= last) {
    throw new FatalError(
      "LOST_SEND",
      `${batch.chunk.topic}/${batch.chunk.partition}: the broker acknowledged offset ${String(base)} ` +
        `after ${String(last)}; what was sent may not be in the log.`,
    );
  }
  batch.chunk.positions.forEach((position, i) => (offsets[position] = base + BigInt(i)));
  session.acknowledged.set(batch.key, base + BigInt(batch.chunk.records.length - 1));
}

interface ProduceResult {
  readonly topic: string;
  readonly partition: number;
  readonly errorCode: number;
  readonly baseOffset: bigint;
}

/** Produce API, version 7. */
function produceRequest(
  transactionalId: string | null,
  batches: readonly SentBatch[],
): WireRequest<ProduceResult[]> {
  const idBytes = transactionalId === null ? 0 : Buffer.byteLength(transactionalId);
  const head = Buffer.alloc(2 + idBytes + 2 + 4 + 4);
  let at = head.writeInt16BE(transactionalId === null ? -1 : idBytes, 0);
  if (transactionalId !== null) at += head.write(transactionalId, at);
  at = head.writeInt16BE(-1, at); // acks=all
  at = head.writeInt32BE(requestTimeoutMs, at);
  head.writeInt32BE(batches.length, at); // An entry for each batch: a topic may repeat.
  const parts: Buffer[] = [head];
  for (const { chunk, bytes } of batches) {
    const topicBytes = Buffer.byteLength(chunk.topic);
    const prefix = Buffer.alloc(2 + topicBytes + 4 + 4 + 4);
    let p = prefix.writeInt16BE(topicBytes, 0);
    p += prefix.write(chunk.topic, p);
    p = prefix.writeInt32BE(1, p);
    p = prefix.writeInt32BE(chunk.partition, p);
    prefix.writeInt32BE(bytes.length, p);
    parts.push(prefix, bytes);
  }
  return {
    apiKey: 0,
    apiVersion: 7,
    apiName: "Produce",
    body: Buffer.concat(parts),
    decode: decodeProduce,
  };
}

function decodeProduce(answer: Buffer): ProduceResult[] {
  const results: ProduceResult[] = [];
  let at = 4;
  for (let topics = answer.readInt32BE(0); topics > 0; topics--) {
    const nameEnd = at + 2 + answer.readInt16BE(at);
    const topic = answer.toString("utf8", at + 2, nameEnd);
    at = nameEnd + 4;
    for (let partitions = answer.readInt32BE(nameEnd); partitions > 0; partitions--) {
      results.push({
        topic,
        partition: answer.readInt32BE(at),
        errorCode: answer.readInt16BE(at + 4),
        baseOffset: answer.readBigInt64BE(at + 6),
      });
      at += 4 + 2 + 8 + 8 + 8; // With the append time and the log's start.
    }
  }
  return results;
}
