import { createHash } from "node:crypto";
import type { SqlRow } from "../postgres/postgres.ts";
import { invalidRequest, Problem } from "./problem.ts";
import type { ServedColumn } from "./view-catalog.ts";

/** Where a page of a list ended, as an opaque text that only the same list takes back. Pure. */

/** The values of the order's columns in a row, as Postgres reads them; only the first may be null. */
export type CursorValues = readonly (string | null)[];

export type Operator = "eq" | "gt" | "gte" | "lt" | "lte";

export interface Filter {
  readonly column: ServedColumn;
  readonly operator: Operator;
  /** As Postgres reads it. */
  readonly value: string;
}

export interface OrderColumn {
  readonly column: ServedColumn;
  readonly direction: "ascending" | "descending";
}

/** What makes a list this list; its pages may have any length. */
export interface ListIdentity {
  readonly view: string;
  /** In the order of their columns and operators, however the request had them. */
  readonly filters: readonly Filter[];
  /** The sort column if there is one, then those of the key: no two rows are equal in all. */
  readonly order: readonly OrderColumn[];
}

/** An address of 8,192 characters has room for it and for the filters. */
const maxLength = 4_000;

/**
 * The cursor behind `row`.
 * @throws Problem `INVALID_REQUEST` where the row's values are too long for an address
 */
export function cursorOf(row: SqlRow, list: ListIdentity): string {
  const values = list.order.map(({ column }) => textOf(row[column.name]));
  const encoded = Buffer.from(JSON.stringify(values), "utf8").toString("base64url");
  const text = `${encoded}.${checksum(encoded, list)}`;
  if (text.length <= maxLength) return text;
  const message = "a value in the last row is too long to go on from; sort by another column";
  throw invalidRequest([{ field: "query sort", message }]);
}

/** @throws Problem `INVALID_CURSOR` */
export function readCursor(text: string, list: ListIdentity): CursorValues {
  const [, encoded = "", check] = /^([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]{8})$/.exec(text) ?? [];
  if (text.length > maxLength || check !== checksum(encoded, list)) throw invalidCursor();
  const values = valuesOf(Buffer.from(encoded, "base64url").toString("utf8"));
  const fits =
    values?.length === list.order.length &&
    values.every((it, i) => it !== null || (i === 0 && list.order[0]?.column.nullable === true));
  if (!fits) throw invalidCursor();
  return values;
}

export function invalidCursor(): Problem {
  return new Problem("INVALID_CURSOR", {
    detail:
      "A cursor goes on with the list that gave it: the same view, filters and sort. Send it just as it was " +
      "given, or start again without it.",
    errors: [{ field: "query after", message: "is not a cursor of this list" }],
  });
}

function valuesOf(json: string): CursorValues | null {
  try {
    const parsed: unknown = JSON.parse(json);
    const isOurs = (it: unknown): it is string | null => it === null || typeof it === "string";
    return Array.isArray(parsed) && parsed.every(isOurs) ? parsed : null;
  } catch {
    return null; // Not JSON: not ours.
  }
}

/** Postgres reads the text of a number or a boolean of JavaScript as the same value. */
function textOf(value: unknown): string | null {
  if (typeof value === "string") return value;
  const isPlain =
    typeof value === "bigint" || typeof value === "number" || typeof value === "boolean";
  return isPlain ? String(value) : null;
}

function checksum(encoded: string, { view, filters, order }: ListIdentity): string {
  const identity = [
    view,
    filters.map(({ column, operator, value }) => [column.name, operator, value]),
    order.map(({ column, direction }) => [column.name, direction]),
  ];
  const hash = createHash("sha256").update(JSON.stringify([identity, encoded]));
  return hash.digest("base64url").slice(0, 8);
}
