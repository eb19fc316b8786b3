import { styleText } from "node:util";

/** Data goes to stdout, everything said about it to stderr. */

export function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** One line of JSON. */
export function printJson(value: unknown): void {
  print(toJson(value));
}

export function say(text: string): void {
  process.stderr.write(`${text}\n`);
}

/**
 * JSON of what JSON has no form for, too: offsets as numbers (as text beyond 2^53), bytes as base64, maps as
 * objects.
 */
export function toJson(value: unknown): string {
  return JSON.stringify(value, (_key, it: unknown) => {
    if (typeof it === "bigint") return isSafe(it) ? Number(it) : String(it);
    if (it instanceof Map) return Object.fromEntries(it) as unknown;
    // What `Buffer.toJSON` has made of it by now.
    if (isBufferJson(it)) return Buffer.from(it.data).toString("base64");
    return it;
  });
}

function isSafe(it: bigint): boolean {
  return it <= BigInt(Number.MAX_SAFE_INTEGER) && it >= BigInt(Number.MIN_SAFE_INTEGER);
}

function isBufferJson(it: unknown): it is { data: number[] } {
  return (
    typeof it === "object" &&
    it !== null &&
    "type" in it &&
    it.type === "Buffer" &&
    "data" in it &&
    Array.isArray(it.data)
  );
}

export type Paint = (text: string) => string;

/** In colour where the stream is a terminal and neither NO_COLOR nor the like speaks against it. */
export function painted(
  style: "bold" | "dim" | "red" | "green" | "yellow",
  stream: NodeJS.WriteStream = process.stdout,
): Paint {
  return (text) => styleText(style, text, { stream });
}

const grouped = new Intl.NumberFormat("en-GB");

/** A count as people read it: 20,986. */
export function count(n: number | bigint): string {
  return grouped.format(n);
}

/** `1 topic`, `2 topics`. */
export function plural(n: number | bigint, one: string, many = `${one}s`): string {
  return `${count(n)} ${Number(n) === 1 ? one : many}`;
}

const controls = /[\p{Cc}\u200E\u200F\u2028\u2029\u202A-\u202E\u2066-\u2069]/gu;

/**
 * Text from a log or a table as one line that cannot steer the terminal: line ends and tabs as in JSON, other
 * control characters and marks of direction as `\u{…}`.
 */
export function oneLine(text: string): string {
  return text.replaceAll(controls, (it) => {
    const short = { "\n": "\\n", "\r": "\\r", "\t": "\\t" }[it];
    return short ?? `\\u{${(it.codePointAt(0) ?? 0).toString(16)}}`;
  });
}

/** An id as a person can copy it: bare where it is plain, else quoted as in JSON. */
export function shownId(id: string): string {
  return /^[\p{L}\p{N}_.:@/+-]+$/u.test(id) ? id : oneLine(JSON.stringify(id));
}
