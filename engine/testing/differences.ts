import { isDeepStrictEqual } from "node:util";

/** How two values of plain data differ, in words. */

/** One place at which two values differ; `undefined` is what is not there. */
export interface Difference {
  /** `[2].data.by`; empty for the values themselves. */
  readonly path: string;
  readonly expected: unknown;
  readonly found: unknown;
}

/** Every place at which two values of plain data differ. A field that is `undefined` is one that is not there. */
export function differences(expected: unknown, found: unknown, path = ""): readonly Difference[] {
  if (Object.is(expected, found) || (expected === 0 && found === 0)) return [];
  const here = [{ path, expected, found }];
  if (!isTree(expected) || !isTree(found)) {
    return isDeepStrictEqual(expected, found) ? [] : here;
  }
  if (Array.isArray(expected) !== Array.isArray(found)) return here;
  const keys = new Set([...Object.keys(expected), ...Object.keys(found)]);
  return [...keys].flatMap((key) =>
    differences(expected[key], found[key], `${path}${stepOf(key, Array.isArray(expected))}`),
  );
}

const maxTold = 3;

/** The first differences, three lines each. */
export function told(all: readonly Difference[]): readonly string[] {
  const lines = all
    .slice(0, maxTold)
    .flatMap(({ path, expected, found }) => [
      ...(path === "" ? [] : [`at ${path}`]),
      `  expected ${short(expected)}`,
      `  found    ${short(found)}`,
    ]);
  const more = all.length - maxTold;
  return more > 0 ? [...lines, `and ${more} more such differences`] : lines;
}

const maxShort = 200;

/** A value in a line. */
export function short(value: unknown): string {
  if (value === undefined) return "nothing";
  const text = whole(value);
  return text.length > maxShort ? `${text.slice(0, maxShort)}…` : text;
}

/** A value in a line, however long. */
export function whole(value: unknown): string {
  return JSON.stringify(value, (_, part: unknown) => readable(part));
}

/** In a form that JSON has. */
function readable(part: unknown): unknown {
  if (typeof part === "bigint") return `${part}n`;
  if (typeof part === "number" && !Number.isFinite(part)) return String(part);
  if (part instanceof Map || part instanceof Set) {
    return `a ${part.constructor.name} of ${part.size}`;
  }
  if (part instanceof Promise) return "a Promise";
  if (typeof part === "function") return "a function";
  return part;
}

type Tree = Readonly<Record<string, unknown>>;

/** Whether it is compared part by part. */
function isTree(value: unknown): value is Tree {
  if (typeof value !== "object" || value === null || ArrayBuffer.isView(value)) return false;
  return Array.isArray(value) || Object.prototype.toString.call(value) === "[object Object]";
}

function stepOf(key: string, isList: boolean): string {
  if (isList) return `[${key}]`;
  if (key.startsWith("[")) return key; // A list as JSON, as rows are keyed.
  return /^[A-Za-z_]\w*$/.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`;
}
