import type { Message } from "../decider.ts";
import type { Projection } from "../projection.ts";
import type { AggregateTopics } from "../topic.ts";
import { aggregateNames, isStorable } from "./own.ts";

/**
 * Where each event stands in the log, one row an event: the engine's own view over the events of every
 * aggregate, since Kafka has no read by key. It holds nothing of what the events say; `gateway/aggregates.ts`
 * reads that from the log.
 *
 * An aggregate whose id holds U+0000, which Postgres cannot store, is left out.
 */
export function eventIndex(
  aggregates: readonly AggregateTopics[],
): Projection<Message, "event_index"> {
  const names = aggregateNames(aggregates, "events");
  return {
    name: "event_index",
    version: 1,
    topics: aggregates.map(({ events }) => events),
    tables: {
      event_index: `
        aggregate    text        not null,
        aggregate_id text        not null,
        version      bigint      not null check (version >= 1),
        partition    integer     not null,
        log_offset   bigint      not null,
        time         timestamptz not null,
        primary key (aggregate, aggregate_id, version)`,
    },

    apply({ aggregateId, version, topic, partition, offset, time }, { event_index }) {
      if (!isStorable(aggregateId)) return;
      event_index.insert([names.get(topic) ?? topic, aggregateId, version], {
        partition,
        log_offset: offset,
        time,
      });
    },
  };
}
