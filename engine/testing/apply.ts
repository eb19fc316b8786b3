import type { Message } from "../decider.ts";
import type { ProjectedEvent, Projection } from "../projection.ts";
import { collect } from "../projections/rows.ts";
import { type MemoryRow, memoryViews } from "./memory-views.ts";

/** An event for a projection under test. What a test does not care about has a default. */
export type GivenEvent<E extends Message> = E & Partial<ProjectedEvent>;

/**
 * The rows of each table after these events, ordered by key, without a database:
 *
 *     expect(await tablesAfter(balances, [opened, { ...deposited(500), version: 2 }])).toEqual({
 *       balances: [{ key: ["a-1"], owner: "Ada", status: "open", balance_cents: 500, … }],
 *     });
 *
 * An event without `aggregateId` is of aggregate `a-1`; without `version` it takes the aggregate's next one;
 * without `time` it is of the start of the year 2020; without `commandId` its command is `c-<position>`,
 * counted from 1; without `topic` it is of the projection's first one. Replies are given with their `key`.
 *
 * The events are applied one by one and, a second time, as one batch: both must give the same rows.
 * @throws UnapplicableError where an event cannot be applied
 */
export async function tablesAfter<E extends Message, T extends string>(
  projection: Projection<E, T>,
  events: readonly GivenEvent<E>[],
): Promise<Readonly<Record<T, readonly MemoryRow[]>>> {
  const projected = withDefaults(events, projection.topics[0]?.name ?? "events");
  const oneByOne = await applyBatches(
    projection,
    projected.map((event) => [event]),
  );
  const atOnce = await applyBatches(projection, [projected]);
  if (JSON.stringify(oneByOne) !== JSON.stringify(atOnce)) {
    throw new Error(
      `projection "${projection.name}" gives other rows event by event ` +
        `(${JSON.stringify(oneByOne)}) than in one batch (${JSON.stringify(atOnce)})`,
    );
  }
  return oneByOne;
}

function withDefaults<E extends Message>(
  events: readonly GivenEvent<E>[],
  topic: string,
): readonly (E & ProjectedEvent)[] {
  const versions = new Map<string, number>();
  return events.map((event, index) => {
    const aggregateId = event.aggregateId ?? "a-1";
    const version = event.version ?? (versions.get(aggregateId) ?? 0) + 1;
    versions.set(aggregateId, version);
    const time = event.time ?? new Date("2020-01-01T00:00:00.000Z");
    return {
      ...event,
      topic: event.topic ?? topic,
      partition: event.partition ?? 0,
      offset: event.offset ?? index,
      key: event.key ?? `${aggregateId}/${version}`,
      aggregateId,
      version,
      time,
      commandId: event.commandId ?? `c-${index + 1}`,
    };
  });
}

async function applyBatches<E extends Message, T extends string>(
  projection: Projection<E, T>,
  batches: readonly (readonly (E & ProjectedEvent)[])[],
): Promise<Readonly<Record<T, readonly MemoryRow[]>>> {
  const views = memoryViews(projection);
  const topicPartition = { topic: "events", partition: 0 };
  const { signal } = new AbortController();
  for (const events of batches) {
    const collector = collect(projection);
    for (const event of events) collector.apply(event);
    const expected = await views.checkpoint(topicPartition, signal);
    const nextOffset = (expected?.nextOffset ?? 0n) + BigInt(events.length);
    const next = { nextOffset, commandOffset: null, version: null };
    await views.commit({ topicPartition, expected, next, changes: collector.changes() }, signal);
  }
  const tables = Object.keys(projection.tables).map((table) => [table, views.rows(table)]);
  return Object.fromEntries(tables) as Record<T, readonly MemoryRow[]>;
}
