import { FatalError, invariant } from "../errors.ts";
import type { AnyProjection } from "../projection.ts";
import {
  declaredHash,
  ident,
  indexName,
  projectionSchema,
  projectorRole,
  readerRole,
  versionedTable,
} from "../projections/tables.ts";
import { type Session, SqlError } from "./postgres.ts";
import { readShapes } from "./table-shapes.ts";

/**
 * Makes the tables of a projection's version where they have not been made, its indexes and rights. Resolves to
 * what it did, a line each.
 *
 * The views read the first version that was prepared, until a later one has come at least as far on every
 * partition: a run after that turns them over to it.
 * @throws FatalError `PROJECTION_DRIFT` where the version's tables were made from another declaration
 */
export async function prepareProjection(
  session: Session,
  projection: AnyProjection,
): Promise<readonly string[]> {
  const { name, version } = projection;
  const schema = ident(projectionSchema(name));
  const role = ident(projectorRole(name));
  await session.query(`
    create schema if not exists ${schema};
    revoke all on schema ${schema} from public;
    grant usage on schema ${schema} to ${role}`);

  const done = await makeTables(session, projection);
  for (const table of Object.keys(projection.tables)) {
    const relation = relationOf(projection, table);
    await session.query(`grant select, insert, update, delete on ${relation} to ${role}`);
    done.push(...(await makeIndexes(session, projection, table)));
  }
  return done.map((line) => `${name} v${version}: ${line}`);
}

/**
 * Makes the public views of a projection, or turns them over to this version where it has caught up. Nobody can read
 * them from then on until the transaction ends, so it comes last in it.
 */
export async function turnOver(
  session: Session,
  projection: AnyProjection,
): Promise<readonly string[]> {
  const { name, version } = projection;
  const done = await makeViews(session, projection);
  return done.map((line) => `${name} v${version}: ${line}`);
}

function relationOf({ name, version }: AnyProjection, table: string): string {
  return ident(projectionSchema(name), versionedTable(table, version));
}

async function makeTables(session: Session, projection: AnyProjection): Promise<string[]> {
  const { name, version } = projection;
  const declared = declaredHash(projection);
  const drift = (what: string) =>
    new FatalError("PROJECTION_DRIFT", `projection "${name}" version ${version}: ${what}`);

  const { rows } = await session.query(
    "select declared, shape from foldlog.projections where projection = $1 and version = $2",
    [name, version],
  );
  const [recorded] = rows;
  if (recorded !== undefined) {
    if (recorded["declared"] !== declared) {
      throw drift("its tables were made from another declaration; raise its version");
    }
    const { fingerprint } = await readShapes(session, projection);
    if (recorded["shape"] !== fingerprint) {
      throw drift(
        "its tables have been altered or dropped since they were made; raise its version",
      );
    }
    return [];
  }

  for (const [table, columns] of Object.entries(projection.tables)) {
    const relation = relationOf(projection, table);
    try {
      await session.query(`create table ${relation} (${columns}\n)`);
    } catch (error) {
      throw explained(error, `projection "${name}": table "${table}"`);
    }
  }
  const { fingerprint } = await readShapes(session, projection);
  const tables = Object.keys(projection.tables);
  await session.query(
    `insert into foldlog.projections (projection, version, declared, shape, tables)
     values ($1, $2, $3, $4, $5)`,
    [name, version, declared, fingerprint, tables],
  );
  return tables.map((table) => `made table ${versionedTable(table, version)}`);
}

/** Makes the indexes that are declared and drops those of ours that are not any more. */
async function makeIndexes(
  session: Session,
  projection: AnyProjection,
  table: string,
): Promise<string[]> {
  const { name, version, indexes } = projection;
  const wanted = new Map(
    (indexes?.[table] ?? []).map((text) => [indexName(table, version, text), text]),
  );
  const { rows } = await session.query(
    `select indexname from pg_indexes
     where schemaname = $1 and tablename = $2 and indexname ~ ($2 || '_[0-9a-f]{8}$')`,
    [projectionSchema(name), versionedTable(table, version)],
  );
  const there = new Set(rows.map((row) => String(row["indexname"])));

  const done: string[] = [];
  for (const index of there) {
    if (wanted.has(index)) continue;
    await session.query(`drop index ${ident(projectionSchema(name), index)}`);
    done.push(`dropped index ${index}`);
  }
  for (const [index, text] of wanted) {
    if (there.has(index)) continue;
    try {
      await session.query(
        `create index ${ident(index)} on ${relationOf(projection, table)} ${text}`,
      );
    } catch (error) {
      throw explained(error, `projection "${name}": index ${text} on "${table}"`);
    }
    done.push(`made index ${index} ${text}`);
  }
  return done;
}

const liveSql = `
  select version, tables from foldlog.projections where projection = $1 and live`;

const caughtUpSql = `
  select not exists (
    select from foldlog.checkpoints live
    where live.projection = $1 and live.version = $2 and not exists (
      select from foldlog.checkpoints new
      where new.projection = $1 and new.version = $3
        and new.topic = live.topic and new.partition = live.partition
        and new.next_offset >= live.next_offset)) as caught_up`;

async function makeViews(session: Session, projection: AnyProjection): Promise<string[]> {
  const { name, version } = projection;
  const tables = Object.keys(projection.tables);
  const { rows } = await session.query(liveSql, [name]);
  const [live] = rows;
  if (live?.["version"] === version) return makeMissingViews(session, projection);

  const done: string[] = [];
  if (live !== undefined) {
    const versions = [name, Number(live["version"]), version];
    const { rows: answer } = await session.query(caughtUpSql, versions);
    if (answer[0]?.["caught_up"] !== true) {
      return [`the views still read v${String(live["version"])}: this version has to catch up`];
    }
    const old = live["tables"];
    invariant(Array.isArray(old), "a live version has tables");
    for (const table of old)
      await session.query(`drop view if exists ${publicName(String(table))}`);
    await session.query("update foldlog.projections set live = false where projection = $1", [
      name,
    ]);
    done.push(`the views leave v${String(live["version"])}`);
  }
  await session.query(
    "update foldlog.projections set live = true where projection = $1 and version = $2",
    [name, version],
  );
  for (const table of tables) done.push(...(await makeView(session, projection, table)));
  return done;
}

/** Views that somebody has dropped. */
async function makeMissingViews(session: Session, projection: AnyProjection): Promise<string[]> {
  const done: string[] = [];
  for (const table of Object.keys(projection.tables)) {
    const { rows } = await session.query("select to_regclass($1) is null as missing", [
      publicName(table),
    ]);
    if (rows[0]?.["missing"] === true) done.push(...(await makeView(session, projection, table)));
  }
  return done;
}

async function makeView(
  session: Session,
  projection: AnyProjection,
  table: string,
): Promise<string[]> {
  const view = publicName(table);
  try {
    await session.query(`create view ${view} as select * from ${relationOf(projection, table)}`);
  } catch (error) {
    throw explained(error, `projection "${projection.name}": view ${view}`);
  }
  await session.query(`grant select on ${view} to ${ident(readerRole)}`);
  return [`made view ${table}`];
}

function publicName(table: string): string {
  return ident("public", table);
}

/** An author's DDL that Postgres does not take is the author's to mend; anything else goes on as it is. */
function explained(error: unknown, what: string): unknown {
  if (!(error instanceof SqlError)) return error;
  const { message, hint, sqlState } = error;
  const more = hint === null ? "" : `; ${hint}`;
  return new FatalError("BROKEN_INVARIANT", `${what}: ${message} (${sqlState})${more}`, {
    cause: error,
  });
}
