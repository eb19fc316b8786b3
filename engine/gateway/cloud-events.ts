import { type Headers, headerOf, type LogRecord } from "../log.ts";
import { headers, parseEventKey } from "../message.ts";
import type { AggregateTopics } from "../topic.ts";

/** A record that other systems of events understand. */
export interface CloudEventRecord {
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: Headers;
}

/**
 * An event record in the binary form of CloudEvents 1.0 for Kafka (Kafka Protocol Binding 1.0.2, section 3.2): the
 * same key and value, and these headers instead of ours.
 *
 * | header                             | from                                                              |
 * | ---------------------------------- | ----------------------------------------------------------------- |
 * | `ce_id`                            | the record's key, `<aggregate id>/<version>`                      |
 * | `ce_source`                        | `/<namespace>/<aggregate>`; with `ce_id` it is unique             |
 * | `ce_type`                          | the full name of the record type                                  |
 * | `ce_subject`, `ce_partitionkey`    | the aggregate id                                                  |
 * | `ce_sequence`                      | the version, in 16 digits so that text sorts as numbers do        |
 * | `ce_time`                          | the event time                                                    |
 * | `ce_correlationid`, `ce_causationid` | `correlation-id`, `causation-id`, else the command id           |
 * | `ce_commandid`, `ce_actor`, `ce_traceparent` | `command-id`, `actor`, `traceparent`, where they are there |
 * | `content-type`                     | `application/avro`; the value keeps the five bytes before it that name its schema |
 *
 * `type` is the short name that the record decodes to. `null` where the record is no event of this aggregate.
 */
export function cloudEventOf(
  topics: AggregateTopics,
  type: string,
  record: LogRecord,
): CloudEventRecord | null {
  const key = record.key?.toString("utf8") ?? "";
  const parsed = parseEventKey(key);
  const recordType = topics.events.records.find(({ name }) => name === type);
  if (parsed === null || recordType === undefined) return null;
  const { aggregateId, version } = parsed;
  const commandId = headerOf(record, headers.commandId);
  const said: readonly (readonly [name: string, value: string | null])[] = [
    ["ce_specversion", "1.0"],
    ["ce_id", key],
    ["ce_source", `/${topics.namespace}/${topics.aggregate}`],
    ["ce_type", recordType.fullName],
    ["ce_subject", aggregateId],
    ["ce_partitionkey", aggregateId],
    ["ce_sequence", String(version).padStart(16, "0")],
    ["ce_time", new Date(record.timestamp).toISOString()],
    ["ce_correlationid", headerOf(record, headers.correlationId) ?? commandId],
    ["ce_causationid", headerOf(record, headers.causationId) ?? commandId],
    ["ce_commandid", commandId],
    ["ce_actor", headerOf(record, headers.actor)],
    ["ce_traceparent", headerOf(record, headers.traceparent)],
    ["content-type", "application/avro"],
  ];
  const present = said.flatMap(([name, value]) =>
    value === null ? [] : [[name, Buffer.from(value, "utf8")] as const],
  );
  return { key: record.key, value: record.value, headers: present };
}
