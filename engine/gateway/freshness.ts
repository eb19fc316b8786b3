import { type Backoff, delayMs } from "../backoff.ts";
import { type Clock, isAborted } from "../clock.ts";
import { FatalError, TransientError, WriterLostError } from "../errors.ts";
import { type Database, type Session, SqlError } from "../postgres/postgres.ts";
import { ident } from "../projections/tables.ts";
import { Problem, type ProblemDetails } from "./problem.ts";
import type { Token } from "./token.ts";

/** Reads that are never older than a token (G9), and what a reader is told while Postgres is away. */

/** As much of a projection as tells whether its views have a token: a projection is one. */
export interface ReadProjection {
  readonly name: string;
  readonly topics: readonly { readonly name: string }[];
}

export type Freshness =
  | "fresh"
  /** Of the last command in the view, on the token's partition; `null` before the first. */
  | { readonly commandOffset: bigint | null };

/**
 * Whether the live version of a projection has what the token stands for: one statement. In a snapshot
 * transaction the answer holds for all that is read in it, if the views were locked before the snapshot was
 * taken, as `whenFresh` does: else a reader could be shown another version of them than was asked about.
 */
export async function checkFresh(
  session: Session,
  projection: ReadProjection,
  token: Token,
): Promise<Freshness> {
  const { freshness } = await standingOf(session, projection, token);
  return freshness;
}

interface Standing {
  /** The version that the public views read; `null` where none has been made. */
  readonly version: number | null;
  readonly freshness: Freshness;
}

const standingSql = `
  select p.version, c.command_offset,
         coalesce((c.command_offset, c.aggregate_version) >= ($4::bigint, $5::bigint), false) as fresh
  from foldlog.projections p
  left join foldlog.checkpoints c
    on c.projection = p.projection and c.version = p.version and c.topic = $2 and c.partition = $3
  where p.projection = $1 and p.live`;

async function standingOf(
  session: Session,
  { name, topics }: ReadProjection,
  token: Token | null,
): Promise<Standing> {
  const { topic, partition, commandOffset, version } = token ?? anyToken;
  const values = [name, topic, partition, commandOffset, version];
  const [row] = (await session.query(standingSql, values)).rows;
  const live = typeof row?.["version"] === "number" ? row["version"] : null;
  const at = typeof row?.["command_offset"] === "bigint" ? row["command_offset"] : null;
  // What it does not read it cannot be behind of.
  const reads = token !== null && topics.some((it) => it.name === topic);
  return {
    version: live,
    freshness: !reads || row?.["fresh"] === true ? "fresh" : { commandOffset: at },
  };
}

const anyToken = { topic: "", partition: 0, commandOffset: 0n, version: 1 };

export interface FreshRead<T> {
  readonly projection: ReadProjection;
  /** The public views that `read` reads, all of this projection. */
  readonly views: readonly string[];
  /** `null` for the view as it is. */
  readonly token: Token | null;
  /** How long the view may take to have the token. */
  readonly waitMs: number;
  /** Aborted when nobody waits for the answer any more. */
  readonly signal: AbortSignal;
  /** Aborted when this process is about to end: what is behind then is said to be so. */
  readonly stopping: AbortSignal;
  /** Runs in the snapshot that has the token; `version` is the projection's that the views show. */
  read(session: Session, version: number): Promise<T>;
}

/** Soon enough for a view that is milliseconds behind, seldom enough for one that is minutes behind. */
const pollBackoff: Backoff = { firstMs: 10, factor: 1.5, maxMs: 250 };

/**
 * Reads views once they have a token: the first look is the read itself, each later one is a statement.
 * @throws Problem `BEHIND` where they do not have it within `waitMs`; `VIEWS_UNAVAILABLE` where Postgres cannot
 *   be read, or the views have not been made
 */
export async function whenFresh<T>(database: Database, clock: Clock, of: FreshRead<T>): Promise<T> {
  try {
    const deadline = clock.now() + of.waitMs;
    let found = await readIfFresh(database, of);
    for (let attempt = 0; found.kind === "behind"; attempt++) {
      const leftMs = deadline - clock.now();
      const isOver = isAborted(of.signal) || isAborted(of.stopping);
      if (leftMs <= 0 || isOver) throw behind(of, found.commandOffset);
      const pauseMs = delayMs(pollBackoff, attempt, () => clock.random());
      await clock.sleep(Math.min(pauseMs, leftMs), of.signal, of.stopping);

      const { freshness } = await standingOf(database, of.projection, of.token);
      found =
        freshness === "fresh"
          ? await readIfFresh(database, of)
          : { kind: "behind", commandOffset: freshness.commandOffset };
    }
    return found.value;
  } catch (error) {
    throw unavailable(error);
  }
}

type Found<T> =
  | { readonly kind: "read"; readonly value: T }
  | { readonly kind: "behind"; readonly commandOffset: bigint | null };

async function readIfFresh<T>(database: Database, of: FreshRead<T>): Promise<Found<T>> {
  return database.transaction("snapshot", async (session) => {
    const [, { version, freshness }] = await Promise.all([
      lockViews(session, of.views),
      standingOf(session, of.projection, of.token),
    ]);
    if (version === null) throw notMade(of.projection.name);
    if (freshness !== "fresh") {
      return { kind: "behind", commandOffset: freshness.commandOffset };
    }
    return { kind: "read", value: await of.read(session, version) };
  });
}

/**
 * Keeps the views from being turned over to another version while they are read. A lock takes no snapshot, so
 * the one that the next statement takes is of a time when the views could no longer change.
 */
async function lockViews(session: Session, views: readonly string[]): Promise<void> {
  const names = views.map((view) => ident("public", view));
  await session.query(`lock table ${names.join(", ")} in access share mode`);
}

function behind({ projection, token, waitMs }: FreshRead<unknown>, at: bigint | null): Problem {
  const { topic, partition, commandOffset } = token ?? anyToken;
  const come = at === null ? "seen no event" : `come to command offset ${at}`;
  return new Problem("BEHIND", {
    detail:
      `After ${waitMs} ms the view of "${projection.name}" has ${come} of ${topic}/${partition}; the token is ` +
      `of command offset ${commandOffset}. The command itself is safe. Ask again, with a longer waitMs, or ` +
      "without the token for the view as it is.",
    more: { behind: { commandOffset, at } },
    retryAfter: 1,
  });
}

function notMade(projection: string): Problem {
  return new Problem("VIEWS_UNAVAILABLE", {
    detail:
      `The views of "${projection}" have not been made in this database. Whoever runs this server makes them ` +
      "with `npm run -s foldlog -- migrate`.",
    retryAfter: 30,
  });
}

/** No such table, schema or column, or no right to see it: the database is not as `migrate` makes it. */
const unpreparedStates: readonly string[] = ["42P01", "3F000", "42703", "42501", "42809"];
const timeoutState = "57014";

/**
 * What a reader is told of an error of Postgres, with the error as its `cause` for the log; any other error goes
 * on as it is.
 */
export function unavailable(error: unknown): unknown {
  if (error instanceof SqlError && unpreparedStates.includes(error.sqlState)) {
    const detail =
      "The views in this database are not as this server needs them. Whoever runs it prepares them with " +
      "`npm run -s foldlog -- migrate`.";
    return because(error, { detail, retryAfter: 30 });
  }
  const isAway =
    error instanceof TransientError ||
    error instanceof WriterLostError ||
    (error instanceof FatalError && error.code === "UNAUTHORIZED");
  if (!isAway) return error;
  const { code } = (error.cause ?? {}) as { readonly code?: unknown };
  const detail =
    code === timeoutState
      ? "The query took longer than a query may. Narrow it by filters, or sort by the key or an indexed column."
      : "The database that holds the views does not answer. Commands are accepted all the same. Ask again soon.";
  return because(error, { detail, retryAfter: 5 });
}

function because(error: Error, details: ProblemDetails): Problem {
  const problem = new Problem("VIEWS_UNAVAILABLE", details);
  problem.cause = error;
  return problem;
}
