import { FatalError } from "../../engine/errors.ts";
import { migrate, ownMigrations } from "../../engine/postgres/migrations.ts";
import {
  openDatabase,
  type Session,
  SqlError,
  type SqlRow,
} from "../../engine/postgres/postgres.ts";
import { readShapes } from "../../engine/postgres/table-shapes.ts";
import type { AnyProjection } from "../../engine/projection.ts";
import {
  declaredHash,
  ident,
  projectionSchema,
  projectorRole,
  readerRole,
  versionedTable,
} from "../../engine/projections/tables.ts";

/** What Postgres says of itself, asked in one snapshot that cannot write. */

export interface PostgresFacts {
  /** As Postgres writes it, for example 180004. */
  readonly versionNumber: number;
  readonly clock: ClockFacts;
  readonly migrations: MigrationFacts;
  readonly roles: readonly RoleFacts[];
  readonly rights: readonly RightFacts[];
  readonly projections: readonly ProjectionFacts[];
}

export interface ClockFacts {
  /** Postgres's clock less this machine's. */
  readonly aheadMs: number;
  /** By how much the answer's way here may have falsified that. */
  readonly toleranceMs: number;
}

export type MigrationFacts =
  | { readonly kind: "read"; readonly applied: number; readonly missing: readonly string[] }
  | { readonly kind: "changed"; readonly why: string }
  | { readonly kind: "none" }
  /** Only the owner may look. */
  | { readonly kind: "hidden" };

export interface RoleFacts {
  readonly name: string;
  readonly exists: boolean;
  readonly canLogIn: boolean;
  /** Of superuser, bypassrls, createrole, createdb and replication those that it has. */
  readonly powers: readonly string[];
  readonly memberOf: readonly string[];
}

/** What a role may do with a relation. */
export interface RightFacts {
  readonly role: string;
  readonly schema: string;
  readonly relation: string;
  readonly canRead: boolean;
  /** Any one of insert, update, delete and truncate. */
  readonly canChange: boolean;
  /** Each one of insert, update and delete. */
  readonly canWrite: boolean;
}

export interface ProjectionFacts {
  readonly name: string;
  /** The one that this code has. */
  readonly version: number;
  readonly isPrepared: boolean;
  /** Why its tables are not those that it declares; `null` where they are. */
  readonly drift: string | null;
  /** The version that the public views read; `null` where they read none. */
  readonly live: number | null;
  readonly missingViews: readonly string[];
}

/** The roles of Foldlog: the reader's and each projector's. */
export function rolesOf(projections: readonly AnyProjection[]): readonly string[] {
  return [readerRole, ...projections.map(({ name }) => projectorRole(name))];
}

const answerTimeoutMs = 5_000;

/** @throws what `Session.query` throws */
export async function askDatabase(
  url: string,
  projections: readonly AnyProjection[],
): Promise<PostgresFacts> {
  const database = openDatabase({
    url,
    applicationName: "foldlog doctor",
    maxConnections: 1,
    settings: { search_path: "pg_catalog", default_transaction_read_only: "on" },
    answerTimeoutMs,
  });
  try {
    const clock = await askClock(database);
    const migrations = await askMigrations(database);
    return await database.transaction("snapshot", async (session) => {
      const roles = rolesOf(projections);
      const { rows } = await session.query(versionSql);
      return {
        versionNumber: Number(rows[0]?.["version"]),
        clock,
        migrations,
        roles: await askRoles(session, roles),
        rights: await askRights(session, roles),
        projections: await askProjections(session, projections),
      };
    });
  } finally {
    await database.close();
  }
}

const versionSql = "select current_setting('server_version_num') as version";

async function askClock(session: Session): Promise<ClockFacts> {
  await session.query("select 1"); // Opens the connection, which takes longer than an answer.
  const asked = Date.now();
  const { rows } = await session.query("select clock_timestamp() as now");
  const answered = Date.now();
  const now = rows[0]?.["now"] as Date;
  return {
    aheadMs: now.getTime() - (asked + answered) / 2,
    toleranceMs: (answered - asked) / 2 + 1,
  };
}

const historySql = "select number, name, checksum from foldlog.migrations order by number";
const notThere: readonly string[] = ["42P01", "3F000"];
const denied = "42501";

async function askMigrations(session: Session): Promise<MigrationFacts> {
  try {
    const { rows } = await session.query(historySql);
    const missing = await migrate(dryRun(rows), ownMigrations());
    return { kind: "read", applied: rows.length, missing };
  } catch (error) {
    if (error instanceof SqlError && notThere.includes(error.sqlState)) return { kind: "none" };
    if (error instanceof SqlError && error.sqlState === denied) return { kind: "hidden" };
    if (error instanceof FatalError && error.code === "MIGRATION_CHANGED") {
      return { kind: "changed", why: error.message };
    }
    throw error;
  }
}

/** Answers every statement with what was applied, and carries none out: so `migrate` tells what it would do. */
function dryRun(applied: readonly SqlRow[]): Session {
  return { query: async () => ({ columns: [], rows: applied, count: applied.length }) };
}

const rolesSql = `
  select r.rolname::text as name, r.rolcanlogin as can_log_in,
         array_remove(array[
           case when r.rolsuper then 'superuser' end,
           case when r.rolbypassrls then 'bypassrls' end,
           case when r.rolcreaterole then 'createrole' end,
           case when r.rolcreatedb then 'createdb' end,
           case when r.rolreplication then 'replication' end], null) as powers,
         array(select g.rolname::text
               from pg_auth_members m join pg_roles g on g.oid = m.roleid
               where m.member = r.oid order by 1) as member_of
  from pg_roles r where r.rolname = any($1::text[])`;

async function askRoles(session: Session, names: readonly string[]): Promise<readonly RoleFacts[]> {
  const { rows } = await session.query(rolesSql, [names]);
  return names.map((name) => {
    const row = rows.find((it) => it["name"] === name);
    return {
      name,
      exists: row !== undefined,
      canLogIn: row?.["can_log_in"] === true,
      powers: (row?.["powers"] ?? []) as readonly string[],
      memberOf: (row?.["member_of"] ?? []) as readonly string[],
    };
  });
}

const rightsSql = `
  select r.rolname::text as role, n.nspname::text as schema, c.relname::text as relation,
         has_table_privilege(r.oid, c.oid, 'select') as can_read,
         has_table_privilege(r.oid, c.oid, 'insert, update, delete, truncate') as can_change,
         has_table_privilege(r.oid, c.oid, 'insert')
           and has_table_privilege(r.oid, c.oid, 'update')
           and has_table_privilege(r.oid, c.oid, 'delete') as can_write
  from pg_roles r
  cross join pg_class c
  join pg_namespace n on n.oid = c.relnamespace
  where r.rolname = any($1::text[]) and c.relkind in ('r', 'p', 'v', 'm')
    and (n.nspname in ('foldlog', 'public') or n.nspname like 'projection\\_%')
  order by role, schema, relation`;

async function askRights(
  session: Session,
  roles: readonly string[],
): Promise<readonly RightFacts[]> {
  const { rows } = await session.query(rightsSql, [roles]);
  return rows.map((row) => ({
    role: String(row["role"]),
    schema: String(row["schema"]),
    relation: String(row["relation"]),
    canRead: row["can_read"] === true,
    canChange: row["can_change"] === true,
    canWrite: row["can_write"] === true,
  }));
}

const preparedSql = `
  select to_regclass('foldlog.projections') is not null as is_there`;
const versionsSql = `
  select projection, version, declared, shape, live from foldlog.projections`;
const viewsSql = `
  select view from unnest($1::text[]) as view where to_regclass(view) is null`;

async function askProjections(
  session: Session,
  projections: readonly AnyProjection[],
): Promise<readonly ProjectionFacts[]> {
  const { rows: answer } = await session.query(preparedSql);
  const isThere = answer[0]?.["is_there"] === true;
  const { rows } = isThere ? await session.query(versionsSql) : { rows: [] };
  const all: ProjectionFacts[] = [];
  for (const projection of projections) {
    const { name, version } = projection;
    const own = rows.filter((row) => row["projection"] === name);
    const prepared = own.find((row) => row["version"] === version);
    const live = own.find((row) => row["live"] === true);
    const tables = Object.keys(projection.tables);
    const views = tables.map((table) => ident("public", table));
    const { rows: missing } = await session.query(viewsSql, [views]);
    all.push({
      name,
      version,
      isPrepared: prepared !== undefined,
      drift: prepared === undefined ? null : await driftOf(session, projection, prepared),
      live: live === undefined ? null : Number(live["version"]),
      missingViews: missing.map((row) => String(row["view"])),
    });
  }
  return all;
}

async function driftOf(
  session: Session,
  projection: AnyProjection,
  prepared: SqlRow,
): Promise<string | null> {
  if (prepared["declared"] !== declaredHash(projection)) {
    return "its tables were made from another declaration";
  }
  const { fingerprint } = await readShapes(session, projection);
  return prepared["shape"] === fingerprint
    ? null
    : "its tables have been altered or dropped since they were made";
}

/** The tables that a projector writes. */
export function tablesOf({ name, version, tables }: AnyProjection): readonly {
  readonly schema: string;
  readonly relation: string;
}[] {
  const schema = projectionSchema(name);
  return Object.keys(tables).map((table) => ({ schema, relation: versionedTable(table, version) }));
}
