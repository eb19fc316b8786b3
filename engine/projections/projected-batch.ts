import type { Codec } from "../codec.ts";
import type { Message } from "../decider.ts";
import { invariant, PoisonError } from "../errors.ts";
import { headerOf, type LogRecord, type TopicPartition } from "../log.ts";
import { headers, parseEventKey } from "../message.ts";
import type { Reply } from "../generated.ts";
import type { AnyProjection, ProjectedEvent, ProjectedRecord } from "../projection.ts";
import type { Batch } from "../read-ahead.ts";
import type { Topic } from "../topic.ts";
import { type Changes, collect, UnapplicableError } from "./rows.ts";
import { type Checkpoint } from "./views.ts";

/** A batch of records as what it does to a view. Pure, once the codec has learnt the records' schemas. */

/** An event that a view cannot take: where it stands and what is wrong. */
export interface Obstacle {
  readonly record: LogRecord;
  /** `null` where the bytes could not be decoded. */
  readonly type: string | null;
  readonly cause: PoisonError | UnapplicableError;
}

export interface ProjectedBatch {
  readonly changes: Changes;
  /** After the last event that could be applied; its `nextOffset` is the obstacle's where there is one. */
  readonly checkpoint: Checkpoint;
  readonly events: number;
  /** Of the last event that could be applied, in milliseconds since the epoch. */
  readonly lastEventTime: number | null;
  /** The first event that could not: everything before it is in `changes`, nothing of it or after it. */
  readonly obstacle: Obstacle | null;
}

/** Decodes the records and folds what the projection makes of them, as far as that goes. */
export function projected(
  { projection, topic, topicPartition: { partition }, codec }: ProjectedBy,
  { records, next }: Batch,
  from: Checkpoint | null,
): ProjectedBatch {
  const collector = collect(projection);
  let last: { readonly come: Come; readonly record: LogRecord } | null = null;
  let events = 0;
  let obstacle: Obstacle | null = null;

  for (const record of records) {
    let read: Read | null = null;
    try {
      read = readRecord({ topic, partition, codec }, record);
      collector.apply(read.event);
    } catch (error) {
      if (!(error instanceof PoisonError || error instanceof UnapplicableError)) throw error;
      obstacle = { record, type: read?.event.type ?? null, cause: error };
      break;
    }
    last = { come: read.come, record };
    events += 1;
  }

  return {
    changes: collector.changes(),
    checkpoint: {
      nextOffset: obstacle === null ? next : obstacle.record.offset,
      commandOffset: last === null ? (from?.commandOffset ?? null) : last.come.commandOffset,
      version: last === null ? (from?.version ?? null) : last.come.version,
    },
    events,
    lastEventTime: last === null ? null : last.record.timestamp,
    obstacle,
  };
}

export interface ProjectedBy {
  readonly projection: AnyProjection;
  readonly topic: Topic;
  readonly topicPartition: TopicPartition;
  readonly codec: Pick<Codec, "decode">;
}

/** How far the commands have come with a record; see `Checkpoint`. */
type Come = Pick<Checkpoint, "commandOffset" | "version">;

interface Read {
  readonly event: Message & ProjectedRecord;
  readonly come: Come;
}

interface ReadBy {
  readonly topic: Topic;
  readonly partition: number;
  readonly codec: Pick<Codec, "decode">;
}

function readRecord(by: ReadBy, record: LogRecord): Read {
  return by.topic.kind === "replies" ? readReply(by, record) : readEvent(by, record);
}

function readEvent({ topic, partition, codec }: ReadBy, record: LogRecord): Read {
  const key = keyOf(record, "an event");
  const parsed = parseEventKey(key);
  if (parsed === null) {
    throw new PoisonError("KEY_MISMATCH", "the key is not <aggregate id>/<version>");
  }
  if (record.value === null) {
    throw new PoisonError(
      "BAD_WIRE_FORMAT",
      "the event has been erased, only its tombstone is left",
    );
  }
  const { type, data } = codec.decode(topic, record.value);
  const commandId = headerOf(record, headers.commandId);
  const commandOffset = headerOf(record, headers.commandOffset);
  if (commandId === null || commandOffset === null || !/^[0-9]{1,19}$/.test(commandOffset)) {
    const { commandId: id, commandOffset: offset } = headers;
    throw new PoisonError("INVALID_EVENT", `an event has the headers ${id} and ${offset}`);
  }
  const { aggregateId, version } = parsed;
  const event: Message & ProjectedEvent = {
    type,
    data,
    ...placeOf(topic, partition, record, key),
    aggregateId,
    version,
    commandId,
  };
  return { event, come: { commandOffset: BigInt(commandOffset), version } };
}

function readReply({ topic, partition, codec }: ReadBy, record: LogRecord): Read {
  const key = keyOf(record, "a reply");
  if (record.value === null) throw new PoisonError("BAD_WIRE_FORMAT", "a reply has a value");
  const { type, data } = codec.decode(topic, record.value);
  const { commandOffset, version } = data as unknown as Reply;
  return {
    event: { type, data, ...placeOf(topic, partition, record, key) },
    come: { commandOffset: BigInt(commandOffset), version },
  };
}

function keyOf({ key }: LogRecord, what: string): string {
  if (key === null) throw new PoisonError("NULL_KEY", `${what} has a key`);
  return key.toString("utf8");
}

function placeOf(
  topic: Topic,
  partition: number,
  { offset, timestamp }: LogRecord,
  key: string,
): ProjectedRecord {
  return {
    topic: topic.name,
    partition,
    offset: Number(offset),
    key,
    time: new Date(timestamp),
  };
}

function after(records: readonly LogRecord[]): bigint {
  const last = records.at(-1);
  invariant(last !== undefined, "a part of a batch has records");
  return last.offset + 1n;
}

/** The two halves of a batch that is too much at once: `null` where it is a single record. */
export function halves({ records, next }: Batch): readonly [Batch, Batch] | null {
  if (records.length < 2) return null;
  const middle = Math.ceil(records.length / 2);
  const first = records.slice(0, middle);
  return [
    { records: first, next: after(first) },
    { records: records.slice(middle), next },
  ];
}
