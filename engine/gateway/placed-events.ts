import type { Codec } from "../codec.ts";
import { FatalError, messageOf, PoisonError } from "../errors.ts";
import type { LogRecord, Reader } from "../log.ts";
import { eventKey } from "../message.ts";
import type { Topic } from "../topic.ts";

/** Events read from the log where an index says that they stand: Kafka itself finds nothing by key. */

/** Where an event of an aggregate stands in its partition. */
export interface Place {
  readonly version: number;
  readonly offset: bigint;
}

export interface PlacedEvent {
  readonly version: number;
  readonly type: string;
  readonly data: Readonly<Record<string, unknown>>;
  readonly record: LogRecord;
}

/** What to read with, and whose events. */
export interface Placed {
  readonly reader: Reader;
  readonly codec: Codec;
  readonly topic: Topic;
  readonly partition: number;
  readonly aggregateId: string;
}

/** The events were not read before the signal said to stop. */
export class ReadStopped extends Error {
  override readonly name = "ReadStopped";
}

/** Places so near to each other are read at once, with what others have put between them. */
const neighbourOffsets = 100n;
/** What a record takes, roughly: a read that asks for too little only takes one more. */
const recordBytes = 256;
const leastBytes = 4_096;
const mostBytes = 1_048_576;
const maxWaitMs = 500;

/**
 * The events at `places`, which are in the order of their versions and so of their offsets, a list a read. What
 * is in memory is one read's records, of about a megabyte at most.
 * @throws ReadStopped where `signal` aborts first
 * @throws FatalError `BROKEN_INVARIANT` where another record, or none, stands at a place; `UNREADABLE_LOG` where
 *   today's code cannot read it
 */
export async function* eventsAt(
  from: Placed,
  places: readonly Place[],
  signal: AbortSignal,
): AsyncGenerator<readonly PlacedEvent[]> {
  const { reader, codec, topic, partition } = from;
  const of = { topic: topic.name, partition };
  for (let i = 0; i < places.length;) {
    const offset = (places[i] as Place).offset;
    const limits = { maxBytes: bytesFor(places, i), maxWaitMs };
    const { records, next } = await reader.read({ ...of, offset }, limits, signal);
    const found = new Map(records.map((record) => [record.offset, record]));
    const reached = reachedBy(places, i, next);
    const read = places
      .slice(i, reached)
      .map((place) => checked(from, place, found.get(place.offset)));
    await learn(
      codec,
      read.map(({ value }) => value),
      signal,
    );
    if (read.length > 0) {
      yield read.map((record, k) => decoded(from, (places[i + k] as Place).version, record));
    }
    i = reached;
    if (signal.aborted && i < places.length)
      throw new ReadStopped("the events were not read in time");
  }
}

/** Enough for this place and its neighbours. */
function bytesFor(places: readonly Place[], first: number): number {
  let last = first;
  while (gapAfter(places, last) <= neighbourOffsets) {
    last += 1;
    if (span(places, first, last) * recordBytes > mostBytes) break;
  }
  return Math.min(mostBytes, leastBytes + span(places, first, last) * recordBytes);
}

function gapAfter(places: readonly Place[], i: number): bigint {
  const [here, next] = [places[i], places[i + 1]];
  return here === undefined || next === undefined
    ? neighbourOffsets + 1n
    : next.offset - here.offset;
}

function span(places: readonly Place[], first: number, last: number): number {
  return Number((places[last]?.offset ?? 0n) - (places[first]?.offset ?? 0n)) + 1;
}

/** The index of the first place that is not before `next`. */
function reachedBy(places: readonly Place[], first: number, next: bigint): number {
  let i = first;
  while (i < places.length && (places[i] as Place).offset < next) i += 1;
  return i;
}

/** Schema ids that are not known yet are looked up, but not for ever. */
async function learn(
  codec: Codec,
  values: readonly (Buffer | null)[],
  signal: AbortSignal,
): Promise<void> {
  try {
    await codec.learn(values, signal);
  } catch (error) {
    if (!signal.aborted || error instanceof FatalError) throw error;
  }
  if (signal.aborted) throw new ReadStopped("the schemas of the events were not found in time");
}

function checked(
  from: Placed,
  { version, offset }: Place,
  record: LogRecord | undefined,
): LogRecord & { readonly value: Buffer } {
  const key = eventKey(from.aggregateId, version);
  if (record === undefined) throw broken(from, offset, "no record stands there");
  const { value } = record;
  if (record.key?.toString("utf8") !== key) {
    throw broken(from, offset, `the key there is not ${JSON.stringify(key)}`);
  }
  if (value === null) throw broken(from, offset, "the event there has been erased");
  return { ...record, value };
}

function broken({ topic, partition }: Placed, offset: bigint, what: string): FatalError {
  return new FatalError(
    "BROKEN_INVARIANT",
    `the event index names ${topic.name}/${partition}/${offset}, but ${what}: the index is not of this log, or the log was changed`,
  );
}

function decoded(
  { codec, topic, partition }: Placed,
  version: number,
  record: LogRecord & { readonly value: Buffer },
): PlacedEvent {
  try {
    const { type, data } = codec.decode(topic, record.value);
    return { version, type, data, record };
  } catch (error) {
    if (!(error instanceof PoisonError)) throw error;
    const where = `${topic.name}/${partition}/${record.offset}`;
    const message = `Today's code cannot read ${where}, which a worker wrote: ${messageOf(error)}`;
    throw new FatalError("UNREADABLE_LOG", message, { cause: error });
  }
}
