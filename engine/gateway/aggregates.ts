import type { Clock } from "../clock.ts";
import type { Codec } from "../codec.ts";
import { TransientError } from "../errors.ts";
import type { Log } from "../log.ts";
import { partitionOf } from "../message.ts";
import type { Database, Session } from "../postgres/postgres.ts";
import { eventIndex } from "../projections/event-index.ts";
import type { AggregateApi } from "./api.ts";
import { type AsOf, lastEvent, placePages, placesIn } from "./event-places.ts";
import { foldMemory, foldOn } from "./folds.ts";
import { whenFresh } from "./freshness.ts";
import { eventsAt, type Placed, type PlacedEvent, ReadStopped } from "./placed-events.ts";
import { Problem } from "./problem.ts";
import { openReaders } from "./readers.ts";
import type { Token } from "./token.ts";

/** Aggregates as they are or were: the event index says where their events stand, the log what they say. */

export interface AggregatesOf {
  readonly log: Pick<Log, "openReader">;
  readonly codec: Codec;
  /** Of the role that only reads. */
  readonly database: Database;
  readonly clock: Clock;
  readonly aggregates: readonly AggregateApi[];
  /** Aborted when this process is about to end. */
  readonly stopping: AbortSignal;
}

/** What the answer must not be older than, and for whom it is. */
export interface ReadWhen {
  /** `null` for the index as it is. */
  readonly token: Token | null;
  readonly waitMs: number;
  /** Aborted when nobody waits for the answer any more. */
  readonly signal: AbortSignal;
}

/** `latest` is the aggregate's version in the index, 0 where it has no event. */
export type FoundState =
  | {
      readonly kind: "found";
      readonly version: number;
      readonly time: Date;
      readonly state: object;
    }
  | { readonly kind: "absent"; readonly latest: number };

export interface FoundEvents {
  readonly latest: number;
  readonly events: readonly PlacedEvent[];
  /** The version to go on after; `null` at the end. */
  readonly next: number | null;
}

/**
 * Both reads throw Problem `BEHIND` where the index does not have the token in time, `VIEWS_UNAVAILABLE` where it
 * cannot be read, `NOT_READY` where the log cannot be; and FatalError where index and log contradict each other.
 */
export interface Aggregates {
  /** The events folded as the command processor folds them, a page at a time. */
  state(of: AggregateApi, id: string, asOf: AsOf, when: ReadWhen): Promise<FoundState>;
  /** At most `limit` events after a version, fewer where they are large. */
  events(of: AggregateApi, id: string, page: EventPage, when: ReadWhen): Promise<FoundEvents>;
  close(): Promise<void>;
}

export interface EventPage {
  readonly after: number;
  readonly limit: number;
}

/** How long the events may take to be read, in milliseconds. */
const readWithinMs = 15_000;
/** Each reader has connections of its own, and a megabyte or two of records. */
const readerLimits = { readers: 4, waiting: 100 };
/** A page ends where the records of its events are as large as this in all, in bytes. */
const pageBytes = 4 * 1024 * 1024;

export function openAggregates(of: AggregatesOf): Aggregates {
  const { log, codec, database, clock, aggregates, stopping } = of;
  const projection = eventIndex(aggregates.map(({ topics }) => topics));
  const readers = openReaders(log, readerLimits);
  const folds = foldMemory();

  const fresh = async <T>(when: ReadWhen, read: (session: Session) => Promise<T>) =>
    whenFresh(database, clock, { projection, views: ["event_index"], stopping, ...when, read });

  /** Lends what reads the events of an aggregate, for a bounded time. */
  const reading = async <T>(
    { topics: { events: topic } }: AggregateApi,
    aggregateId: string,
    { signal }: ReadWhen,
    work: (placed: Placed, within: AbortSignal) => Promise<T>,
  ): Promise<T> => {
    const within = AbortSignal.any([signal, AbortSignal.timeout(readWithinMs)]);
    const placed = { codec, topic, partition: partitionOf(aggregateId, topic.partitions) };
    try {
      return await readers.lend(
        async (reader) => work({ ...placed, aggregateId, reader }, within),
        within,
      );
    } catch (error) {
      throw unreadable(error);
    }
  };

  return {
    async state(aggregate, id, asOf, when) {
      const key = { aggregate: aggregate.topics.aggregate, id };
      const [latest, last] = await fresh(when, async (session) =>
        Promise.all([lastEvent(session, key, "now"), lastEvent(session, key, asOf)]),
      );
      if (last === null) return { kind: "absent", latest: latest?.version ?? 0 };

      const { version } = last;
      const { decider } = aggregate;
      const name = [key.aggregate, id];
      const from = folds.upTo(name, version) ?? { version: 0, state: decider.initialState };
      if (from.version === version) return { kind: "found", ...last, state: from.state };
      const { state } = await reading(aggregate, id, when, async (placed, within) => {
        const pages = placePages(database, key, { after: from.version, upTo: version });
        const keep = (fold: typeof from) => {
          folds.keep(name, fold);
        };
        return foldOn({ decider, placed, keep }, from, pages, within);
      });
      return { kind: "found", ...last, state };
    },

    async events(aggregate, id, { after, limit }, when) {
      const key = { aggregate: aggregate.topics.aggregate, id };
      const [last, places] = await fresh(when, async (session) =>
        Promise.all([
          lastEvent(session, key, "now"),
          placesIn(session, key, { after, upTo: after + limit }),
        ]),
      );
      const latest = last?.version ?? 0;
      if (places.length === 0) return { latest, events: [], next: null };
      const events = await reading(aggregate, id, when, async (placed, within) =>
        upToBytes(eventsAt(placed, places, within), pageBytes),
      );
      const version = events.at(-1)?.version ?? after;
      return { latest, events, next: version < latest ? version : null };
    },

    close: async () => readers.close(),
  };
}

/** At least one event. */
async function upToBytes(
  slices: AsyncIterable<readonly PlacedEvent[]>,
  mostBytes: number,
): Promise<readonly PlacedEvent[]> {
  const taken: PlacedEvent[] = [];
  let bytes = 0;
  for await (const events of slices) {
    for (const event of events) {
      bytes += event.record.value?.length ?? 0;
      if (bytes > mostBytes && taken.length > 0) return taken;
      taken.push(event);
    }
  }
  return taken;
}

/** What is said where the log cannot be read; any other error goes on as it is. */
function unreadable(error: unknown): unknown {
  if (!(error instanceof ReadStopped || error instanceof TransientError)) return error;
  const detail =
    `The log did not give all of the events within ${readWithinMs / 1000} s: the broker does not answer, or ` +
    "they are very many and far apart. Ask again: what was read of a state is not read again.";
  const problem = new Problem("NOT_READY", { detail, retryAfter: 1 });
  problem.cause = error;
  return problem;
}
