import { FatalError, TransientError } from "../errors.ts";
import type { Session } from "../postgres/postgres.ts";
import { unavailable } from "./freshness.ts";
import type { Place } from "./placed-events.ts";

/** What the view `event_index` says of one aggregate. */

export interface AggregateKey {
  readonly aggregate: string;
  readonly id: string;
}

/** Which state of an aggregate is asked for: after a version, as of an instant, or after its last event. */
export type AsOf = { readonly version: number } | { readonly at: Date } | "now";

/** The last event of a state. */
export interface LastEvent {
  readonly version: number;
  readonly time: Date;
}

const ofAggregate = "from public.event_index where aggregate = $1 and aggregate_id = $2";

/** The last event of that state; `null` where there is no such state. */
export async function lastEvent(
  session: Session,
  { aggregate, id }: AggregateKey,
  asOf: AsOf,
): Promise<LastEvent | null> {
  // The times of an aggregate's events never go back, so the last one by version is the last one by time.
  const { sql, value } =
    asOf === "now"
      ? { sql: "", value: [] }
      : "at" in asOf
        ? { sql: "and time <= $3", value: [asOf.at] }
        : { sql: "and version = $3", value: [asOf.version] };
  const { rows } = await session.query(
    `select version, time ${ofAggregate} ${sql} order by version desc limit 1`,
    [aggregate, id, ...value],
  );
  const [row] = rows;
  return row === undefined ? null : { version: Number(row["version"]), time: row["time"] as Date };
}

/** Versions `after` + 1 to `upTo`. */
export interface Range {
  readonly after: number;
  readonly upTo: number;
}

/**
 * Where the events of a range stand, in the order of their versions, up to the last one that there is.
 * @throws FatalError `VERSION_GAP` where one of them is missing
 */
export async function placesIn(
  session: Session,
  { aggregate, id }: AggregateKey,
  { after, upTo }: Range,
): Promise<readonly Place[]> {
  const { rows } = await session.query(
    `select version, log_offset ${ofAggregate} and version > $3 and version <= $4 order by version`,
    [aggregate, id, after, upTo],
  );
  return rows.map((row, i) => {
    const version = Number(row["version"]);
    if (version === after + 1 + i) return { version, offset: row["log_offset"] as bigint };
    throw new FatalError(
      "VERSION_GAP",
      `the event index has version ${version} of ${aggregate} ${JSON.stringify(id)} where ${after + 1 + i} should be`,
    );
  });
}

function lostPlaces({ aggregate, id }: AggregateKey, { after, upTo }: Range): TransientError {
  const what = `versions ${after + 1} to ${upTo} of ${aggregate} ${JSON.stringify(id)}`;
  return new TransientError(`The event index does not have all of ${what} any more`);
}

/** Places that are in memory at once. */
const pageSize = 2_000;

/**
 * The same as `placesIn`, page by page, for a range whose events are all there.
 * @throws Problem `VIEWS_UNAVAILABLE`
 */
export async function* placePages(
  session: Session,
  key: AggregateKey,
  { after, upTo }: Range,
): AsyncGenerator<readonly Place[]> {
  for (let from = after; from < upTo; from += pageSize) {
    const page = { after: from, upTo: Math.min(from + pageSize, upTo) };
    let places: readonly Place[];
    try {
      places = await placesIn(session, key, page);
      // What the index once had it can lose: to a failover, or where another replica is asked.
      if (places.length < page.upTo - page.after) throw lostPlaces(key, page);
    } catch (error) {
      throw unavailable(error);
    }
    yield places;
  }
}
