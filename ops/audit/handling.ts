import { isUtf8 } from "node:buffer";
import { type Codec, schemaIdOf } from "../../engine/codec.ts";
import { deadLetterHeaders } from "../../engine/commands/dead-letter.ts";
import { messageOf, PoisonError } from "../../engine/errors.ts";
import type { Reply } from "../../engine/generated.ts";
import { headerOf } from "../../engine/log.ts";
import { headers } from "../../engine/message.ts";
import type { AggregateTopics, Topic } from "../../engine/topic.ts";
import type { AuditRecord } from "./audited-log.ts";

/** The records of an aggregate's topics, decoded, and what belongs to one consumed command record. */

type Fields = Readonly<Record<string, unknown>>;

export interface SeenCommand {
  readonly record: AuditRecord;
  /** The offset of the record. */
  readonly commandOffset: number;
  /** `null` where today's schemas cannot read it. */
  readonly message: { readonly type: string; readonly data: Fields } | null;
}

export interface SeenEvent {
  readonly record: AuditRecord;
  readonly aggregateId: string;
  readonly version: number;
  readonly type: string;
  readonly data: Fields;
  /** `null` where the header is missing. */
  readonly commandId: string | null;
  readonly commandOffset: number | null;
}

export interface SeenReply {
  readonly record: AuditRecord;
  readonly commandOffset: number;
  readonly reply: Reply;
}

export interface SeenDeadLetter {
  readonly record: AuditRecord;
  readonly commandOffset: number;
  readonly code: string;
}

/** All that the log holds about one record of the commands topic. */
export interface Handling {
  /** The offset of that record. */
  readonly commandOffset: number;
  readonly command: SeenCommand | null;
  readonly events: readonly SeenEvent[];
  readonly reply: SeenReply | null;
  readonly deadLetter: SeenDeadLetter | null;
}

/** Something that a transaction wrote which was aborted then. */
export interface AbortedRecord {
  /** `topic/partition/offset` */
  readonly at: string;
  /** See `AuditRecord`. */
  readonly writer: string | null;
  /** Of the command that it is about. */
  readonly commandOffset: number;
  /** Whether it is that command itself. */
  readonly isCommand: boolean;
}

/** A record that is not what its topic holds: what should be there, and what is. */
export interface Unfit {
  readonly expected: string;
  readonly found: string;
}

/** What could be made of a record. */
export type Seen<T> = { readonly seen: T } | { readonly unfit: Unfit };

export type Decoding = Pick<Codec, "decode">;

/** Never unfit: what cannot be read is for the processor to answer. */
export function seeCommand(topic: Topic, codec: Decoding, record: AuditRecord): SeenCommand {
  const commandOffset = Number(record.offset);
  const decoded = decode(topic, codec, record);
  return { record, commandOffset, message: "seen" in decoded ? decoded.seen : null };
}

export function seeEvent(topic: Topic, codec: Decoding, record: AuditRecord): Seen<SeenEvent> {
  const key = record.key !== null && isUtf8(record.key) ? record.key.toString("utf8") : "";
  const slash = key.lastIndexOf("/");
  const digits = key.slice(slash + 1);
  if (slash < 1 || !/^[1-9]\d{0,15}$/.test(digits)) {
    const expected = "an event under the key <aggregate id>/<version>";
    return { unfit: { expected, found: `the key ${shownBytes(record.key)}` } };
  }
  if (record.value === null) {
    return { unfit: { expected: `the event ${JSON.stringify(key)}`, found: "a tombstone" } };
  }
  const decoded = decode(topic, codec, record);
  if ("unfit" in decoded) return decoded;
  const offset = headerOf(record, headers.commandOffset);
  return {
    seen: {
      record,
      aggregateId: key.slice(0, slash),
      version: Number(digits),
      ...decoded.seen,
      commandId: headerOf(record, headers.commandId),
      commandOffset: offset === null ? null : offsetIn(offset),
    },
  };
}

export function seeReply(topic: Topic, codec: Decoding, record: AuditRecord): Seen<SeenReply> {
  const decoded = decode(topic, codec, record);
  if ("unfit" in decoded) return decoded;
  const reply = decoded.seen.data as unknown as Reply;
  return { seen: { record, commandOffset: reply.commandOffset, reply } };
}

export function seeDeadLetter(
  { commands }: AggregateTopics,
  partition: number,
  record: AuditRecord,
): Seen<SeenDeadLetter> {
  const header = (name: string) => headerOf(record, name);
  const from = `${header(deadLetterHeaders.topic)}/${header(deadLetterHeaders.partition)}`;
  const commandOffset = offsetIn(header(deadLetterHeaders.offset) ?? "");
  const code = header(deadLetterHeaders.code);
  if (from === `${commands.name}/${partition}` && commandOffset !== null && code !== null) {
    return { seen: { record, commandOffset, code } };
  }
  return {
    unfit: {
      expected: `a dead letter of a record in ${commands.name}/${partition}, with its offset and a code`,
      found: `one of ${from}/${header(deadLetterHeaders.offset)} with the code ${code}`,
    },
  };
}

function decode(
  topic: Topic,
  codec: Decoding,
  { value }: AuditRecord,
): Seen<{ type: string; data: Fields }> {
  try {
    if (value === null) throw new PoisonError("BAD_WIRE_FORMAT", "it has no value");
    return { seen: codec.decode(topic, value) };
  } catch (error) {
    if (!(error instanceof PoisonError)) throw error;
    const expected = `one of ${topic.records.map(({ name }) => name).join(", ")}`;
    const id = schemaIdOf(value);
    const bytes = id === null ? "" : ` (schema id ${id})`;
    return { unfit: { expected, found: `${error.code}: ${messageOf(error)}${bytes}` } };
  }
}

function offsetIn(text: string): number | null {
  return /^\d{1,16}$/.test(text) && Number.isSafeInteger(Number(text)) ? Number(text) : null;
}

export function shownBytes(bytes: Buffer | null): string {
  if (bytes === null) return "null";
  return isUtf8(bytes)
    ? JSON.stringify(bytes.toString("utf8").slice(0, 300))
    : `0x${bytes.toString("hex").slice(0, 200)}`;
}
