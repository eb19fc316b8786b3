import { FatalError, invariant } from "../errors.ts";
import type { AnyProjection } from "../projection.ts";
import { ident, projectionSchema, versionedTable } from "../projections/tables.ts";
import type { Session, SqlRow } from "./postgres.ts";
import type { Column, ColumnKind, TableShape } from "./row-statements.ts";

/** A projection's tables as the database has them. */
export interface Shapes {
  /** By the table's name in the projection; a table that is not there is missing. */
  readonly tables: ReadonlyMap<string, TableShape>;
  /** Text that differs where a column's name, type, nullability or place in the key does. */
  readonly fingerprint: string;
}

const columnsSql = `
  select c.relname, a.attname, a.attnotnull, ty.typcategory,
         format_type(a.atttypid, a.atttypmod) as declared_type,
         format_type(a.atttypid, null) as type,
         format_type(case ty.typtype when 'd' then ty.typbasetype else ty.oid end, null) as base_type,
         array_position(i.indkey::int2[], a.attnum) as key_position
  from pg_class c
  join pg_namespace n on n.oid = c.relnamespace
  join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
  join pg_type ty on ty.oid = a.atttypid
  left join pg_index i on i.indrelid = c.oid and i.indisprimary
  where n.nspname = $1 and c.relname = any($2::text[]) and c.relkind = 'r'
  order by c.relname, a.attnum`;

/**
 * Reads what the tables of this version of a projection are.
 * @throws FatalError `BROKEN_INVARIANT` where a table cannot hold a projection's rows: it has no primary key,
 *   or a column has a type that the engine cannot write
 */
export async function readShapes(session: Session, projection: AnyProjection): Promise<Shapes> {
  const schema = projectionSchema(projection.name);
  const names = Object.keys(projection.tables);
  const versioned = names.map((table) => versionedTable(table, projection.version));
  const { rows } = await session.query(columnsSql, [schema, versioned]);

  const tables = new Map<string, TableShape>();
  names.forEach((table, index) => {
    const relation = versioned[index] ?? "";
    const columns = rows.filter((row) => row["relname"] === relation);
    if (columns.length > 0) tables.set(table, shapeOf(table, ident(schema, relation), columns));
  });
  const facts = ["relname", "attname", "declared_type", "attnotnull", "key_position"];
  const fingerprint = rows.map((row) => facts.map((fact) => String(row[fact])).join(" "));
  return { tables, fingerprint: fingerprint.join("\n") };
}

const keyTypes: readonly string[] = ["text", "character varying", "smallint", "integer", "bigint"];

function shapeOf(table: string, relation: string, rows: readonly SqlRow[]): TableShape {
  const refuse = (why: string) => {
    throw new FatalError("BROKEN_INVARIANT", `table "${table}": ${why}`);
  };
  const columns = new Map<string, Column>();
  const keys: { readonly column: Column; readonly position: number }[] = [];
  for (const row of rows) {
    const column = columnOf(row);
    if (column === null) {
      refuse(`column "${text(row, "attname")}" is an array; use jsonb, or a table of its own`);
      continue;
    }
    columns.set(column.name, column);
    const position = row["key_position"];
    if (typeof position !== "number") continue;
    if (!keyTypes.includes(column.type)) {
      // Two texts of, say, one uuid would be one row to Postgres and two to the engine.
      refuse(`its key has a column of type ${column.type}; use one of ${keyTypes.join(", ")}`);
    }
    keys.push({ column, position });
  }
  if (keys.length === 0) refuse("it needs a primary key");
  const inOrder = keys.sort((a, b) => a.position - b.position).map(({ column }) => column);
  return { table, relation, keys: inOrder, columns };
}

function columnOf(row: SqlRow): Column | null {
  if (row["typcategory"] === "A") return null;
  return {
    name: text(row, "attname"),
    type: text(row, "type"),
    kind: kindOf(text(row, "base_type")),
  };
}

function kindOf(baseType: string): ColumnKind {
  switch (baseType) {
    case "smallint":
    case "integer":
    case "bigint":
      return "integer";
    case "numeric":
    case "real":
    case "double precision":
      return "number";
    case "boolean":
      return "boolean";
    case "timestamp with time zone":
    case "timestamp without time zone":
      return "instant";
    default:
      return "text"; // What Postgres reads from text: date, uuid, jsonb, an enum, …
  }
}

function text(row: SqlRow, column: string): string {
  const value = row[column];
  invariant(typeof value === "string", `${column} is no text`);
  return value;
}
