import { FatalError } from "../../engine/errors.ts";
import type { Database, Session, SqlRow } from "../../engine/postgres/postgres.ts";
import { SqlError } from "../../engine/postgres/postgres.ts";
import { readerRole } from "../../engine/projections/tables.ts";

/** What every projection's view has: a live version, and a checkpoint on each partition of its topic. */

export interface ViewCheckpoint {
  readonly nextOffset: bigint;
  /** Of the last event in the view; `null` before the first. */
  readonly commandOffset: number | null;
  readonly aggregateVersion: number | null;
}

/** A projection as the database has it, in one snapshot with its rows. */
export interface ViewState {
  readonly projection: string;
  /** The version that the public views read. */
  readonly version: number;
  readonly topic: string;
  readonly checkpoints: ReadonlyMap<number, ViewCheckpoint>;
}

/** Rows asked for at once: the memory of an answer, and never an idle transaction. */
const fetchRows = 5_000;

/** Reads everything in one snapshot, as the role that only reads. */
export async function inSnapshot<T>(
  database: Database,
  work: (session: Session) => Promise<T>,
  signal: AbortSignal,
): Promise<T> {
  try {
    return await database.transaction("snapshot", work, signal);
  } catch (error) {
    if (!(error instanceof SqlError)) throw error;
    const next = "run: npm run -s foldlog -- migrate";
    throw new FatalError(
      "PROJECTION_DRIFT",
      `the views cannot be read: ${error.message} (${error.sqlState}); ${next}`,
      { cause: error },
    );
  }
}

/** @throws FatalError `PROJECTION_DRIFT` where the projection was never prepared */
export async function readViewState(
  session: Session,
  projection: string,
  topic: string,
): Promise<ViewState> {
  await requireSight(session);
  const { rows: live } = await session.query(
    "select version from foldlog.projections where projection = $1 and live",
    [projection],
  );
  const [row] = live;
  if (row === undefined) {
    throw new FatalError(
      "PROJECTION_DRIFT",
      `there is no view of the projection "${projection}"; run: npm run -s foldlog -- migrate`,
    );
  }
  const version = Number(row["version"]);
  const { rows } = await session.query(
    `select partition, next_offset, command_offset, aggregate_version from foldlog.checkpoints
     where projection = $1 and version = $2 and topic = $3`,
    [projection, version, topic],
  );
  const checkpoints = new Map(
    rows.map((it) => [
      Number(it["partition"]),
      {
        nextOffset: it["next_offset"] as bigint,
        commandOffset: numberOrNull(it["command_offset"]),
        aggregateVersion: numberOrNull(it["aggregate_version"]),
      },
    ]),
  );
  return { projection, version, topic, checkpoints };
}

/** A role that row security keeps from the checkpoints would see none, and every row would look lost. */
async function requireSight(session: Session): Promise<void> {
  const { rows } = await session.query(
    `select current_user, row_security_active('foldlog.checkpoints') as is_restricted`,
  );
  const { current_user: role, is_restricted: isRestricted } = rows[0] ?? {};
  if (isRestricted !== true || role === readerRole) return;
  throw new FatalError(
    "UNAUTHORIZED",
    `the role ${String(role)} may not see all checkpoints; DATABASE_READ_URL is to name ${readerRole}`,
  );
}

/** All rows of a query, some at a time. */
export async function eachRow(
  session: Session,
  sql: string,
  visit: (row: SqlRow) => void,
): Promise<number> {
  await session.query(`declare audited no scroll cursor for ${sql}`);
  let count = 0;
  for (;;) {
    const { rows } = await session.query(`fetch ${fetchRows} from audited`);
    for (const row of rows) visit(row);
    count += rows.length;
    if (rows.length < fetchRows) break;
  }
  await session.query("close audited");
  return count;
}

function numberOrNull(value: unknown): number | null {
  return value === null || value === undefined ? null : Number(value);
}
