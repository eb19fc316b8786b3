import type { Codec } from "../codec.ts";
import type { FailureCode } from "../errors.ts";
import type { Position, Reply } from "../generated.ts";
import type { LogRecord, OutRecord } from "../log.ts";
import { eventKey, headers, positionKey, propagatedHeaders, snapshotKey } from "../message.ts";
import type { AggregateTopics } from "../topic.ts";
import type { WindowEdge } from "./answers.ts";
import type { Command } from "./command.ts";

/** The records that handling a command writes: each from plain values, each for one topic. Pure. */

/** Where the records of one input partition go, and how they are written. */
export interface Destination {
  readonly topics: AggregateTopics;
  readonly partition: number;
  readonly codec: Codec;
}

/** What can be said of the sender's command; `null` is what could not be read. */
export type CommandRead = Pick<
  { readonly [K in keyof Command]: Command[K] | null },
  "id" | "aggregateId" | "type" | "hash" | "issueTime"
>;

export type Said = Pick<Reply, "outcome" | "version" | "reason"> & {
  /** Of a duplicate: where the command was handled first. */
  readonly firstOffset?: bigint;
  readonly duplicate?: boolean;
};

/** A longer header of a sender's is not handed on. */
const maxPropagatedBytes = 1_024;

/** `values`: encoded events, the first of which has version `firstVersion`; `timestamp` in ms since the epoch. */
export function eventRecords(
  { topics, partition }: Destination,
  values: readonly Buffer[],
  cause: { readonly record: LogRecord; readonly command: Command },
  { firstVersion, timestamp }: { readonly firstVersion: number; readonly timestamp: number },
): OutRecord[] {
  const { record, command } = cause;
  const caused: OutRecord["headers"] = [
    [headers.commandId, command.id],
    [headers.commandOffset, String(record.offset)],
    ...handedOn(record),
  ];
  return values.map((value, i) => ({
    topic: topics.events.name,
    partition,
    key: eventKey(command.aggregateId, firstVersion + i),
    value,
    headers: caused,
    timestamp,
  }));
}

export function replyRecord(
  { topics, partition, codec }: Destination,
  record: LogRecord,
  command: CommandRead,
  said: Said,
  { key, timestamp }: { readonly key: string; readonly timestamp: number },
): OutRecord {
  const reply: Reply = {
    commandId: command.id,
    commandType: command.type,
    aggregateId: command.aggregateId,
    commandOffset: Number(record.offset),
    firstOffset: Number(said.firstOffset ?? record.offset),
    outcome: said.outcome,
    version: said.version,
    reason: said.reason,
    duplicate: said.duplicate ?? false,
    payloadHash: command.hash,
    issuedAt: command.issueTime,
  };
  return {
    topic: topics.replies.name,
    partition,
    key,
    value: codec.encode(topics.replies, "Reply", reply),
    headers: handedOn(record),
    timestamp,
  };
}

export function failure(code: FailureCode): Said {
  return { outcome: "failed", version: null, reason: code };
}

/** The last reply of a transaction says where the window of remembered answers begins. */
export function withEdge(reply: OutRecord, { horizon, oldestReply }: WindowEdge): OutRecord {
  const said: [string, string][] = [];
  if (horizon !== null) said.push([headers.horizon, String(horizon)]);
  if (oldestReply !== null) said.push([headers.oldestReply, String(oldestReply)]);
  return { ...reply, headers: [...reply.headers, ...said] };
}

/** `fold`: what the state was folded by, so that another fold does not read it. */
export function snapshotRecord(
  { topics, partition }: Destination,
  aggregateId: string,
  { version, bytes }: { readonly version: number; readonly bytes: Buffer },
  { fold, timestamp }: { readonly fold: string; readonly timestamp: number },
): OutRecord {
  return {
    topic: topics.snapshots.name,
    partition,
    key: snapshotKey(aggregateId),
    value: bytes,
    headers: [
      [headers.version, String(version)],
      [headers.foldVersion, fold],
    ],
    timestamp,
  };
}

export function positionRecord(
  { topics, partition, codec }: Destination,
  position: Position,
  timestamp: number,
): OutRecord {
  return {
    topic: topics.snapshots.name,
    partition,
    key: positionKey,
    value: codec.encode(topics.snapshots, "Position", position),
    headers: [],
    timestamp,
  };
}

/** Of a name that repeats the last: who sends a thousand must not make records that no topic takes. */
function handedOn({ headers: sent }: LogRecord): [string, Buffer][] {
  const handed = new Map<string, Buffer>();
  for (const [name, value] of sent) {
    if (value === null || value.length > maxPropagatedBytes) continue;
    if (propagatedHeaders.includes(name)) handed.set(name, value);
  }
  return [...handed];
}
