import { ident } from "../projections/tables.ts";
import { JsonText } from "./json.ts";

/** What a column's values are to a client: how they are selected, compared with, and shown. Pure. */

export type ColumnKind =
  | "integer"
  | "numeric"
  | "real"
  | "double"
  | "boolean"
  | "text"
  | "label" // Compared as the text that it reads as: an enum, `character(n)`.
  | "instant"
  | "date"
  | "uuid"
  | "json"
  | "other"; // Shown as Postgres writes it.

const kinds: Readonly<Record<string, ColumnKind>> = {
  smallint: "integer",
  integer: "integer",
  bigint: "integer",
  numeric: "numeric",
  real: "real",
  "double precision": "double",
  boolean: "boolean",
  text: "text",
  "character varying": "text",
  character: "label",
  "timestamp with time zone": "instant",
  date: "date",
  uuid: "uuid",
  json: "json",
  jsonb: "json",
};

/** Of a type as Postgres names it, with or without length and precision. */
export function kindOf(type: string): ColumnKind {
  return kinds[type.replace(/\(.*?\)/, "")] ?? "other";
}

interface Column {
  readonly name: string;
  readonly kind: ColumnKind;
}

/** The column in SQL, of the row `t`, as it is compared and sorted by. */
export function comparedSql({ name, kind }: Column): string {
  const column = `t.${ident(name)}`;
  return kind === "label" ? `${column}::text` : column;
}

/** In a select list: what would lose digits or order on its way through the client comes as text. */
export function selectedSql({ name, kind }: Column): string {
  switch (kind) {
    case "integer":
    case "numeric":
    case "real":
    case "double":
    case "boolean":
    case "text":
    case "uuid":
      return `t.${ident(name)}`;
    case "label":
    case "instant":
    case "date":
    case "json":
    case "other":
      return `t.${ident(name)}::text as ${ident(name)}`;
  }
}

/** A value as a client sees it; `value` is what `selectedSql` gave. */
export function shown(kind: ColumnKind, value: unknown): unknown {
  if (typeof value !== "string") return value;
  if (kind === "instant") return instantOf(value);
  return kind === "json" ? new JsonText(value) : value;
}

/** ISO 8601 with milliseconds, or more digits where there are more; infinity and years before 1 as they are. */
function instantOf(text: string): string {
  const match = /^(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d)(?:\.(\d{1,6}))?\+00$/.exec(text);
  if (match === null) return text;
  const [, date, time, fraction = ""] = match;
  return `${date ?? ""}T${time ?? ""}.${fraction.padEnd(3, "0")}Z`;
}

/** How a client's text becomes a parameter that a column can be compared with. */
export interface Comparison {
  /** The parameter's type in SQL. */
  readonly sqlType: string;
  /** For people. */
  readonly expected: string;
  /** As Postgres reads it without fail, or `null` where it is not such a value. */
  readonly read: (text: string) => string | null;
}

const textComparison: Comparison = {
  sqlType: "text",
  expected: "a text without a NUL character",
  read: (text) => (text.includes("\0") || !text.isWellFormed() ? null : text),
};

/** By kind; `null` where nothing can be compared with it. */
export const comparisons: Readonly<Record<ColumnKind, Comparison | null>> = {
  integer: {
    sqlType: "bigint",
    expected: "a whole number of at most 64 bits",
    read: (text) => (/^-?\d{1,19}$/.test(text) && isInt64(BigInt(text)) ? text : null),
  },
  numeric: {
    sqlType: "numeric",
    expected: "a decimal number such as -12.50, of at most 1000 digits",
    read: (text) => (text.length <= 1_000 && /^-?\d+(?:\.\d+)?$/.test(text) ? text : null),
  },
  real: {
    sqlType: "real",
    expected: "a number of single precision",
    read: (text) => floatOf(text, Math.fround),
  },
  double: {
    sqlType: "double precision",
    expected: "a number of double precision",
    read: (text) => floatOf(text, (number) => number),
  },
  boolean: {
    sqlType: "boolean",
    expected: "true or false",
    read: (text) => (text === "true" || text === "false" ? text : null),
  },
  text: textComparison,
  label: textComparison,
  instant: {
    sqlType: "timestamp with time zone",
    expected: "an instant with its zone, such as 2026-01-31T12:00:00Z",
    read: (given) => {
      const text = given.replace(/ (?=\d\d:\d\d$)/, "+"); // In an address a bare + is a space.
      const pattern =
        /^(\d{4}-\d\d-\d\d)T(?:[01]\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:\.\d{1,6})?)?(?:Z|[+-](?:0\d|1[0-5]):[0-5]\d)$/;
      const date = pattern.exec(text)?.[1];
      return date !== undefined && isDate(date) ? text : null;
    },
  },
  date: {
    sqlType: "date",
    expected: "a date such as 2026-01-31",
    read: (text) => (isDate(text) ? text : null),
  },
  uuid: {
    sqlType: "uuid",
    expected: "a UUID such as 018f2d3c-7b1a-7c3e-9d5f-0123456789ab",
    read: (text) =>
      /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text) ? text.toLowerCase() : null,
  },
  json: null,
  other: null,
};

function isInt64(value: bigint): boolean {
  return value >= -(2n ** 63n) && value < 2n ** 63n;
}

/** Too large is refused; what is too small to tell from 0 is 0, where Postgres would refuse it. */
function floatOf(text: string, rounded: (value: number) => number): string | null {
  if (text.length > 400 || !/^-?\d+(?:\.\d+)?(?:[eE][+-]?\d{1,4})?$/.test(text)) return null;
  const value = rounded(Number(text));
  return Number.isFinite(value) ? String(value) : null;
}

/** A day that the calendar has, from year 1 to 9999. */
function isDate(text: string): boolean {
  if (!/^\d{4}-\d\d-\d\d$/.test(text) || text.startsWith("0000")) return false;
  const day = new Date(`${text}T00:00:00Z`);
  return !Number.isNaN(day.getTime()) && day.toISOString().startsWith(text);
}
