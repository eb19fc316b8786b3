import type { Headers, LogRecord, OutRecord, TopicPartition } from "../log.ts";
import type { Topic } from "../topic.ts";
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
} as const;

const maxMessageChars = 1_000;

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
  return {
    topic: dlq.name,
    partition: from.partition,
    key: record.key,
    value: record.value,
    headers: [...original(record.headers), ...said],
    timestamp: record.timestamp,
  };
}

/** Without what an earlier dead letter of the same record said, should it have been replayed. */
function original(headers: Headers): Headers {
  const ours = new Set<string>(Object.values(deadLetterHeaders));
  return headers.filter(([name]) => !ours.has(name));
}
