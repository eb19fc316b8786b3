import type { Headers, LogRecord, OutRecord, TopicPartition } from "../log.ts";
import { maxRecordBytes, type Topic } from "../topic.ts";
import type { Poison } from "./command.ts";

/**
 * The shape of a dead letter: the original bytes and headers, and headers that say where it came from and
 * why, by the names of Kafka Connect (KIP-298), which most tools can read, and a few of our own.
 */
export const deadLetterHeaders = {
  topic: "__connect.errors.topic",
  partition: "__connect.errors.partition",
  offset: "__connect.errors.offset",
  connector: "__connect.errors.connector.name",
  stage: "__connect.errors.stage",
  exceptionClass: "__connect.errors.exception.class.name",
  exceptionMessage: "__connect.errors.exception.message",
  /** The `PoisonCode`. */
  code: "foldlog-error-code",
  /** How often the record was tried: once, unless nobody survived to tell what is wrong with it. */
  attempts: "foldlog-attempts",
  /** The schema id in its first bytes, where it has one. */
  schemaId: "foldlog-schema-id",
  /** How many headers of the record's own are left out, because they would not fit. */
  leftOut: "foldlog-headers-left-out",
} as const;

const maxMessageChars = 1_000;
/** Of a record's own: what a dead letter may weigh, less what is said in it. */
const maxBytes = 2 * maxRecordBytes - 8_192;

/** `record` as it goes to the dead-letter topic, into the partition with its own number. */
export function deadLetter(
  record: LogRecord,
  from: TopicPartition,
  { code, message, schemaId, attempts = 1 }: Poison,
  { dlq, worker }: { readonly dlq: Topic; readonly worker: string },
): OutRecord {
  const said: [string, string][] = [
    [deadLetterHeaders.topic, from.topic],
    [deadLetterHeaders.partition, String(from.partition)],
    [deadLetterHeaders.offset, String(record.offset)],
    [deadLetterHeaders.connector, worker],
    [deadLetterHeaders.stage, "VALUE_CONVERTER"],
    [deadLetterHeaders.exceptionClass, "PoisonError"],
    [deadLetterHeaders.exceptionMessage, message.slice(0, maxMessageChars).toWellFormed()],
    [deadLetterHeaders.code, code],
    [deadLetterHeaders.attempts, String(attempts)],
  ];
  if (schemaId !== null) said.push([deadLetterHeaders.schemaId, String(schemaId)]);
  const own = original(record.headers);
  const fits = bytesOf(record, own) <= maxBytes;
  if (!fits) said.push([deadLetterHeaders.leftOut, String(own.length)]);
  return {
    topic: dlq.name,
    partition: from.partition,
    key: record.key,
    value: record.value,
    headers: fits ? [...own, ...said] : said,
    timestamp: record.timestamp,
  };
}

/**
 * A name that is no UTF-8 was read with a mark of three bytes for each bad one, so that a record may weigh more than it
 * did.
 */
function bytesOf({ key, value }: LogRecord, own: Headers): number {
  const framing = 10;
  const ofHeaders = own.map(([name, content]) => {
    return Buffer.byteLength(name) + (content?.length ?? 0) + framing;
  });
  return (key?.length ?? 0) + (value?.length ?? 0) + ofHeaders.reduce((sum, it) => sum + it, 0);
}

/** Without what an earlier dead letter of the same record said, should it have been replayed. */
function original(headers: Headers): Headers {
  const ours = new Set<string>(Object.values(deadLetterHeaders));
  return headers.filter(([name]) => !ours.has(name));
}
