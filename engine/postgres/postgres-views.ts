import { backOff, dependencyBackoff } from "../backoff.ts";
import type { Clock } from "../clock.ts";
import { FatalError, invariant, TransientError, WriterLostError } from "../errors.ts";
import type { TopicPartition } from "../log.ts";
import type { AnyProjection } from "../projection.ts";
import { UnapplicableError } from "../projections/rows.ts";
import { checkDeclaration, declaredHash, ident, projectorRole } from "../projections/tables.ts";
import { type Checkpoint, type ViewCommit, type Views } from "../projections/views.ts";
import {
  type Database,
  isOneOf,
  openDatabase,
  type Session,
  SqlError,
  type SqlRow,
  writesInTransactionsOnly,
} from "./postgres.ts";
import { type RowStatement, statementsFor, type TableShape } from "./row-statements.ts";
import { readShapes } from "./table-shapes.ts";

/** `Views` over Postgres: one transaction a batch, one statement a table and set of columns. */

export interface PostgresViewsOptions {
  /** The projector's own role, or one that may become it (the owner). */
  readonly url: string;
  readonly projection: AnyProjection;
  readonly clock: Clock;
  /** Told each time that Postgres is away while this waits for it. */
  readonly waiting: (error: TransientError) => void;
}

/** Enough for partitions that wait for a lock not to hold up the others. */
const maxConnections = 8;

/** Half a minute is long for a batch; a transaction whose client is gone must not keep its locks. */
const projectorSettings: Readonly<Record<string, string>> = {
  ...writesInTransactionsOnly,
  search_path: "pg_catalog",
  statement_timeout: "30s",
  lock_timeout: "5s",
  idle_in_transaction_session_timeout: "10s",
};

/**
 * Opens the views of one version of a projection, once its tables turn out to be as declared. It makes
 * nothing: `prepareDatabase` does. Waits, with a back-off, for a Postgres that is away.
 * @throws FatalError `PROJECTION_DRIFT` where a table is missing or differs
 */
export async function openPostgresViews(
  options: PostgresViewsOptions,
  signal: AbortSignal,
): Promise<Views> {
  const { url, projection, clock } = options;
  checkDeclaration(projection);
  const database = openDatabase({
    url,
    applicationName: `foldlog projector ${projection.name}`,
    maxConnections,
    settings: { ...projectorSettings, role: projectorRole(projection.name) },
    answerTimeoutMs: 40_000,
  });
  try {
    for (let attempt = 0; ; attempt++) {
      signal.throwIfAborted();
      try {
        const tables = await checkedTables(database, projection, signal);
        return viewsOf({ database, projection, tables });
      } catch (error) {
        if (error instanceof FatalError && error.code === "UNAUTHORIZED") throw notLetIn(error);
        if (!(error instanceof TransientError)) throw error;
        options.waiting(error);
        await backOff(dependencyBackoff, attempt, clock, signal);
      }
    }
  } catch (error) {
    await database.close();
    throw error;
  }
}

type Tables = ReadonlyMap<string, TableShape>;

const prepareCommand = "run `npm run -s foldlog -- migrate`, which prepares the database";

function notLetIn(error: FatalError): FatalError {
  const message = `${error.message}; ${prepareCommand}, or mend DATABASE_URL`;
  return new FatalError("UNAUTHORIZED", message, { cause: error });
}

async function checkedTables(
  database: Database,
  projection: AnyProjection,
  signal: AbortSignal,
): Promise<Tables> {
  const said = `projection "${projection.name}" version ${projection.version}`;
  const drift = (what: string) => new FatalError("PROJECTION_DRIFT", `${said}: ${what}`);
  const check = async (session: Session) => {
    const prepared = await preparedVersion(session, projection);
    if (prepared === null) throw drift(`its tables have not been made; ${prepareCommand}`);
    if (prepared["declared"] !== declaredHash(projection)) {
      throw drift("its tables were made from another declaration; raise its version");
    }
    const shapes = await readShapes(session, projection);
    const missing = Object.keys(projection.tables).find((table) => !shapes.tables.has(table));
    if (missing !== undefined) throw drift(`table "${missing}" is not there; raise its version`);
    if (prepared["shape"] !== shapes.fingerprint) {
      throw drift("its tables have been altered since they were made; raise its version");
    }
    return shapes.tables;
  };
  try {
    return await database.transaction("snapshot", check, signal);
  } catch (error) {
    if (!(error instanceof SqlError) || !isOneOf(missingStates, error.sqlState)) throw error;
    throw drift(`the database is not prepared (${error.message}); ${prepareCommand}`);
  }
}

const preparedSql = `
  select declared, shape from foldlog.projections where projection = $1 and version = $2`;

async function preparedVersion(
  session: Session,
  { name, version }: AnyProjection,
): Promise<SqlRow | null> {
  const { rows } = await session.query(preparedSql, [name, version]);
  return rows[0] ?? null;
}

/** No such table, schema or column, or no right to see it. */
const missingStates: readonly string[] = ["42P01", "3F000", "42703", "42501"];

interface Opened {
  readonly database: Database;
  readonly projection: AnyProjection;
  readonly tables: Tables;
}

function viewsOf(opened: Opened): Views {
  const { database, projection, tables } = opened;
  return {
    async checkpoint(of, signal) {
      try {
        return await readCheckpoint(opened, of, signal);
      } catch (error) {
        throw error instanceof SqlError ? refused(error, null) : error;
      }
    },

    async commit(commit, signal) {
      const statements = commit.changes.flatMap(({ table, rows }) => {
        const shape = tables.get(table);
        invariant(shape !== undefined, `table "${table}" is not one of "${projection.name}"`);
        return statementsFor(shape, rows).map((statement) => ({ table, ...statement }));
      });
      try {
        await database.transaction(
          "read write",
          async (session) => write(session, projection, { commit, statements }),
          signal,
        );
      } catch (error) {
        throw error instanceof SqlError ? refused(error, null) : error;
      }
    },

    async expire({ table, since, before, most }, signal) {
      const relation = tables.get(table)?.relation;
      invariant(relation !== undefined, `table "${table}" is not one of "${projection.name}"`);
      // Locked before they are deleted, so that a row which a commit has just changed is looked at again.
      const sql = `
        delete from ${relation} where ctid = any (array(
          select ctid from ${relation} where ${ident(since)} < $1 limit $2 for update skip locked))`;
      try {
        const { count } = await database.transaction(
          "read write",
          async (session) => session.query(sql, [before, most]),
          signal,
        );
        return count;
      } catch (error) {
        throw error instanceof SqlError ? refused(error, null) : error;
      }
    },

    close: async () => database.close(),
  };
}

type TableStatement = RowStatement & { readonly table: string };

interface Batch {
  readonly commit: ViewCommit;
  readonly statements: readonly TableStatement[];
}

/** The checkpoint first: its row is locked, and what a zombie does after it is rolled back. */
async function write(
  session: Session,
  projection: AnyProjection,
  { commit, statements }: Batch,
): Promise<void> {
  const moving = moveCheckpoint(session, projection, commit);
  const writing = statements.map(async ({ sql, values }) => session.query(sql, values));
  const [moved, ...written] = await Promise.allSettled([moving, ...writing]);

  if (moved.status === "rejected") throw moved.reason;
  if (moved.value === 0) {
    const { topic, partition } = commit.topicPartition;
    throw new WriterLostError(
      "fenced",
      `the checkpoint of "${projection.name}" on ${topic}/${partition} is not the one expected`,
    );
  }
  statements.forEach((statement, index) => {
    const result = written[index];
    if (result?.status === "rejected") {
      // The first one that failed: those after it failed because of it.
      throw result.reason instanceof SqlError ? refused(result.reason, statement) : result.reason;
    }
    const { expects, keys, table, otherwise } = statement;
    if (expects === null || result?.value.count === expects) return;
    const row = keys.length === 1 ? `row ${JSON.stringify(keys[0])}` : `one of ${keys.length} rows`;
    throw new UnapplicableError(`table "${table}": ${row} ${otherwise}`, {
      table,
      key: keyOf(statement),
    });
  });
}

const insertCheckpointSql = `
  insert into foldlog.checkpoints
    (projection, version, topic, partition, next_offset, command_offset, aggregate_version)
  values ($1, $2, $3, $4, $5, $6, $7)
  on conflict do nothing`;

const moveCheckpointSql = `
  update foldlog.checkpoints
  set next_offset = $5, command_offset = $6, aggregate_version = $7, updated_at = now()
  where projection = $1 and version = $2 and topic = $3 and partition = $4
    and next_offset = $8
    and command_offset is not distinct from $9
    and aggregate_version is not distinct from $10`;

/** Compares and moves the checkpoint in one statement; resolves to 0 where it is not the expected one. */
async function moveCheckpoint(
  session: Session,
  { name, version }: AnyProjection,
  { topicPartition: { topic, partition }, expected, next }: ViewCommit,
): Promise<number> {
  const to = [name, version, topic, partition, next.nextOffset, next.commandOffset, next.version];
  if (expected === null) return (await session.query(insertCheckpointSql, to)).count;
  const from = [expected.nextOffset, expected.commandOffset, expected.version];
  return (await session.query(moveCheckpointSql, [...to, ...from])).count;
}

const readCheckpointSql = `
  select next_offset, command_offset, aggregate_version
  from foldlog.checkpoints
  where projection = $1 and version = $2 and topic = $3 and partition = $4`;

async function readCheckpoint(
  { database, projection: { name, version } }: Opened,
  { topic, partition }: TopicPartition,
  signal: AbortSignal,
): Promise<Checkpoint | null> {
  const key = [name, version, topic, partition];
  const { rows } = await database.query(readCheckpointSql, key, signal);
  const [row] = rows;
  if (row === undefined) return null;
  const { next_offset: nextOffset, command_offset: commandOffset } = row;
  const { aggregate_version: aggregateVersion } = row;
  invariant(typeof nextOffset === "bigint", "a checkpoint has an offset");
  return {
    nextOffset,
    commandOffset: typeof commandOffset === "bigint" ? commandOffset : null,
    version: typeof aggregateVersion === "bigint" ? Number(aggregateVersion) : null,
  };
}

/** SQLSTATEs, and classes of them, that blame the data: the same rows are refused for ever. */
const dataStates: readonly string[] = [
  "21", // Cardinality violation.
  "22", // A value that its type does not take: too long, out of range, no such enum label.
  "23", // Constraints: not null, unique, check, foreign key, exclusion.
  "44", // With check option.
  "54", // Too large for an index.
];

/** What a refusal means: the data's fault, or a database that is not what `migrate` made. */
function refused(error: SqlError, statement: TableStatement | null): Error {
  const { sqlState, constraint } = error;
  const table = statement?.table ?? error.table?.replace(/_v[0-9]+$/, "") ?? null;
  const where = table === null ? "" : `table "${table}": `;
  const what = `${where}${error.message} (${sqlState}${constraint === null ? "" : `, ${constraint}`})`;
  if (isOneOf(dataStates, sqlState)) {
    const key = statement === null ? null : keyOf(statement);
    return new UnapplicableError(what, { table, key, sqlState });
  }
  if (sqlState === "42501") return new FatalError("UNAUTHORIZED", what, { cause: error });
  if (isOneOf(missingStates, sqlState)) {
    return new FatalError("PROJECTION_DRIFT", `${what}; ${prepareCommand}`, { cause: error });
  }
  return new FatalError("BROKEN_INVARIANT", what, { cause: error });
}

function keyOf({ keys }: TableStatement) {
  return keys.length === 1 ? (keys[0] ?? null) : null;
}
