import type { Clock } from "../clock.ts";
import type { Codec, Decoded } from "../codec.ts";
import type { Decider, Message } from "../decider.ts";
import { FatalError, messageOf, PoisonError } from "../errors.ts";
import type { LogOffsets, LogRecord, Reader, ReadLimits, Slice, TopicPartition } from "../log.ts";
import type { AggregateTopics, Topic } from "../topic.ts";
import type { PartitionState } from "./partition-state.ts";

/** How a restore reads the topics of its partition. */

/** What a restore reads with, and what it fills. */
export interface Restore<S> {
  readonly decider: Decider<S, Message, Message, string>;
  readonly topics: AggregateTopics;
  readonly partition: number;
  readonly codec: Codec;
  readonly reader: Reader;
  readonly clock: Clock;
  readonly fold: string;
  /** Empty, or as the local store has it. */
  readonly state: PartitionState<S>;
  /** Whether `state` came from the local store. */
  readonly fromStore: boolean;
  /** A restore of much must not hold it all in memory: so many changed entries wait for the store at most. */
  readonly maxUnwritten: number;
  /** The bounds of each topic, taken after the fencing of every earlier writer. */
  readonly marks: Marks;
  /** The group's committed offset on the commands topic. */
  readonly committed: bigint | null;
  /** Called while a foreign open transaction keeps the restore from its end, and with 0 ms when it does no more. */
  readonly onStuck: (of: TopicPartition, stuckMs: number) => void;
}

export interface Marks {
  readonly commands: LogOffsets;
  readonly events: LogOffsets;
  readonly snapshots: LogOffsets;
  readonly replies: LogOffsets;
}

export type Marked = keyof Marks;

const limits: ReadLimits = { maxBytes: 1 << 20, maxWaitMs: 500 };
/** A transaction times out after ten seconds, and the broker looks for such every ten. */
const patienceMs = 20_000;

/**
 * Reads a topic up to its mark; waits, however long, where an open transaction stands before it. What a slice has
 * beyond the mark is cut off: it is the work of a successor, and the rest of that is not read.
 */
export async function* slices<S>(
  { reader, topics, partition, clock, marks, onStuck }: Restore<S>,
  kind: Marked,
  from: bigint,
  signal: AbortSignal,
): AsyncGenerator<Slice> {
  const of = { topic: topics[kind].name, partition };
  const { end } = marks[kind];
  let offset = from;
  let since = clock.now();
  let isStuck = false;
  while (offset < end) {
    const slice = await reader.read({ ...of, offset }, limits, signal);
    signal.throwIfAborted();
    if (slice.next > offset) {
      offset = slice.next < end ? slice.next : end;
      since = clock.now();
      if (isStuck) onStuck(of, 0);
      isStuck = false;
      yield { ...slice, records: slice.records.filter((it) => it.offset < end), next: offset };
    } else if (clock.now() - since > patienceMs) {
      isStuck = true;
      onStuck(of, clock.now() - since);
    }
  }
}

/** @throws FatalError `UNREADABLE_LOG` */
export function decoded(codec: Codec, topic: Topic, record: LogRecord): Decoded {
  try {
    if (record.value === null) throw new PoisonError("BAD_WIRE_FORMAT", "it has no value");
    return codec.decode(topic, record.value);
  } catch (error) {
    if (!(error instanceof PoisonError)) throw error;
    throw unreadable(topic, null, record, messageOf(error), error);
  }
}

export function unreadable(
  topic: Topic,
  partition: number | null,
  { offset }: LogRecord,
  why: string,
  cause?: unknown,
): FatalError {
  const where =
    partition === null
      ? `${topic.name} at offset ${offset}`
      : `${topic.name}/${partition}/${offset}`;
  return new FatalError(
    "UNREADABLE_LOG",
    `Today's code cannot read ${where}, which a worker wrote: ${why}. Run the version that wrote it, ` +
      `or bring its schema back.`,
    { cause },
  );
}

export function atLeast(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}
