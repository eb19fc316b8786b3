import { fromJson, type JsonProblem } from "../avro/avro-json.ts";
import type { Codec } from "../codec.ts";
import { recordBytesAtMost } from "../kafka/record-batch.ts";
import type { OutRecord } from "../log.ts";
import { partitionOf } from "../message.ts";
import { type AggregateTopics, maxRecordBytes, type RecordType } from "../topic.ts";

/** A command as plain data → the record that carries it, or all that is wrong with it. */

/** A command on its way. */
export interface Outgoing {
  readonly commandId: string;
  readonly type: string;
  readonly aggregateId: string;
  readonly record: OutRecord;
}

export type CommandMade =
  | { readonly kind: "command"; readonly outgoing: Outgoing }
  | { readonly kind: "refused"; readonly problems: readonly JsonProblem[] }
  /** It is a command, and the log takes no record of its size. */
  | { readonly kind: "too large"; readonly bytes: number };

export interface CommandType {
  readonly topics: AggregateTopics;
  readonly record: RecordType;
}

/** Where the commands of this type go; `null` where there is none. */
export function commandTypeOf(
  aggregates: readonly AggregateTopics[],
  type: unknown,
): CommandType | null {
  for (const topics of aggregates) {
    const record = topics.commands.records.find(({ name }) => name === type);
    if (record !== undefined) return { topics, record };
  }
  return null;
}

/**
 * The record for a command's fields, as JSON gives them, `headers` with it. Refuses what can never reach the
 * log, or would say there something else than the fields do; the rest is for the command processor to judge.
 */
export function commandRecord(
  codec: Codec,
  { topics, record: type }: CommandType,
  fields: Readonly<Record<string, unknown>>,
  headers: OutRecord["headers"] = [],
): CommandMade {
  const read = fromJson(type, fields);
  if (!read.ok) return { kind: "refused", problems: read.problems };
  const { value: data } = read;
  const { commands, aggregate } = topics;
  const aggregateId = String(data[`${aggregate}Id`]);
  const record: OutRecord = {
    topic: commands.name,
    partition: partitionOf(aggregateId, commands.partitions),
    key: Buffer.from(aggregateId, "utf8"),
    value: codec.encode(commands, type.name, data),
    headers,
    timestamp: Date.now(),
  };
  const bytes = batchOverheadBytes + recordBytesAtMost(record);
  if (bytes > maxRecordBytes) return { kind: "too large", bytes };
  const commandId = String(data["commandId"]);
  return { kind: "command", outgoing: { commandId, type: type.name, aggregateId, record } };
}

const batchOverheadBytes = 61;
