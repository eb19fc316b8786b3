import { isUtf8 } from "node:buffer";
import { defaultsOf } from "../avro/avro-json.ts";
import { type Codec, schemaIdOf } from "../codec.ts";
import { type PoisonCode, PoisonError } from "../errors.ts";
import type { LogRecord } from "../log.ts";
import { isValidId, issueTimeOf, partitionOf, payloadHash } from "../message.ts";
import type { AggregateTopics } from "../topic.ts";

/** A command that could be read. */
export interface Command {
  readonly id: string;
  readonly aggregateId: string;
  readonly type: string;
  /** All fields, the command's own id and the aggregate's among them. */
  readonly data: Readonly<Record<string, unknown>>;
  /** Milliseconds since the epoch; `null` where nothing tells. */
  readonly issueTime: number | null;
  /** 0: the aggregate must not exist; `null`: any version will do. */
  readonly expectedVersion: number | null;
  /** See `payloadHash`. */
  readonly hash: Buffer;
}

/** A command record that can never be processed, with as much of it as could be read. */
export interface Poison {
  readonly code: PoisonCode;
  readonly message: string;
  readonly commandId: string | null;
  readonly aggregateId: string | null;
  readonly type: string | null;
  readonly schemaId: number | null;
  /** How often it was tried, where that was more than once. */
  readonly attempts?: number;
}

export type ReadCommand =
  | { readonly kind: "command"; readonly command: Command }
  | { readonly kind: "poison"; readonly poison: Poison };

/** What reading commands of one partition takes, worked out once. */
export interface CommandReader {
  read(record: LogRecord): ReadCommand;
}

export function commandReader(
  topics: AggregateTopics,
  partition: number,
  codec: Codec,
): CommandReader {
  const idField = `${topics.aggregate}Id`;
  const defaults = new Map(topics.commands.records.map((type) => [type.name, defaultsOf(type)]));

  const read = (record: LogRecord): ReadCommand => {
    const partial = {
      commandId: null,
      aggregateId: null,
      type: null,
      schemaId: schemaIdOf(record.value),
    };
    const poison = (
      code: PoisonCode,
      message: string,
      known: Partial<Poison> = {},
    ): ReadCommand => ({
      kind: "poison",
      poison: { ...partial, ...known, code, message },
    });

    if (record.key === null) return poison("NULL_KEY", "The record has no key, so no aggregate.");
    const key = isUtf8(record.key) ? record.key.toString("utf8") : null;
    if (key === null || !isValidId(key)) {
      const text = `The key is no aggregate id: that is 1 to 255 bytes of UTF-8, this has ${record.key.length}.`;
      return poison("INVALID_AGGREGATE_ID", text);
    }
    const expected = partitionOf(key, topics.commands.partitions);
    const decoded = decode(codec, topics, record.value);
    if (decoded instanceof PoisonError)
      return poison(decoded.code, decoded.message, { aggregateId: key });

    const { type, data } = decoded;
    const id = data["commandId"];
    if (typeof id !== "string" || !isValidId(id)) {
      const text = "The command id is not 1 to 255 bytes of well-formed Unicode without U+0000.";
      return poison("INVALID_COMMAND_ID", text, { aggregateId: key, type });
    }
    const known = { commandId: id, aggregateId: key, type };
    if (data[idField] !== key) {
      const text = `The key is ${JSON.stringify(key)}, ${idField} is ${JSON.stringify(data[idField])}.`;
      return poison("KEY_MISMATCH", text, known);
    }
    if (expected !== partition) {
      const text =
        `${JSON.stringify(key)} belongs into partition ${expected} (murmur2 of the key), not ${partition}: ` +
        `the sender hashes otherwise, as librdkafka does unless told partitioner=murmur2_random.`;
      return poison("WRONG_PARTITION", text, known);
    }
    return {
      kind: "command",
      command: {
        id,
        aggregateId: key,
        type,
        data,
        issueTime: issueTimeOf(id, numberOf(data["issuedAt"])),
        expectedVersion: numberOf(data["expectedVersion"]),
        hash: payloadHash(type, data, defaults.get(type) ?? noDefaults),
      },
    };
  };
  return { read };
}

function decode(codec: Codec, topics: AggregateTopics, value: Buffer | null) {
  try {
    if (value === null) throw new PoisonError("BAD_WIRE_FORMAT", "The record has no value.");
    return codec.decode(topics.commands, value);
  } catch (error) {
    if (error instanceof PoisonError) return error;
    throw error;
  }
}

const noDefaults: ReadonlyMap<string, unknown> = new Map();

function numberOf(value: unknown): number | null {
  return typeof value === "number" ? value : null;
}
