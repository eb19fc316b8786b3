import {
  type KeyPart,
  type RowChange,
  type StoredValue,
  UnapplicableError,
} from "../projections/rows.ts";
import { ident } from "../projections/tables.ts";

/** The net changes of a table as a few set-based SQL statements. Pure. */

/** What a column takes: a value of another kind is refused, not converted. */
export type ColumnKind = "text" | "integer" | "number" | "boolean" | "instant";

export interface Column {
  readonly name: string;
  /** As SQL writes it, without length or precision: a cast to `varchar(5)` would cut a text off. */
  readonly type: string;
  readonly kind: ColumnKind;
}

/** A table of one version of a projection, as the database has it. */
export interface TableShape {
  /** As the projection names it. */
  readonly table: string;
  /** Schema and name, quoted. */
  readonly relation: string;
  /** The primary key, in its order. */
  readonly keys: readonly Column[];
  readonly columns: ReadonlyMap<string, Column>;
}

export interface RowStatement {
  readonly sql: string;
  /** One array a column: the rows' keys first, then their values. */
  readonly values: readonly (readonly (string | null)[])[];
  /** How many rows it must touch, or `null` where any number is right. */
  readonly expects: number | null;
  /** What it means where it touches fewer or more, for example "is not there". */
  readonly otherwise: string;
  readonly keys: readonly (readonly KeyPart[])[];
}

/**
 * The statements that write `rows`, in order: deletions, checks, insertions, upserts, updates; within each a
 * statement for every set of columns, its rows ordered by key. A row can be in two of them (deleted, then
 * inserted; inserted, then added to).
 * @throws UnapplicableError where a key or a value does not fit its column
 */
export function statementsFor(
  shape: TableShape,
  rows: readonly RowChange[],
): readonly RowStatement[] {
  const gone = rows.filter(({ before, after }) => before !== "absent" && after !== "kept");
  const untouched = rows.filter(({ before, after }) => before === "absent" && after === "gone");
  const fresh = rows.filter(({ after }) => after === "fresh");
  const upserted = rows.filter(({ before, after }) => before === "any" && after === "kept");
  const kept = rows.filter(({ before, after }) => before === "present" && after === "kept");
  const updates: RowChange[] = [
    ...kept.filter(({ sets, adds }) => sets.size + adds.size > 0),
    ...[...fresh, ...upserted]
      .filter(({ adds }) => adds.size > 0)
      .map((change) => ({ ...change, sets: new Map<string, never>() })),
  ];
  const seen = kept.filter(({ sets, adds }) => sets.size + adds.size === 0);

  return [
    ...some(
      gone.filter(({ before }) => before === "present"),
      (of) => deletion(shape, of, "must"),
    ),
    ...some(
      gone.filter(({ before }) => before === "any"),
      (of) => deletion(shape, of, "may"),
    ),
    ...some(untouched, (of) => check(shape, of, "absent")),
    ...some(seen, (of) => check(shape, of, "present")),
    ...byColumns(fresh).map((of) => insertion(shape, of)),
    ...byColumns(upserted).map((of) => upsert(shape, of)),
    ...byColumns(updates).map((of) => update(shape, of)),
  ];
}

function some(
  rows: readonly RowChange[],
  statement: (rows: readonly RowChange[]) => RowStatement,
): readonly RowStatement[] {
  return rows.length === 0 ? [] : [statement(rows)];
}

/** Rows that write the same columns, together. */
interface Group {
  readonly sets: readonly string[];
  readonly adds: readonly string[];
  readonly rows: readonly RowChange[];
}

function byColumns(rows: readonly RowChange[]): readonly Group[] {
  const groups = new Map<string, Group & { readonly rows: RowChange[] }>();
  for (const row of rows) {
    const sets = [...row.sets.keys()].sort();
    const adds = [...row.adds.keys()].sort();
    const id = `${sets.join()}+${adds.join()}`;
    const group = groups.get(id) ?? { sets, adds, rows: [] };
    groups.set(id, group);
    group.rows.push(row);
  }
  return [...groups.values()];
}

/** The rows of a statement as `i (k0, k1, … s0, s1, … a0, a1, …)`. */
interface Input {
  readonly sql: string;
  readonly values: RowStatement["values"];
  /** `t.<key> = i.k0 and …` */
  readonly match: string;
  readonly keys: readonly (readonly KeyPart[])[];
}

function inputOf(shape: TableShape, { sets, adds, rows }: Group): Input {
  const setColumns = sets.map((name) => columnOf(shape, name));
  const addColumns = adds.map((name) => columnOf(shape, name, "added to"));
  const types = [
    ...shape.keys.map(({ type }) => type),
    ...setColumns.map(({ type }) => type),
    ...addColumns.map(() => "bigint"),
  ];
  const names = [
    ...shape.keys.map((_, i) => `k${i}`),
    ...sets.map((_, i) => `s${i}`),
    ...adds.map((_, i) => `a${i}`),
  ];
  const arrays = types.map((type, i) => `$${i + 1}::${type}[]`);
  return {
    sql: `unnest(${arrays.join(", ")}) as i (${names.join(", ")})`,
    values: [
      ...shape.keys.map((column, i) =>
        rows.map(({ key }) => text({ shape, column, key, value: keyPart(shape, key, i) })),
      ),
      ...setColumns.map((column) =>
        rows.map(({ key, sets: values }) => {
          return text({ shape, column, key, value: values.get(column.name) ?? null });
        }),
      ),
      ...adds.map((name) => rows.map((row) => String(row.adds.get(name)))),
    ],
    match: shape.keys.map(({ name }, i) => `t.${ident(name)} = i.k${i}`).join(" and "),
    keys: rows.map(({ key }) => key),
  };
}

function keysOf(shape: TableShape, rows: readonly RowChange[]): Input {
  return inputOf(shape, { sets: [], adds: [], rows });
}

function deletion(
  shape: TableShape,
  rows: readonly RowChange[],
  presence: "must" | "may",
): RowStatement {
  const { sql, values, match, keys } = keysOf(shape, rows);
  return {
    sql: `delete from ${shape.relation} as t using ${sql} where ${match}`,
    values,
    expects: presence === "must" ? rows.length : null,
    otherwise: "is not there",
    keys,
  };
}

function check(
  shape: TableShape,
  rows: readonly RowChange[],
  must: "absent" | "present",
): RowStatement {
  const { sql, values, match, keys } = keysOf(shape, rows);
  return {
    sql: `select from ${shape.relation} as t join ${sql} on ${match}`,
    values,
    expects: must === "absent" ? 0 : rows.length,
    otherwise: must === "absent" ? "is there already" : "is not there",
    keys,
  };
}

function insertion(shape: TableShape, { sets, rows }: Group): RowStatement {
  const input = inputOf(shape, { sets, adds: [], rows });
  return {
    sql: `insert into ${shape.relation} (${targets(shape, sets)}) select * from ${input.sql}`,
    values: input.values,
    expects: rows.length,
    otherwise: "is there already",
    keys: input.keys,
  };
}

/**
 * Updates the rows that are there, then inserts the others. Not just `on conflict`: that wants a value for
 * every "not null" column even of a row that is there. It stays for a row that another partition inserts at
 * the same time.
 */
function upsert(shape: TableShape, { sets, rows }: Group): RowStatement {
  const input = inputOf(shape, { sets, adds: [], rows });
  const keys = shape.keys.map(({ name }) => ident(name)).join(", ");
  const insert = `insert into ${shape.relation} (${targets(shape, sets)})`;
  const assign = (from: string) =>
    sets
      .map((name, i) => `${ident(name)} = ${from}.${from === "i" ? `s${i}` : ident(name)}`)
      .join(", ");
  const returned = shape.keys.map(({ name }, i) => `t.${ident(name)} as k${i}`).join(", ");
  const same = shape.keys.map((_, i) => `u.k${i} = i.k${i}`).join(" and ");
  const sql =
    sets.length === 0
      ? `${insert} select * from ${input.sql} where not exists ` +
        `(select from ${shape.relation} as t where ${input.match}) on conflict (${keys}) do nothing`
      : `with i as (select * from ${input.sql}), u as (` +
        `update ${shape.relation} as t set ${assign("i")} from i where ${input.match} returning ${returned}` +
        `) ${insert} select * from i where not exists (select from u where ${same}) ` +
        `on conflict (${keys}) do update set ${assign("excluded")}`;
  return { sql, values: input.values, expects: null, otherwise: "", keys: input.keys };
}

function update(shape: TableShape, group: Group): RowStatement {
  const { sql, values, match, keys } = inputOf(shape, group);
  const assignments = [
    ...group.sets.map((name, i) => `${ident(name)} = i.s${i}`),
    ...group.adds.map((name, i) => `${ident(name)} = coalesce(t.${ident(name)}, 0) + i.a${i}`),
  ];
  return {
    sql: `update ${shape.relation} as t set ${assignments.join(", ")} from ${sql} where ${match}`,
    values,
    expects: group.rows.length,
    otherwise: "is not there",
    keys,
  };
}

function targets(shape: TableShape, sets: readonly string[]): string {
  return [...shape.keys.map(({ name }) => name), ...sets].map((name) => ident(name)).join(", ");
}

function columnOf(shape: TableShape, name: string, use: "set" | "added to" = "set"): Column {
  const refuse = (why: string) =>
    new UnapplicableError(`table "${shape.table}": column "${name}" ${why}`, {
      table: shape.table,
    });
  const column = shape.columns.get(name);
  if (column === undefined) throw refuse("is not there");
  if (shape.keys.some((key) => key.name === name))
    throw refuse(`is of the key and cannot be ${use}`);
  if (use === "added to" && column.kind !== "integer") {
    throw refuse(`is ${column.type}; only smallint, integer and bigint can be added to`);
  }
  return column;
}

function keyPart(shape: TableShape, key: readonly KeyPart[], index: number): KeyPart {
  const part = key[index];
  if (key.length === shape.keys.length && part !== undefined) return part;
  const names = shape.keys.map(({ name }) => name).join(", ");
  throw new UnapplicableError(
    `table "${shape.table}": the key ${JSON.stringify(key)} is not one of (${names})`,
    { table: shape.table, key },
  );
}

interface Cell {
  readonly shape: TableShape;
  readonly column: Column;
  readonly key: readonly KeyPart[];
  readonly value: StoredValue;
}

/** The value as Postgres reads it. Its text is sent, so that no number goes through a float on the way. */
function text({ shape: { table }, column, key, value }: Cell): string | null {
  if (value === null) return null;
  if (!fits(column.kind, value)) {
    const got = value instanceof Date ? "a Date" : `a ${typeof value}`;
    throw new UnapplicableError(
      `table "${table}": column "${column.name}" is ${column.type} and does not take ${got}`,
      { table, key },
    );
  }
  return value instanceof Date ? value.toISOString() : String(value);
}

function fits(kind: ColumnKind, value: Exclude<StoredValue, null>): boolean {
  switch (kind) {
    case "text":
      return typeof value === "string";
    case "integer":
      return typeof value === "bigint" || Number.isSafeInteger(value);
    case "number":
      return typeof value === "bigint" || typeof value === "number";
    case "boolean":
      return typeof value === "boolean";
    case "instant":
      return value instanceof Date;
  }
}
