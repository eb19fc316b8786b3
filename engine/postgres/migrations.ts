import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { FatalError } from "../errors.ts";
import type { Session } from "./postgres.ts";

/** The engine's own tables, in the schema `foldlog`: numbered SQL files, applied once each, forward only. */

/** One numbered file of SQL. */
export interface Migration {
  readonly number: number;
  /** The file's name, for example `0001_checkpoints.sql`. */
  readonly name: string;
  readonly sql: string;
}

/** The migrations that come with this version, in order. */
export function ownMigrations(): readonly Migration[] {
  const folder = join(import.meta.dirname, "migrations");
  return readdirSync(folder)
    .filter((name) => /^\d{4}_[a-z0-9_]+\.sql$/.test(name))
    .sort()
    .map((name) => ({
      number: Number(name.slice(0, 4)),
      name,
      sql: readFileSync(join(folder, name), "utf8"),
    }));
}

const historySql = `
  create schema if not exists foldlog;
  create table if not exists foldlog.migrations (
    number     integer     primary key,
    name       text        not null,
    checksum   text        not null,
    applied_at timestamptz not null default now()
  );
  select number, name, checksum from foldlog.migrations order by number`;

const recordSql = "insert into foldlog.migrations (number, name, checksum) values ($1, $2, $3)";

/**
 * Applies, in the session's transaction, those that have not been; resolves to their names. Run by one at a
 * time: `prepareDatabase` holds the lock. A database that a later version has migrated further is left so.
 * @throws FatalError `MIGRATION_CHANGED` where an applied file has been changed, renamed or removed since
 */
export async function migrate(
  session: Session,
  migrations: readonly Migration[],
): Promise<readonly string[]> {
  const { rows: applied } = await session.query(historySql);
  for (const row of applied) checkApplied(row, migrations);
  const greatest = applied.reduce((most, row) => Math.max(most, Number(row["number"])), 0);

  const missing = migrations.filter(
    ({ number }) => !applied.some((row) => row["number"] === number),
  );
  for (const { number, name, sql } of missing) {
    if (number < greatest) {
      throw changed(`${name} is new, but a later migration has been applied; give it a new number`);
    }
    await session.query(sql);
    await session.query(recordSql, [number, name, checksumOf(sql)]);
  }
  return missing.map(({ name }) => name);
}

function checkApplied(
  row: Readonly<Record<string, unknown>>,
  migrations: readonly Migration[],
): void {
  const name = String(row["name"]);
  const own = migrations.find(({ number }) => number === row["number"]);
  if (own === undefined) {
    if (migrations.every(({ number }) => number < Number(row["number"]))) return;
    throw changed(`${name} has been applied to this database, but is gone from engine/migrations`);
  }
  if (own.name !== name || checksumOf(own.sql) !== row["checksum"]) {
    throw changed(
      `${own.name} is not what has been applied to this database as ${name}; ` +
        "put it back as it was and write what is to change as a new migration",
    );
  }
}

function changed(message: string): FatalError {
  return new FatalError("MIGRATION_CHANGED", `migration ${message}`);
}

/** Line ends do not count: a checkout may change them. */
function checksumOf(sql: string): string {
  return createHash("sha256").update(sql.replaceAll("\r\n", "\n")).digest("hex");
}
