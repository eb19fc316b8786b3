import type { Codec } from "../codec.ts";
import { messageOf } from "../errors.ts";
import type { Reply } from "../generated.ts";
import { headerOf } from "../log.ts";
import { headers, parseEventKey } from "../message.ts";
import type { AnyProjection } from "../projection.ts";
import { projected } from "../projections/projected-batch.ts";
import type { AggregateTopics } from "../topic.ts";
import { Finding, mustEqual } from "./crash-points-finding.ts";
import type { Loop } from "./memory-application-loops.ts";
import type { MemoryLog } from "./memory-log.ts";
import { type MemoryViews, memoryViews } from "./memory-views.ts";

/** What a run has left behind: in the log, and in the views. */

/** All of it as plain data, without times and offsets, which differ from run to run. */
export interface Outcome {
  /** Command → its answer. */
  readonly answers: Readonly<Record<string, Answer>>;
  /** `<aggregate> <event key>` → the event. */
  readonly events: Readonly<Record<string, EventSeen>>;
  readonly rows: ReadonlyMap<AnyProjection, Rows>;
}

export type Answer = Pick<Reply, "outcome" | "version" | "reason" | "duplicate">;

export interface EventSeen {
  readonly type: string;
  readonly data: object;
  readonly commandId: string | null;
}

/** Table → key → the row's columns. */
export type Rows = Readonly<Record<string, Readonly<Record<string, object>>>>;

/** The log, and how to read it. */
export interface Logged {
  readonly log: MemoryLog;
  readonly codec: Codec;
}

/** A command that is in the log. */
export interface SentCommand {
  /** For messages: `3. Increment c-1`. */
  readonly name: string;
  readonly topics: AggregateTopics;
  readonly partition: number;
  readonly offset: bigint;
}

/** @throws Finding unless each command has exactly one reply, and no failure of the author's making */
export function answersTo(
  commands: readonly SentCommand[],
  { log, codec }: Logged,
): Outcome["answers"] {
  const answers: Record<string, Answer> = {};
  for (const { name, topics, partition, offset } of commands) {
    const records = log.committed({ topic: topics.replies.name, partition });
    const replies = records
      .flatMap(({ value }) => (value === null ? [] : [codec.decode(topics.replies, value)]))
      .map(({ data }) => data as unknown as Reply)
      .filter(({ commandOffset }) => BigInt(commandOffset) === offset);
    const [reply] = replies;
    if (reply === undefined || replies.length !== 1) {
      throw new Finding(`Command ${name} has ${replies.length} replies; each command has one`);
    }
    const { outcome, version, reason, duplicate } = reply;
    if (reason === "DECIDER_THREW" || reason === "INVALID_EVENT") {
      throw new Finding(`Command ${name} was answered failed: ${reason}`);
    }
    answers[name] = { outcome, version, reason, duplicate };
  }
  return answers;
}

/** @throws Finding where the versions of an aggregate are not 1..n */
export function eventsIn(loops: readonly Loop[], { log, codec }: Logged): Outcome["events"] {
  const events: Record<string, EventSeen> = {};
  const versions = new Map<string, number>();
  for (const loop of loops) {
    if (loop.kind !== "commands") continue;
    const { events: topic, aggregate } = loop.worker.topics;
    for (const record of log.committed({ topic: topic.name, partition: loop.partition })) {
      const key = String(record.key);
      const { aggregateId = key, version = 0 } = parseEventKey(key) ?? {};
      const wanted = (versions.get(aggregateId) ?? 0) + 1;
      if (record.value === null || version !== wanted) {
        throw new Finding(`${aggregate} ${key} stands where version ${wanted} should be`);
      }
      versions.set(aggregateId, version);
      const { type, data } = codec.decode(topic, record.value);
      const commandId = headerOf(record, headers.commandId);
      events[`${aggregate} ${key}`] = { type, data, commandId };
    }
  }
  return events;
}

export function rowsIn(projection: AnyProjection, views: MemoryViews): Rows {
  return Object.fromEntries(
    Object.keys(projection.tables).map((table) => [
      table,
      Object.fromEntries(
        views.rows(table).map(({ key, ...columns }) => [JSON.stringify(key), columns]),
      ),
    ]),
  );
}

/**
 * The rows that a rebuild from the log gives: each partition in one batch, or event by event and the last
 * partition first.
 * @throws Finding where the projection cannot take an event
 */
export async function rebuilt(
  projection: AnyProjection,
  loops: readonly Loop[],
  { log, codec, how }: Logged & { readonly how: "in one batch" | "event by event" },
): Promise<Rows> {
  const views = memoryViews(projection);
  const { signal } = new AbortController();
  const own = loops.flatMap((it) =>
    it.kind === "view" && it.projection === projection ? [it] : [],
  );
  for (const { of } of how === "in one batch" ? own : own.toReversed()) {
    const records = log.committed(of);
    const batches = how === "in one batch" ? [records] : records.map((record) => [record]);
    const topic = projection.topics.find(({ name }) => name === of.topic);
    for (const batch of batches) {
      const last = batch.at(-1);
      if (topic === undefined || last === undefined) continue;
      const by = { projection, topic, topicPartition: of, codec };
      const expected = await views.checkpoint(of, signal);
      const made = projected(by, { records: batch, next: last.offset + 1n }, expected);
      try {
        if (made.obstacle !== null) throw made.obstacle.cause;
        const { changes, checkpoint: next } = made;
        await views.commit({ topicPartition: of, expected, next, changes }, signal);
      } catch (error) {
        throw new Finding(`The view ${projection.name} cannot be rebuilt from the log ${how}`, [
          messageOf(error),
          "though its process took the same events as they came.",
          dependsOnEventAlone,
        ]);
      }
    }
  }
  return rowsIn(projection, views);
}

/** @throws Finding where a view holds other rows than a rebuild gives */
export function mustBeRebuilt(
  projection: AnyProjection,
  { wanted, found, how }: { readonly wanted: Rows; readonly found: Rows; readonly how: string },
): void {
  for (const table of Object.keys(projection.tables)) {
    const headline = `The rows of ${table} ${how}`;
    mustEqual(headline, wanted[table], found[table], [dependsOnEventAlone]);
  }
}

const dependsOnEventAlone =
  "apply must depend on its event alone: not on what it was given before, on time, or on chance; and a row " +
  "that several aggregates write takes only add.";
