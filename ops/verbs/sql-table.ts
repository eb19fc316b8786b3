import type { SqlRow } from "../../engine/postgres/postgres.ts";
import { oneLine, toJson } from "./output.ts";
import { type Column, pad, widthOf } from "./table.ts";

/** Rows of a query for people: one page after the other, in columns as wide as the first page wants. */

export interface Layout {
  readonly names: readonly string[];
  readonly aligns: readonly Column["align"][];
  readonly widths: readonly number[];
}

export function layoutOf(names: readonly string[], rows: readonly SqlRow[]): Layout {
  const aligns = names.map((name) =>
    rows.some((row) => row[name] !== null) && rows.every((row) => isNumeric(row[name]))
      ? "right"
      : "left",
  );
  const widths = names.map((name) =>
    Math.max(widthOf(oneLine(name)), ...rows.map((row) => widthOf(shownSqlValue(row[name])))),
  );
  return { names, aligns, widths };
}

export function headLines({ names, aligns, widths }: Layout): readonly string[] {
  const cells = names.map((name, i) => pad(oneLine(name), widths[i] ?? 0, aligns[i] ?? "left"));
  const rule = widths.map((width) => "-".repeat(width + 2)).join("+");
  return [` ${cells.join(" | ")}`.trimEnd(), rule];
}

export function rowLine({ names, aligns, widths }: Layout, row: SqlRow): string {
  const cells = names.map((name, i) =>
    pad(shownSqlValue(row[name]), widths[i] ?? 0, aligns[i] ?? "left"),
  );
  return ` ${cells.join(" | ")}`.trimEnd();
}

/** `numeric` comes as text, to keep its digits; text that looks like one is aligned alike, and harms nobody. */
function isNumeric(value: unknown): boolean {
  if (value === null || typeof value === "number" || typeof value === "bigint") return true;
  return typeof value === "string" && /^-?(?:0|[1-9]\d*)(?:\.\d+)?$/.test(value);
}

export function shownSqlValue(value: unknown): string {
  if (value === null || value === undefined) return "NULL";
  if (typeof value === "string") return oneLine(value);
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? "Invalid" : value.toISOString();
  if (Buffer.isBuffer(value)) return `\\x${value.toString("hex")}`;
  if (typeof value === "number" || typeof value === "bigint" || typeof value === "boolean") {
    return String(value);
  }
  return oneLine(toJson(value));
}

/** Names of columns of their own: a row has the columns by name, and would show one of two twice. */
export function distinctNames(names: readonly string[]): readonly string[] {
  const taken = new Set(names);
  const seen = new Set<string>();
  return names.map((name) => {
    if (!seen.has(name)) {
      seen.add(name);
      return name;
    }
    let n = 2;
    while (taken.has(`${name}_${n}`)) n += 1;
    taken.add(`${name}_${n}`);
    return `${name}_${n}`;
  });
}

/** Where in a statement Postgres found fault: the line, and a mark below; empty where it did not say. */
export function positionLines(sql: string, position: number | null): readonly string[] {
  if (position === null || position < 1 || position > sql.length + 1) return [];
  const before = Array.from(sql)
    .slice(0, position - 1)
    .join(""); // It counts characters, not UTF-16 units.
  const number = before.split("\n").length;
  const lineStart = before.lastIndexOf("\n") + 1;
  const line = sql.slice(lineStart).split("\n")[0] ?? "";
  const head = `LINE ${number}: `;
  const indent = widthOf(oneLine(head + before.slice(lineStart)));
  return [`${head}${oneLine(line)}`, `${" ".repeat(indent)}^`];
}
