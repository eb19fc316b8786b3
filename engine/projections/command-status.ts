import type { Projection, ReplyMessage, RowValues } from "../projection.ts";
import type { AggregateTopics } from "../topic.ts";
import { aggregateNames, isStorable } from "./own.ts";

/**
 * What became of each command, one row a reply: the engine's own view over the replies of every aggregate, for
 * `GET /commands/<id>`.
 *
 * A reply is accepted, rejected or conflict, which is final, or failed, which is not. Each has columns of its
 * own, so that a final answer stays whatever fails before or after it: `outcome` and those beside it hold the
 * final answer, null until there is one; `failure` and those beside it the last failure. A duplicate's answer
 * is the final one given again: it moves `command_offset` and `answered_at`.
 *
 * The key is that of the reply: the command id; `@<partition>/<offset>` where the record had no readable one;
 * `<id>@<offset>` where the id had been used for another command. Two aggregates may use one id, and a sender
 * that hashes otherwise gets failures from other partitions, so these are in the key too. Rows are kept as long
 * as the replies themselves. An id that holds U+0000, which Postgres cannot store, has no row.
 */
export function commandStatus(
  aggregates: readonly AggregateTopics[],
): Projection<ReplyMessage, "command_status"> {
  const names = aggregateNames(aggregates, "replies");
  return {
    name: "command_status",
    version: 1,
    topics: aggregates.map(({ replies }) => replies),
    tables: {
      command_status: `
        reply_key      text        not null,
        aggregate      text        not null,
        partition      integer     not null,
        aggregate_id   text        not null, -- Empty where the record had no valid one.
        command_id     text,
        command_type   text,
        outcome        text        check (outcome in ('accepted', 'rejected', 'conflict')),
        version        bigint,
        reason         text,
        first_offset   bigint,
        command_offset bigint,
        answered_at    timestamptz,
        failure        text,
        failed_offset  bigint,
        failed_at      timestamptz,
        seen_at        timestamptz not null,
        check (outcome is not null or failure is not null),
        primary key (reply_key, aggregate, partition, aggregate_id)`,
    },
    // Rows come in the order of their time: an index of a few pages finds the oldest.
    indexes: { command_status: ["using brin (seen_at)"] },
    keeps: { command_status: { since: "seen_at", days: 14 } },

    apply({ data, topic, partition, key, time }, { command_status }) {
      const { aggregateId, commandId, commandType } = data;
      if (!isStorable(key) || !isStorable(aggregateId ?? "")) return;
      const aggregate = names.get(topic) ?? topic;
      const about = { command_id: commandId, command_type: commandType, seen_at: time };
      command_status.upsert([key, aggregate, partition, aggregateId ?? ""], {
        ...about,
        ...answerOf(data, time),
      });
    },
  };
}

function answerOf(
  { outcome, version, reason, firstOffset, commandOffset }: ReplyMessage["data"],
  time: Date,
): RowValues {
  if (outcome === "failed") {
    return { failure: reason ?? "UNKNOWN", failed_offset: commandOffset, failed_at: time };
  }
  return {
    outcome,
    version,
    reason,
    first_offset: firstOffset,
    command_offset: commandOffset,
    answered_at: time,
  };
}
