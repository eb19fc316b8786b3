/**
 * JSON (RFC 8259), read strictly: what `JSON.parse` lets pass in silence is refused, since it would turn what
 * a person wrote into something else.
 */
export type ParsedJson =
  | { readonly ok: true; readonly value: unknown }
  /** `column` counts characters (UTF-16 units) from 1. */
  | { readonly ok: false; readonly column: number; readonly message: string };

/** More than any command needs, and far from the end of the stack. */
const maxDepth = 64;

/**
 * Parses one JSON text. Beyond the grammar it refuses a key that comes twice in an object, an integer that a
 * number cannot hold exactly (2^53 and more) or at all (1e400), a lone surrogate, and nesting deeper than 64.
 * A key `__proto__` is an ordinary key of its object.
 */
export function parseJsonLine(text: string): ParsedJson {
  const reader: Reader = { text, pos: 0, depth: 0 };
  try {
    if (text.startsWith("\uFEFF")) fail(reader, "a byte order mark: save the file without it");
    skipSpace(reader);
    const value = readValue(reader);
    skipSpace(reader);
    if (reader.pos < text.length) fail(reader, `${here(reader)} after the end of the value`);
    return { ok: true, value };
  } catch (error) {
    if (!(error instanceof Misread)) throw error;
    return { ok: false, column: error.pos + 1, message: error.message };
  }
}

interface Reader {
  readonly text: string;
  pos: number;
  depth: number;
}

class Misread extends Error {
  readonly pos: number;
  constructor(pos: number, message: string) {
    super(message);
    this.pos = pos;
  }
}

function fail(reader: Reader, message: string, pos = reader.pos): never {
  throw new Misread(pos, message);
}

function readValue(reader: Reader): unknown {
  switch (reader.text[reader.pos] ?? "") {
    case "{":
      return nested(reader, readObject);
    case "[":
      return nested(reader, readArray);
    case '"':
      return readString(reader);
    case "t":
      return readWord(reader, "true", true);
    case "f":
      return readWord(reader, "false", false);
    case "n":
      return readWord(reader, "null", null);
    default:
      return readNumber(reader);
  }
}

function nested(reader: Reader, read: (reader: Reader) => unknown): unknown {
  if (++reader.depth > maxDepth) fail(reader, `nested deeper than ${maxDepth}`);
  reader.pos++;
  const value = read(reader);
  reader.depth--;
  return value;
}

function readObject(reader: Reader): Readonly<Record<string, unknown>> {
  const object: Record<string, unknown> = {};
  skipSpace(reader);
  if (accept(reader, "}")) return object;
  for (;;) {
    skipSpace(reader);
    const start = reader.pos;
    if (reader.text[start] !== '"') fail(reader, `expected a key in quotes, got ${here(reader)}`);
    const key = readString(reader);
    if (Object.hasOwn(object, key)) fail(reader, `the key ${JSON.stringify(key)} twice`, start);
    skipSpace(reader);
    if (!accept(reader, ":")) fail(reader, `expected ":" after a key, got ${here(reader)}`);
    skipSpace(reader);
    // Not by assignment: that would take `__proto__` for the prototype.
    Object.defineProperty(object, key, {
      value: readValue(reader),
      enumerable: true,
      configurable: true,
      writable: true,
    });
    skipSpace(reader);
    if (accept(reader, "}")) return object;
    if (!accept(reader, ",")) fail(reader, `expected "," or "}", got ${here(reader)}`);
  }
}

function readArray(reader: Reader): readonly unknown[] {
  const items: unknown[] = [];
  skipSpace(reader);
  if (accept(reader, "]")) return items;
  for (;;) {
    skipSpace(reader);
    items.push(readValue(reader));
    skipSpace(reader);
    if (accept(reader, "]")) return items;
    if (!accept(reader, ",")) fail(reader, `expected "," or "]", got ${here(reader)}`);
  }
}

/** The end of a string: quote or what may not stand in one unescaped. */
const stringEnd = /["\u0000-\u001F]/g;

function readString(reader: Reader): string {
  const start = reader.pos;
  let pos = start + 1;
  for (;;) {
    stringEnd.lastIndex = pos;
    const end = stringEnd.exec(reader.text)?.index;
    if (end === undefined) fail(reader, "a string without an end", start);
    if (reader.text[end] !== '"') fail(reader, "a control character in a string: escape it", end);
    let backslashes = 0;
    while (reader.text[end - 1 - backslashes] === "\\") backslashes++;
    pos = end + 1;
    if (backslashes % 2 === 0) break;
  }
  const literal = reader.text.slice(start, pos);
  reader.pos = pos;
  const value = unescaped(literal);
  if (value === null) {
    const bad = /\\(?!["\\/bfnrt]|u[0-9a-fA-F]{4})/.exec(literal.replaceAll("\\\\", "__"));
    fail(reader, "an escape that JSON does not have", start + (bad?.index ?? 0));
  }
  if (!value.isWellFormed()) fail(reader, "a lone surrogate in a string is not Unicode", start);
  return value;
}

function unescaped(literal: string): string | null {
  try {
    return JSON.parse(literal) as string;
  } catch {
    return null; // The literal has no control characters, so only an escape can be wrong.
  }
}

const numberPattern = /-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?/y;

function readNumber(reader: Reader): number {
  numberPattern.lastIndex = reader.pos;
  const match = numberPattern.exec(reader.text);
  if (match === null) fail(reader, `expected a value, got ${here(reader)}`);
  const [literal, fraction, exponent] = match;
  const value = Number(literal);
  if (!Number.isFinite(value)) fail(reader, `${shortened(literal)} is too large for a number`);
  const isWhole = fraction === undefined && exponent === undefined;
  if (isWhole && !Number.isSafeInteger(value)) {
    fail(reader, `${shortened(literal)} is beyond ±(2^53 − 1), where JSON numbers are not exact`);
  }
  const start = reader.pos;
  reader.pos += literal.length;
  if (/[0-9A-Za-z_.+-]/.test(reader.text[reader.pos] ?? "")) {
    fail(reader, "not a number as JSON writes one", start);
  }
  return value;
}

function readWord<T>(reader: Reader, word: string, value: T): T {
  if (!reader.text.startsWith(word, reader.pos)) {
    fail(reader, `expected a value, got ${here(reader)}`);
  }
  reader.pos += word.length;
  return value;
}

function skipSpace(reader: Reader): void {
  while (" \t\n\r".includes(reader.text[reader.pos] ?? "end")) reader.pos++;
}

function accept(reader: Reader, character: string): boolean {
  if (reader.text[reader.pos] !== character) return false;
  reader.pos++;
  return true;
}

/** What stands at the position, for a message. */
function here({ text, pos }: Reader): string {
  const found = text[pos];
  if (found === undefined) return "the end";
  return JSON.stringify(/^\w+/.exec(text.slice(pos, pos + 20))?.[0] ?? found);
}

function shortened(literal: string): string {
  return literal.length > 40 ? `${literal.slice(0, 40)}…` : literal;
}
