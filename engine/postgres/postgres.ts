import pg, { type PoolClient } from "pg";
import { FatalError, messageOf, TransientError, WriterLostError } from "../errors.ts";

/** Connections, transactions and what Postgres answers: the only file that imports `pg`. */

/** Lists become Postgres arrays. */
export type SqlValue =
  string | number | bigint | boolean | Date | null | readonly (string | null)[];

/** Values as Postgres types: bigint → `bigint`, timestamptz → `Date`, numeric and date → text. */
export type SqlRow = Readonly<Record<string, unknown>>;

export interface SqlResult {
  /** Column names in order; where two are the same, a row has the last one's value. */
  readonly columns: readonly string[];
  readonly rows: readonly SqlRow[];
  /** Rows returned or changed. */
  readonly count: number;
}

export interface Session {
  /**
   * A statement is sent without waiting for the answers to those before it: start several, then await all,
   * and they take one round trip. Without values, `sql` may be several statements; the last one's result counts.
   * @throws TransientError, FatalError or SqlError; see `classified`
   */
  query(sql: string, values?: readonly SqlValue[]): Promise<SqlResult>;
}

/** The mode of a transaction: a `snapshot` is read only and sees one state of the database throughout. */
export type TransactionMode = "read write" | "snapshot";

/** A pool of connections to one database as one role. It connects when it is first used. */
export interface Database extends Session {
  query(sql: string, values?: readonly SqlValue[], signal?: AbortSignal): Promise<SqlResult>;
  /**
   * Lends a session to `work`, then commits; rolls back where `work` throws. An aborted `signal` cuts the
   * connection and rejects with its reason, but not once the commit is under way.
   * @throws WriterLostError `indefinite` where nobody can tell whether the transaction was committed
   */
  transaction<T>(
    mode: TransactionMode,
    work: (session: Session) => Promise<T>,
    signal?: AbortSignal,
  ): Promise<T>;
  close(): Promise<void>;
}

export interface DatabaseOptions {
  /** `postgres://role:password@host:port/database`; parameters such as `sslmode` are honoured. */
  readonly url: string;
  /** What an operator sees in `pg_stat_activity`. */
  readonly applicationName: string;
  readonly maxConnections: number;
  /** Postgres settings of each connection, for example `lock_timeout`; the role's own where left out. */
  readonly settings?: Readonly<Record<string, string>>;
  /** How long to wait for a server that says nothing at all, in milliseconds. */
  readonly answerTimeoutMs: number;
}

/**
 * Statements of a transaction are sent without waiting for its BEGIN. Should that fail alone, these are refused by this
 * (25006) instead of being committed one by one: only a BEGIN READ WRITE allows them.
 */
export const writesInTransactionsOnly = { default_transaction_read_only: "on" } as const;

const connectTimeoutMs = 5_000;
const commitTimeoutMs = 8_000; // A worker that is told to stop waits for it.

export function openDatabase(options: DatabaseOptions): Database {
  const pool = new pg.Pool({
    connectionString: withSettings(options.url, {
      timezone: "UTC",
      datestyle: "ISO",
      ...options.settings,
    }),
    application_name: options.applicationName,
    max: options.maxConnections,
    query_timeout: options.answerTimeoutMs,
    connectionTimeoutMillis: connectTimeoutMs,
    idleTimeoutMillis: 60_000,
    keepAlive: true,
    pipeline: true,
    types: typeParsers(),
  });
  pool.on("error", () => undefined); // An idle connection was lost; the pool opens another when needed.

  return {
    query: async (sql, values, signal) =>
      lend(pool, signal, async (client) => run(client, sql, values)),

    transaction: async (mode, work, signal) =>
      lend(pool, signal, async (client, keepConnection) => {
        const result = await inTransaction(client, mode, work);
        signal?.throwIfAborted();
        keepConnection();
        await commit(client);
        return result;
      }),

    close: async () => pool.end(),
  };
}

const beginSql: Readonly<Record<TransactionMode, string>> = {
  "read write": "begin isolation level read committed read write",
  snapshot: "begin isolation level repeatable read read only",
};

async function inTransaction<T>(
  client: PoolClient,
  mode: TransactionMode,
  work: (session: Session) => Promise<T>,
): Promise<T> {
  const begun = run(client, beginSql[mode]);
  const session: Session = { query: async (sql, values) => run(client, sql, values) };
  // Both are waited for: nothing of the work may still be going on when the connection goes back.
  const [begin, done] = await Promise.allSettled([begun, work(session)]);
  if (begin.status === "rejected") throw begin.reason;
  if (done.status === "rejected") throw done.reason;
  return done.value;
}

async function commit(client: PoolClient): Promise<void> {
  let command: string;
  try {
    ({ command } = await client.query(withinCommitTimeout("commit")));
  } catch (error) {
    throw afterCommit(error);
  }
  if (command !== "COMMIT") {
    throw new FatalError("BROKEN_INVARIANT", `COMMIT was answered ${command}`);
  }
}

function withinCommitTimeout(text: string): pg.QueryConfig {
  const query = { text, query_timeout: commitTimeoutMs };
  return query;
}

async function run(
  client: PoolClient,
  sql: string,
  values: readonly SqlValue[] = [],
): Promise<SqlResult> {
  try {
    const results: unknown = await client.query(sql, [...values]);
    const last = (Array.isArray(results) ? results.at(-1) : results) as pg.QueryResult<SqlRow>;
    const { fields, rows, rowCount } = last;
    return { columns: fields.map(({ name }) => name), rows, count: rowCount ?? 0 };
  } catch (error) {
    throw classified(error);
  }
}

/**
 * Lends a connection. It goes back to the pool clean, or not at all. After `keepConnection` an aborted
 * signal does not cut it any more.
 */
async function lend<T>(
  pool: pg.Pool,
  signal: AbortSignal | undefined,
  work: (client: PoolClient, keepConnection: () => void) => Promise<T>,
): Promise<T> {
  const client = await acquire(pool, signal);
  let broken = false;
  const markBroken = () => {
    broken = true;
  };
  const cut = () => {
    broken = true;
    client.connection.stream.destroy();
  };
  const keepConnection = () => signal?.removeEventListener("abort", cut);
  client.on("error", markBroken); // Without a listener a lost connection would end the process.
  signal?.addEventListener("abort", cut);
  try {
    return await work(client, keepConnection);
  } catch (error) {
    if (!(await rolledBack(client))) broken = true;
    if (signal?.aborted && !(error instanceof WriterLostError)) throw signal.reason;
    throw error;
  } finally {
    keepConnection();
    client.release(broken);
    client.off("error", markBroken);
  }
}

async function rolledBack(client: PoolClient): Promise<boolean> {
  if (client.getTransactionStatus() === "I") return true;
  try {
    await client.query(withinCommitTimeout("rollback"));
    return true;
  } catch {
    return false; // The connection is given up; Postgres rolls back when it notices.
  }
}

async function acquire(pool: pg.Pool, signal: AbortSignal | undefined): Promise<PoolClient> {
  signal?.throwIfAborted();
  const pending = pool.connect();
  let abort = () => {};
  const aborted = new Promise<never>((_, reject) => {
    abort = () => {
      reject(new Error("aborted"));
    };
  });
  signal?.addEventListener("abort", abort);
  try {
    return await Promise.race([pending, aborted]);
  } catch (error) {
    if (signal?.aborted) {
      void releaseLate(pending);
      throw signal.reason;
    }
    const why = classified(error);
    // Whatever Postgres refuses here, it refuses the login: the database, the role or its settings.
    throw why instanceof SqlError ? unauthorized(why.message, why.sqlState, why) : why;
  } finally {
    signal?.removeEventListener("abort", abort);
  }
}

/** A connection that comes when nobody waits for it any more. */
async function releaseLate(pending: Promise<PoolClient>): Promise<void> {
  try {
    (await pending).release();
  } catch {
    // It could not be opened: then nothing is held.
  }
}

/** As much of Postgres's answer as may be repeated: the public types must not ask a reader for those of `pg`. */
interface Refusal {
  readonly message: string;
  readonly table: string | undefined;
  readonly constraint: string | undefined;
  readonly hint: string | undefined;
  readonly position: string | undefined;
}

/** What Postgres refuses for a reason that no retry cures. */
export class SqlError extends Error {
  override readonly name = "SqlError";
  /** Five characters, see the appendix "PostgreSQL Error Codes". */
  readonly sqlState: string;
  /** The table and constraint that Postgres blames, where it names them. */
  readonly table: string | null;
  readonly constraint: string | null;
  /** What Postgres suggests, for people. */
  readonly hint: string | null;
  /** Where in the statement, in characters from 1. */
  readonly position: number | null;

  /** Without `detail` and without the error as `cause`: they quote the row, and a row may hold secrets. */
  constructor(sqlState: string, { message, table, constraint, hint, position }: Refusal) {
    super(message);
    this.sqlState = sqlState;
    this.table = table ?? null;
    this.constraint = constraint ?? null;
    this.hint = hint ?? null;
    this.position = position === undefined ? null : Number(position);
  }
}

/** SQLSTATEs, and classes of them, of what time may cure. */
const transientStates: readonly string[] = [
  "08", // Connection exceptions.
  "25006", // A read-only transaction: the server has become a standby.
  "25P03", // idle_in_transaction_session_timeout.
  "25P04", // transaction_timeout.
  "40", // Serialization failure, deadlock.
  "53", // Too many connections, disk full, out of memory.
  "55006", // Object in use.
  "55P03", // lock_timeout.
  "57", // Shutdown, crash, starting up, statement_timeout, terminated by an administrator.
  "58", // I/O errors.
  "XX000", // For one "tuple concurrently updated": two sessions grant or alter the same thing.
];

/** SQLSTATEs, and classes of them, of a login that is not let in. */
const unauthorizedStates: readonly string[] = [
  "28", // Unknown role, wrong password, not in pg_hba.conf.
  "3D000", // No such database.
];

/** What a later COMMIT of the same transaction may still be told; see `afterCommit`. */
const refusedCommitStates: readonly string[] = ["21", "22", "23", "40001", "40P01"];

/** Whether `state` is, or is in a class that is, in the list. */
export function isOneOf(states: readonly string[], state: string): boolean {
  return states.some((prefix) => state.startsWith(prefix));
}

/** Says of anything that `pg` threw what to do about it. An error without SQLSTATE is one of the connection. */
export function classified(error: unknown): Error {
  if (error instanceof pg.DatabaseError && error.code !== undefined) {
    const { code } = error;
    if (isOneOf(transientStates, code)) {
      return new TransientError(`Postgres: ${error.message} (${code})`, { cause: error });
    }
    if (isOneOf(unauthorizedStates, code)) {
      return unauthorized(error.message, code, error);
    }
    return new SqlError(code, error);
  }
  if (error instanceof TypeError || error instanceof RangeError) return error; // A fault of ours.
  const message =
    error instanceof AggregateError ? error.errors.map(messageOf).join("; ") : messageOf(error);
  return new TransientError(`Postgres: ${message}`, { cause: error });
}

function unauthorized(message: string, sqlState: string, cause: Error): FatalError {
  return new FatalError("UNAUTHORIZED", `Postgres: ${message} (${sqlState})`, { cause });
}

/**
 * A COMMIT is refused for good by a deferred constraint or a serialization failure. Whatever else went wrong,
 * it may have been carried out: the connection was lost, or the server stopped, before its answer came.
 */
function afterCommit(error: unknown): Error {
  const state = error instanceof pg.DatabaseError ? error.code : undefined;
  if (state !== undefined && isOneOf(refusedCommitStates, state)) return classified(error);
  const message = `nobody can tell whether Postgres committed: ${messageOf(error)}`;
  return new WriterLostError("indefinite", message, { cause: error });
}

/** The URL with settings for the connection's start, after those that it has itself. */
function withSettings(url: string, settings: Readonly<Record<string, string>>): string {
  const parsed = new URL(url);
  const own = parsed.searchParams.get("options");
  const added = Object.entries(settings).map(([name, value]) => {
    return `-c ${name}=${value.replaceAll(/[\\ ]/g, "\\$&")}`;
  });
  parsed.searchParams.set("options", [...(own === null ? [] : [own]), ...added].join(" "));
  return parsed.href;
}

function typeParsers(): pg.CustomTypesConfig {
  const { INT8, DATE, TIMESTAMP } = pg.types.builtins;
  const types = new pg.TypeOverrides();
  types.setTypeParser(INT8, BigInt);
  types.setTypeParser(DATE, String); // Neither names an instant: text, not a Date in some time zone.
  types.setTypeParser(TIMESTAMP, String);
  return types;
}

/** A string as an SQL literal, for the few statements that take no parameters. */
export function literal(text: string): string {
  return pg.escapeLiteral(text);
}
