import { createHash, createHmac, pbkdf2Sync, randomBytes } from "node:crypto";
import { backOff, dependencyBackoff } from "../backoff.ts";
import { type Clock, systemClock } from "../clock.ts";
import { FatalError, invariant, TransientError } from "../errors.ts";
import type { AnyProjection } from "../projection.ts";
import { checkDeclaration, ident, projectorRole, readerRole } from "../projections/tables.ts";
import { migrate, type Migration, ownMigrations } from "./migrations.ts";
import {
  isOneOf,
  literal,
  openDatabase,
  type Session,
  SqlError,
  writesInTransactionsOnly,
} from "./postgres.ts";
import { prepareProjection, turnOver } from "./prepare-projection.ts";

/** Migrations, roles, tables, rights and views: all that workers and readers find ready. */

/** Whose database, for which projections. */
export interface PrepareOptions {
  /** Of the role that owns the database and may create roles. Everything made belongs to it. */
  readonly ownerUrl: string;
  readonly projections: readonly AnyProjection[];
  /** Role → its password, printable ASCII. A role that is left out keeps the one it has, or cannot log in. */
  readonly passwords: Readonly<Record<string, string>>;
  readonly migrations?: readonly Migration[];
  readonly clock?: Clock;
}

const maxAttempts = 6;

/**
 * Brings the database to what this version's migrations and projections need, in one transaction. Running it
 * again changes nothing; of several at once one runs after the other. Resolves to what it did, a line each.
 *
 * The roles: `foldlog_reader` reads the public views and the checkpoints; `projector_<name>` reads and writes
 * its own tables and its own checkpoints, and nothing else. Nobody else may connect.
 * @throws FatalError `MIGRATION_CHANGED`; `PROJECTION_DRIFT` where a version's tables were made from another
 *   declaration; `UNAUTHORIZED` where the owner may not do what is needed
 * @throws TransientError where Postgres stays away
 */
export async function prepareDatabase(options: PrepareOptions): Promise<readonly string[]> {
  const { projections, clock = systemClock } = options;
  checkProjections(projections);
  const database = openDatabase({
    url: options.ownerUrl,
    applicationName: "foldlog migrate",
    maxConnections: 1,
    settings: { ...writesInTransactionsOnly, search_path: "pg_catalog", lock_timeout: "10s" },
    answerTimeoutMs: 3_600_000, // To make an index on a large table takes its time.
  });
  try {
    for (let attempt = 0; ; attempt++) {
      try {
        return await database.transaction("read write", async (session) =>
          prepare(session, options),
        );
      } catch (error) {
        if (!mayWorkLater(error) || attempt + 1 === maxAttempts) throw explained(error);
        await backOff(dependencyBackoff, attempt, clock);
      }
    }
  } finally {
    await database.close();
  }
}

/** Roles belong to the whole server: another database's run may be making the same ones. */
const contendedStates: readonly string[] = ["42710", "23505"];

function mayWorkLater(error: unknown): boolean {
  if (error instanceof SqlError) return isOneOf(contendedStates, error.sqlState);
  return error instanceof TransientError;
}

function explained(error: unknown): unknown {
  if (!(error instanceof SqlError)) return error;
  const { message, sqlState, hint } = error;
  const what = `the database could not be prepared: ${message} (${sqlState})${hint === null ? "" : `; ${hint}`}`;
  return sqlState === "42501"
    ? new FatalError("UNAUTHORIZED", `${what}; the owner needs CREATEROLE and the database`, {
        cause: error,
      })
    : new FatalError("BROKEN_INVARIANT", what, { cause: error });
}

function checkProjections(projections: readonly AnyProjection[]): void {
  const owners = new Map<string, string>();
  for (const projection of projections) {
    checkDeclaration(projection);
    for (const table of Object.keys(projection.tables)) {
      const other = owners.get(table);
      if (other !== undefined) {
        const both = `projections "${other}" and "${projection.name}"`;
        throw new FatalError("BROKEN_INVARIANT", `${both} both declare a table "${table}"`);
      }
      owners.set(table, projection.name);
    }
  }
}

async function prepare(session: Session, options: PrepareOptions): Promise<readonly string[]> {
  // One at a time in this database; released with the transaction.
  await session.query("select pg_advisory_xact_lock(hashtextextended('foldlog migrate', 0))");
  const { rows } = await session.query("select current_database() as name");
  const name = rows[0]?.["name"];
  invariant(typeof name === "string", "a database has a name");
  const database = ident(name);

  const migrations = await migrate(session, options.migrations ?? ownMigrations());
  const done = migrations.map((file) => `applied migration ${file}`);

  await session.query(`
    revoke all on database ${database} from public;
    revoke all on schema public from public;
    revoke all on schema foldlog from public`);
  const roles = { database, passwords: options.passwords };
  const reader = ident(readerRole);
  done.push(...(await prepareRole(session, { name: readerRole, settings: readerSettings }, roles)));
  await session.query(`
    grant usage on schema public, foldlog to ${reader};
    grant select on foldlog.checkpoints, foldlog.projections to ${reader}`);

  for (const projection of options.projections) {
    const name = projectorRole(projection.name);
    const role = ident(name);
    done.push(...(await prepareRole(session, { name, settings: projectorSettings }, roles)));
    await session.query(`
      grant usage on schema public, foldlog to ${role}; -- Types of columns may be in public.
      grant select, insert, update on foldlog.checkpoints to ${role};
      grant select on foldlog.projections to ${role}`);
    done.push(...(await prepareProjection(session, projection)));
  }
  for (const projection of options.projections) done.push(...(await turnOver(session, projection)));
  return done;
}

const readerSettings: Readonly<Record<string, string>> = {
  default_transaction_read_only: "on",
  statement_timeout: "30s",
  idle_in_transaction_session_timeout: "30s",
  search_path: "public",
};

const projectorSettings: Readonly<Record<string, string>> = {
  statement_timeout: "30s",
  lock_timeout: "5s",
  idle_in_transaction_session_timeout: "10s",
  search_path: "pg_catalog",
};

interface Role {
  readonly name: string;
  /** In force whenever it logs in to this database. */
  readonly settings: Readonly<Record<string, string>>;
}

interface RolesOf {
  /** Quoted. */
  readonly database: string;
  readonly passwords: PrepareOptions["passwords"];
}

const roleSql = `
  select rolsuper or rolbypassrls or rolcreaterole or rolcreatedb as mighty
  from pg_roles where rolname = $1`;

async function prepareRole(
  session: Session,
  { name, settings }: Role,
  { database, passwords }: RolesOf,
): Promise<readonly string[]> {
  const { rows } = await session.query(roleSql, [name]);
  const [existing] = rows;
  if (existing?.["mighty"] === true) {
    throw new FatalError(
      "UNAUTHORIZED",
      `role "${name}" has rights that a role of Foldlog must not have (superuser, bypassrls, createrole ` +
        "or createdb); take them away, or drop the role",
    );
  }
  const role = ident(name);
  if (existing === undefined) await session.query(`create role ${role} login`);
  const password = Object.hasOwn(passwords, name) ? passwords[name] : undefined;
  if (password !== undefined) {
    await session.query(`alter role ${role} password ${literal(scramVerifier(name, password))}`);
  }
  for (const [setting, value] of Object.entries(settings)) {
    const set = `set ${setting} = ${literal(value)}`;
    await session.query(`alter role ${role} in database ${database} ${set}`);
  }
  await session.query(`grant connect on database ${database} to ${role}`);
  // Lets the owner act as the role, as the command line does.
  await session.query(`grant ${role} to current_user`);
  return existing === undefined ? [`created role ${name}`] : [];
}

/**
 * What Postgres keeps in place of a password (RFC 5803). It is made here, so that the password itself comes
 * into no statement and no log of the server.
 */
function scramVerifier(role: string, password: string): string {
  if (!/^[ -~]{1,1000}$/.test(password)) {
    // Others are normalised before they are hashed (SASLprep), and not by every client in the same way.
    throw new FatalError("UNAUTHORIZED", `the password of role "${role}" must be printable ASCII`);
  }
  const iterations = 4096;
  const salt = randomBytes(16);
  const salted = pbkdf2Sync(password, salt, iterations, 32, "sha256");
  const keyed = (text: string) => createHmac("sha256", salted).update(text).digest();
  const storedKey = createHash("sha256").update(keyed("Client Key")).digest("base64");
  const serverKey = keyed("Server Key").toString("base64");
  return `SCRAM-SHA-256$${iterations}:${salt.toString("base64")}$${storedKey}:${serverKey}`;
}
