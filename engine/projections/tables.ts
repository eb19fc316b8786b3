import { createHash } from "node:crypto";
import { FatalError } from "../errors.ts";
import type { AnyProjection } from "../projection.ts";

/** What a projection's declaration means in Postgres: names, DDL and its hash. Pure. */

/** The role of readers: views and checkpoints, nothing else, and read only. */
export const readerRole = "foldlog_reader";

/** The role that a projector logs in as. */
export function projectorRole(projection: string): string {
  return `projector_${projection}`;
}

/** The schema that holds the tables of every version of a projection. */
export function projectionSchema(projection: string): string {
  return `projection_${projection}`;
}

/** The table of one version; the public name is a view over it. */
export function versionedTable(table: string, version: number): string {
  return `${table}_v${version}`;
}

/** The name of an index: another text is another index. */
export function indexName(table: string, version: number, text: string): string {
  const hash = createHash("sha256").update(withoutLayout(text)).digest("hex").slice(0, 8);
  return `${versionedTable(table, version)}_${hash}`;
}

/**
 * A hash of what a version's tables are declared to be. Layout does not count, nor do indexes: they hold no
 * data of their own.
 */
export function declaredHash(projection: AnyProjection): string {
  const tables = Object.entries(projection.tables)
    .map(([table, columns]) => [table, withoutLayout(columns)] as const)
    .sort(([a], [b]) => (a < b ? -1 : 1));
  return createHash("sha256").update(JSON.stringify(tables)).digest("hex");
}

function withoutLayout(ddl: string): string {
  return ddl.trim().replaceAll(/\s+/g, " ");
}

const projectionName = /^[a-z][a-z0-9_]{0,39}$/;
const tableName = /^[a-z][a-z0-9_]{0,44}$/; // 44 and "_v", a version and an index's hash: 63 bytes at most.
const maxVersion = 9999;

/**
 * Names go into SQL text, where no parameter can stand: only names that need no quoting are let through.
 * @throws FatalError `BROKEN_INVARIANT`
 */
export function checkDeclaration(projection: AnyProjection): void {
  const refuse = (what: string, rule: string) => {
    throw new FatalError("BROKEN_INVARIANT", `projection ${what}: ${rule}`);
  };
  const { name, version } = projection;
  const said = JSON.stringify(name);
  const letters = "only a-z, 0-9 and _, a letter first";
  if (!projectionName.test(name)) refuse(said, `its name takes ${letters}, at most 40 characters`);
  if (!Number.isInteger(version) || version < 1 || version > maxVersion) {
    refuse(said, `its version is a whole number from 1 to ${maxVersion}, not ${version}`);
  }
  const tables = Object.keys(projection.tables);
  if (tables.length === 0) refuse(said, "it declares no table");
  if (projection.topics.length === 0) refuse(said, "it names no topic");
  for (const [table, keeping] of Object.entries(projection.keeps ?? {})) {
    if (keeping === undefined || (tables.includes(table) && keeping.days > 0)) continue;
    refuse(said, `it keeps rows of ${JSON.stringify(table)} for ${keeping.days} days`);
  }
  for (const table of tables) {
    if (tableName.test(table)) continue;
    refuse(said, `the table name ${JSON.stringify(table)} takes ${letters}, at most 45 characters`);
  }
}

/** A name that has passed a check above, as an SQL identifier. */
export function ident(...path: readonly string[]): string {
  return path.map((name) => `"${name.replaceAll('"', '""')}"`).join(".");
}
