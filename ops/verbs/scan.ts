import { backOff, coordinatorBackoff } from "../../engine/backoff.ts";
import { type Clock, systemClock } from "../../engine/clock.ts";
import { TransientError } from "../../engine/errors.ts";
import type { LogOffsets, LogRecord, Reader, TopicPartition } from "../../engine/log.ts";

/** Reads what a partition holds now, from one end to the other. */

export interface ScannedSlice {
  readonly records: readonly LogRecord[];
  /** From 0 to 1. */
  readonly share: number;
}

export interface ScanOptions {
  readonly reader: Reader;
  readonly of: TopicPartition;
  /** Where to begin; the start of the log where left out, or where it is before it. */
  readonly from?: bigint;
}

const limits = { maxBytes: 4 << 20, maxWaitMs: 500 };
const answerWithinMs = 15_000;

/**
 * Everything committed from `from` to the last stable offset of this moment: what an open transaction holds
 * back is not waited for.
 * @throws TransientError where the broker stops answering
 */
export async function* scan({ reader, of, from }: ScanOptions): AsyncGenerator<ScannedSlice> {
  const { start, stable } = await boundsOf(reader, of);
  const first = from === undefined || from < start ? start : from;
  for (let offset = first; offset < stable;) {
    const signal = AbortSignal.timeout(answerWithinMs);
    const slice = await reader.read({ ...of, offset }, limits, signal);
    if (signal.aborted && slice.next === offset) throw silent(of);
    offset = slice.next;
    const records = slice.records.filter((record) => record.offset < stable);
    yield { records, share: Math.min(1, Number(offset - first) / Number(stable - first)) };
  }
}

/** A worker's transaction times out after 10 s, and a broker looks for such every 10 s; then some. */
const patienceMs = 25_000;

/**
 * Waits until all that the partition holds now is decided: the marker of a transaction may come a moment after the
 * answer that its command got.
 * @returns where the events begin that an open transaction still holds back, after 25 s; else `null`
 * @throws TransientError where the broker does not answer
 */
export async function untilDecided(
  reader: Reader,
  of: TopicPartition,
  clock: Clock = systemClock,
): Promise<bigint | null> {
  const { end } = await boundsOf(reader, of);
  const deadline = clock.now() + patienceMs;
  for (let attempt = 0; ; attempt++) {
    const { stable } = await boundsOf(reader, of);
    if (stable >= end) return null;
    if (clock.now() >= deadline) return stable;
    await backOff(coordinatorBackoff, attempt, clock);
  }
}

/** @throws TransientError where the broker does not answer */
export async function boundsOf(reader: Reader, of: TopicPartition): Promise<LogOffsets> {
  const signal = AbortSignal.timeout(answerWithinMs);
  try {
    return await reader.offsets(of, signal);
  } catch (error) {
    throw signal.aborted ? silent(of) : error;
  }
}

function silent({ topic, partition }: TopicPartition): TransientError {
  return new TransientError(
    `The broker of ${topic}/${partition} did not answer within ${answerWithinMs / 1000} s`,
  );
}
