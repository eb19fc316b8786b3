import type { SqlValue } from "../postgres/postgres.ts";
import { ident } from "../projections/tables.ts";
import { apiLimits } from "./api.ts";
import { type FieldProblem, invalidRequest } from "./problem.ts";
import type { ServedColumn, ServedView } from "./view-catalog.ts";
import {
  type CursorValues,
  type Filter,
  type ListIdentity,
  type Operator,
  type OrderColumn,
  readCursor,
} from "./view-cursor.ts";
import { comparedSql, comparisons, selectedSql } from "./view-value.ts";

/** What a request asks of a view, checked, and the SQL for it: every value of a client's is a parameter. Pure. */

export interface ListQuery extends ListIdentity {
  readonly limit: number;
  /** The row to go on after, by the values of `order`. */
  readonly after: CursorValues | null;
}

const operatorSql: Readonly<Record<Operator, string>> = {
  eq: "=",
  gt: ">",
  gte: ">=",
  lt: "<",
  lte: "<=",
};

/** After a column's name and a dot. */
const suffixes: readonly Operator[] = ["gt", "gte", "lt", "lte"];

/** Parameters of a list that are not its columns. */
const reserved: readonly string[] = ["limit", "sort", "after", "token", "waitMs"];

/**
 * The query parameters of an address, each at most once.
 * @throws Problem `INVALID_REQUEST`
 */
export function parametersOf(url: string): ReadonlyMap<string, string> {
  const query = new URLSearchParams(url.split("?").slice(1).join("?"));
  const names = [...new Set(query.keys())];
  const repeated = names.filter((name) => query.getAll(name).length > 1);
  refuse(repeated.map((name) => ({ field: fieldOf(name), message: "is given more than once" })));
  return new Map(query);
}

/**
 * Checks the parameters of a list against its columns.
 * @throws Problem `INVALID_REQUEST` naming what is wrong; `INVALID_CURSOR`
 */
export function readListQuery(
  view: ServedView,
  parameters: ReadonlyMap<string, string>,
): ListQuery {
  const problems: FieldProblem[] = [];
  const accepted = <T>(field: string, read: Read<T>): readonly T[] => {
    if (read.ok) return [read.value];
    problems.push({ field, message: read.message });
    return [];
  };
  const filters = [...parameters]
    .filter(([name]) => !reserved.includes(name))
    .flatMap(([name, text]) => accepted(fieldOf(name), readFilter(view, name, text)));
  const limits = accepted("query limit", readLimit(parameters.get("limit")));
  const orders = accepted("query sort", readOrder(view, parameters.get("sort")));
  refuse(problems);

  const [limit = 0] = limits;
  const [order = []] = orders;
  const inOrder = filters.sort((a, b) => (placeOf(view, a) < placeOf(view, b) ? -1 : 1));
  const list = { view: view.name, filters: inOrder, order };
  const text = parameters.get("after");
  const after = text === undefined ? null : readCursor(text, list);
  return { ...list, limit, after };
}

type Read<T> =
  { readonly ok: true; readonly value: T } | { readonly ok: false; readonly message: string };

function readFilter(view: ServedView, name: string, text: string): Read<Filter> {
  const column = columnOf(view, name);
  if (column !== undefined) return readValue(column, "eq", text);

  const dot = name.lastIndexOf(".");
  const operator = suffixes.find((it) => it === name.slice(dot + 1));
  const compared = columnOf(view, name.slice(0, Math.max(dot, 0)));
  if (operator !== undefined && compared !== undefined) return readValue(compared, operator, text);
  const all = `${reserved.join(", ")}, and the columns ${namesOf(view)}`;
  const message = `is not a parameter of this list; those are ${all}, alone or with .gt, .gte, .lt, .lte`;
  return { ok: false, message };
}

function readValue(column: ServedColumn, operator: Operator, text: string): Read<Filter> {
  const comparison = comparisons[column.kind];
  if (comparison === null) {
    return { ok: false, message: `is ${column.type}, which cannot be filtered by` };
  }
  const value = comparison.read(text);
  if (value === null) return { ok: false, message: `expected ${comparison.expected}` };
  return { ok: true, value: { column, operator, value } };
}

function readLimit(text: string | undefined): Read<number> {
  const { fallback, most } = apiLimits.pageRows;
  if (text === undefined) return { ok: true, value: fallback };
  if (/^\d{1,4}$/.test(text) && Number(text) >= 1 && Number(text) <= most) {
    return { ok: true, value: Number(text) };
  }
  return { ok: false, message: `expected a whole number from 1 to ${most}` };
}

function readOrder(view: ServedView, sort: string | undefined): Read<readonly OrderColumn[]> {
  const byKey = view.keys.map((column) => ({ column, direction: "ascending" }) as const);
  if (sort === undefined) return { ok: true, value: byKey };
  const whole = columnOf(view, sort);
  const column = whole ?? (sort.startsWith("-") ? columnOf(view, sort.slice(1)) : undefined);
  if (column === undefined) {
    return { ok: false, message: `expected a column, or - and a column: ${namesOf(view)}` };
  }
  if (comparisons[column.kind] === null) {
    return { ok: false, message: `${column.name} is ${column.type}, which cannot be sorted by` };
  }
  const direction = whole === undefined ? "descending" : "ascending";
  const tieBreak = byKey.filter((it) => it.column.name !== column.name);
  return { ok: true, value: [{ column, direction }, ...tieBreak] };
}

function columnOf(view: ServedView, name: string): ServedColumn | undefined {
  return view.columns.find((column) => column.name === name);
}

/** Two filters never have the same place: a parameter comes once. */
function placeOf(view: ServedView, { column, operator }: Filter): string {
  return `${String(view.columns.indexOf(column)).padStart(5, "0")} ${operator}`;
}

function namesOf(view: ServedView): string {
  return view.columns.map(({ name }) => name).join(", ");
}

function fieldOf(name: string): string {
  return `query ${name.slice(0, 100)}`;
}

/** More say nothing new. */
const maxProblems = 20;

function refuse(problems: readonly FieldProblem[]): void {
  const [first, ...more] = problems.slice(0, maxProblems);
  if (first !== undefined) throw invalidRequest([first, ...more]);
}

/**
 * Checks a row's address: the values of the primary key, in its order.
 * @throws Problem `INVALID_REQUEST`
 */
export function readKey(view: ServedView, parts: readonly string[]): readonly Filter[] {
  if (parts.length !== view.keys.length) {
    const form = [view.name, ...view.key.map((name) => `{${name}}`)].join("/");
    const message = `a row of this view is at /views/${form}, each part percent-encoded`;
    throw invalidRequest([{ field: "path", message }]);
  }
  const problems: FieldProblem[] = [];
  const key = view.keys.flatMap((column, index) => {
    const read = readValue(column, "eq", parts[index] ?? "");
    if (read.ok) return [read.value];
    problems.push({ field: `path ${column.name}`, message: read.message });
    return [];
  });
  refuse(problems);
  return key;
}

export interface Statement {
  readonly sql: string;
  readonly values: readonly SqlValue[];
}

export function rowStatement(view: ServedView, key: readonly Filter[]): Statement {
  const values: SqlValue[] = [];
  const where = key.map((filter) => filterSql(filter, values)).join(" and ");
  return { sql: `${selectSql(view)} where ${where}`, values };
}

/** One row more than the limit, which tells whether there is a next page. */
export function listStatement(view: ServedView, query: ListQuery): Statement {
  const values: SqlValue[] = [];
  const conditions = query.filters.map((filter) => filterSql(filter, values));
  if (query.after !== null) conditions.push(`(${afterSql(query.order, query.after, values)})`);
  const where = conditions.length === 0 ? "" : ` where ${conditions.join(" and ")}`;
  const order = query.order.map(({ column, direction }) => {
    const descending = direction === "descending" ? " desc" : "";
    return `${comparedSql(column)}${descending}${column.nullable ? " nulls last" : ""}`;
  });
  values.push(query.limit + 1);
  const sql = `${selectSql(view)}${where} order by ${order.join(", ")} limit $${values.length}`;
  return { sql, values };
}

function selectSql(view: ServedView): string {
  const columns = view.columns.map(selectedSql).join(", ");
  return `select ${columns} from ${ident("public", view.name)} as t`;
}

function filterSql({ column, operator, value }: Filter, values: SqlValue[]): string {
  return `${comparedSql(column)} ${operatorSql[operator]} ${parameter(column, value, values)}`;
}

/** Adds a value; gives its placeholder. */
function parameter(column: ServedColumn, value: string, values: SqlValue[]): string {
  values.push(value);
  return `$${values.length}::${comparisons[column.kind]?.sqlType ?? "text"}`;
}

/**
 * The rows behind one: by the first column, nulls at the end, then by the key, which is ascending and has no
 * nulls. It is written so that an index on the columns can be read from that row on.
 */
function afterSql(order: readonly OrderColumn[], after: CursorValues, values: SqlValue[]): string {
  const [first, ...tieBreak] = order;
  const [firstValue, ...keyValues] = after;
  if (first === undefined || firstValue === undefined) return "false";
  const { column, direction } = first;
  if (direction === "ascending" && !column.nullable) return behindSql(order, after, values);
  const compared = comparedSql(column);
  if (firstValue === null)
    return `${compared} is null and ${behindSql(tieBreak, keyValues, values)}`;

  const than = direction === "descending" ? "<" : ">";
  const value = parameter(column, firstValue, values);
  if (tieBreak.length === 0) return `${compared} ${than} ${value}`;
  const further = behindSql(tieBreak, keyValues, values);
  const behind = `${compared} ${than} ${value} or (${compared} = ${value} and ${further})`;
  return column.nullable
    ? `${behind} or ${compared} is null`
    : `${compared} ${than}= ${value} and (${behind})`;
}

/** Behind a row in columns that are all ascending and without nulls. */
function behindSql(order: readonly OrderColumn[], after: CursorValues, values: SqlValue[]): string {
  const columns = order.map(({ column }) => comparedSql(column));
  const row = order.map(({ column }, i) => parameter(column, after[i] ?? "", values));
  return `(${columns.join(", ")}) > (${row.join(", ")})`;
}
