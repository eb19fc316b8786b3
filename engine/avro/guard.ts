import { isUtf8 } from "node:buffer";
import { PoisonError } from "../errors.ts";
import type { AvroSchema } from "./avro-schema.ts";

/**
 * A bounded scan of Avro bytes, to be run before anything decodes them. A decoder trusts its input: five
 * bytes that claim an array of 1,000,000,000 items end the process, an array of nulls fills the memory, deep
 * nesting the stack, and a map key `__proto__` replaces a prototype. The scan allocates nothing and does work
 * in proportion to the bytes that are there, never to what they claim.
 */
export const guardLimits = {
  /** Array items and map entries in one value, all levels together. */
  items: 100_000,
  /** Of those, the ones that take no bytes (a null, an empty record): no length bounds their number. */
  zeroSizedItems: 10_000,
  /** Records, arrays and maps within each other. */
  depth: 64,
  /** Schema nodes visited. Only a schema made to do harm gets there. */
  steps: 2_000_000,
} as const;

/**
 * Scans the value that fills `bytes` from `start` to their end, and returns how many steps it took.
 * @throws PoisonError `TRUNCATED`, `TRAILING_BYTES`, `INVALID_AVRO`, `INVALID_UTF8`, `LONG_OUT_OF_RANGE`,
 *   `TOO_MANY_ITEMS` or `TOO_DEEP`
 */
export type Guard = (bytes: Buffer, start: number) => number;

/** Compiles the guard of a writer's schema. Bytes that it passes decode without an error. */
export function compileGuard(schema: AvroSchema): Guard {
  const root = compile(schema, new Map(), new Map());
  // One object for all calls: the scan is synchronous and never entered twice.
  const budget: Budget = { items: 0, zeroSizedItems: 0, depth: 0, steps: 0 };
  return (bytes, start) => {
    budget.items = guardLimits.items;
    budget.zeroSizedItems = guardLimits.zeroSizedItems;
    budget.depth = guardLimits.depth;
    budget.steps = guardLimits.steps;
    const end = skip(root, bytes, start, budget);
    if (end < bytes.length) {
      throw new PoisonError("TRAILING_BYTES", `${bytes.length - end} bytes follow the value`);
    }
    return guardLimits.steps - budget.steps;
  };
}

/** What is left of each limit. */
interface Budget {
  items: number;
  zeroSizedItems: number;
  depth: number;
  steps: number;
}

const op = {
  nothing: 0,
  boolean: 1,
  int: 2,
  long: 3,
  fixed: 4,
  bytes: 5,
  string: 6,
  enum: 7,
  union: 8,
  array: 9,
  map: 10,
  record: 11,
} as const;

/** A schema in the form that scans fastest: one shape, numbers instead of names. */
interface Node {
  readonly op: (typeof op)[keyof typeof op];
  /** Bytes of a fixed value, symbols of an enum. */
  readonly size: number;
  /** The fewest bytes that a value takes. */
  readonly minBytes: number;
  /** Fields of a record, branches of a union, the one item of an array or map; filled last, for cycles. */
  readonly members: Node[];
}

type Sizes = Map<AvroSchema, number>;

function compile(schema: AvroSchema, nodes: Map<AvroSchema, Node>, sizes: Sizes): Node {
  const known = nodes.get(schema);
  if (known) return known;
  const minBytes = minBytesOf(schema, sizes);
  const define = (code: Node["op"], size: number, members: readonly AvroSchema[] = []): Node => {
    const node: Node = { op: code, size, minBytes, members: [] };
    nodes.set(schema, node);
    for (const member of members) node.members.push(compile(member, nodes, sizes));
    return node;
  };
  switch (schema.kind) {
    case "null":
      return define(op.nothing, 0);
    case "boolean":
      return define(op.boolean, 1);
    case "int":
      return define(op.int, 0);
    case "long":
      return define(op.long, 0);
    case "float":
      return define(op.fixed, 4);
    case "double":
      return define(op.fixed, 8);
    case "bytes":
      return define(op.bytes, 0);
    case "string":
      return define(op.string, 0);
    case "fixed":
      return define(op.fixed, schema.size);
    case "enum":
      return define(op.enum, schema.symbols.length);
    case "union":
      return define(op.union, 0, schema.branches);
    case "array":
      return define(op.array, 0, [schema.items]);
    case "map":
      return define(op.map, 0, [schema.values]);
    case "record":
      return define(
        op.record,
        0,
        schema.fields.map((field) => field.schema),
      );
  }
}

function minBytesOf(schema: AvroSchema, sizes: Sizes): number {
  const known = sizes.get(schema);
  if (known !== undefined) return known;
  switch (schema.kind) {
    case "null":
      return 0;
    case "float":
      return 4;
    case "double":
      return 8;
    case "fixed":
      return schema.size;
    case "boolean":
    case "int":
    case "long":
    case "bytes":
    case "string":
    case "enum":
    case "array":
    case "map":
      return 1;
    case "union":
      return 1 + Math.min(...schema.branches.map((branch) => minBytesOf(branch, sizes)));
    case "record": {
      sizes.set(schema, 0); // Within itself a record counts for nothing: too low is safe.
      let sum = 0;
      for (const field of schema.fields) sum += minBytesOf(field.schema, sizes);
      sizes.set(schema, sum);
      return sum;
    }
  }
}

/** Returns the position after the value of `node` at `pos`. */
function skip(node: Node, bytes: Buffer, pos: number, budget: Budget): number {
  switch (node.op) {
    case op.nothing:
      return pos;
    case op.boolean:
      if (byteAt(bytes, pos) > 1) throw invalid("a boolean is neither 0 nor 1", pos);
      return pos + 1;
    case op.int:
      return skipInt(bytes, pos);
    case op.long:
      return skipLong(bytes, pos);
    case op.fixed:
      return within(bytes, pos, node.size);
    case op.bytes:
      return skipBytes(bytes, pos);
    case op.string:
      return skipString(bytes, pos);
    case op.enum: {
      const end = varintEnd(bytes, pos);
      const index = varintValue(bytes, pos, end);
      if (index < 0 || index >= node.size) throw invalid(`no enum symbol ${index}`, pos);
      return end;
    }
    case op.union: {
      const end = varintEnd(bytes, pos);
      const branch = node.members[varintValue(bytes, pos, end)];
      if (branch === undefined) throw invalid("a union branch that the schema does not have", pos);
      spend(1, budget);
      return skip(branch, bytes, end, budget);
    }
    case op.array:
    case op.map:
      return skipBlocks(node, bytes, pos, budget);
    case op.record:
      return skipRecord(node.members, bytes, pos, budget);
  }
}

/** The commonest fields (strings, longs, and both where they may be null) go without a call of `skip`. */
function skipRecord(fields: readonly Node[], bytes: Buffer, pos: number, budget: Budget): number {
  enter(budget);
  spend(fields.length, budget);
  let next = pos;
  for (let field of fields) {
    if (field.op === op.union) {
      // Branch 0 or 1, in one byte.
      const index = bytes[next];
      const branch = index === 0 || index === 2 ? field.members[index >> 1] : undefined;
      if (branch !== undefined) {
        next++;
        if (branch.op === op.nothing) continue;
        field = branch;
      }
    }
    if (field.op === op.string) next = skipString(bytes, next);
    else if (field.op === op.long) next = skipLong(bytes, next);
    else next = skip(field, bytes, next, budget);
  }
  budget.depth++;
  return next;
}

/** An array or a map: blocks of items, each with its count, the last with the count 0. */
function skipBlocks(node: Node, bytes: Buffer, pos: number, budget: Budget): number {
  const item = node.members[0] as Node;
  const keyed = node.op === op.map;
  const minBytes = item.minBytes + (keyed ? 1 : 0);
  enter(budget);
  let next = pos;
  for (;;) {
    const start = varintEnd(bytes, next);
    const count = varintValue(bytes, next, start);
    next = start;
    if (count === 0) {
      budget.depth++;
      return next;
    }
    let blockEnd = -1;
    if (count < 0) {
      const sizeEnd = varintEnd(bytes, next);
      const size = varintValue(bytes, next, sizeEnd);
      if (size < 0) throw invalid("a block of negative size", next);
      next = sizeEnd;
      blockEnd = within(bytes, next, size);
    }
    const room = (blockEnd < 0 ? bytes.length : blockEnd) - next;
    claim(Math.abs(count), room, minBytes, budget);
    for (let left = Math.abs(count); left > 0; left--) {
      if (keyed) next = skipKey(bytes, next);
      next = skip(item, bytes, next, budget);
    }
    if (blockEnd >= 0 && next !== blockEnd) throw invalid("a block of another size", next);
  }
}

/** Refuses a count that the bytes left cannot hold, or that goes beyond a limit, before any item is read. */
function claim(count: number, room: number, minBytes: number, budget: Budget): void {
  if (minBytes > 0 && count > room / minBytes) {
    throw new PoisonError("TOO_MANY_ITEMS", `${count} items claimed in ${room} bytes`);
  }
  spend(count, budget);
  budget.items -= count;
  if (minBytes === 0) budget.zeroSizedItems -= count;
  if (budget.items < 0 || budget.zeroSizedItems < 0) {
    const limit = budget.items < 0 ? guardLimits.items : guardLimits.zeroSizedItems;
    const what = budget.items < 0 ? "items" : "items without bytes";
    throw new PoisonError("TOO_MANY_ITEMS", `more than ${limit} ${what} in one value`);
  }
}

function spend(steps: number, budget: Budget): void {
  budget.steps -= steps;
  if (budget.steps < 0) {
    throw new PoisonError("TOO_MANY_ITEMS", `more than ${guardLimits.steps} parts in one value`);
  }
}

function enter(budget: Budget): void {
  if (--budget.depth < 0) {
    throw new PoisonError("TOO_DEEP", `nested deeper than ${guardLimits.depth}`);
  }
}

function skipKey(bytes: Buffer, pos: number): number {
  const end = skipString(bytes, pos);
  const start = varintEnd(bytes, pos);
  if (end - start === 9 && bytes.toString("latin1", start, end) === "__proto__") {
    throw invalid("a map key __proto__", pos);
  }
  return end;
}

function skipBytes(bytes: Buffer, pos: number): number {
  const start = varintEnd(bytes, pos);
  const length = varintValue(bytes, pos, start);
  if (length < 0) throw invalid("a negative length", pos);
  return within(bytes, start, length);
}

/** Strings up to this length are searched for bytes that are not ASCII here; longer ones by native code. */
const shortString = 64;

function skipString(bytes: Buffer, pos: number): number {
  const start = varintEnd(bytes, pos);
  const length = varintValue(bytes, pos, start);
  if (length < 0) throw invalid("a negative length", pos);
  const end = within(bytes, start, length);
  let seen = length > shortString ? 0x80 : 0;
  if (length <= shortString) for (let i = start; i < end; i++) seen |= bytes[i] as number;
  if (seen >= 0x80 && !isUtf8(bytes.subarray(start, end))) {
    throw new PoisonError("INVALID_UTF8", `the string at byte ${start} is not UTF-8`);
  }
  return end;
}

function skipInt(bytes: Buffer, pos: number): number {
  const end = varintEnd(bytes, pos);
  const size = end - pos;
  if (size > 5 || (size === 5 && byteAt(bytes, pos + 4) > 0x0f)) {
    throw invalid("an int of more than 32 bits", pos);
  }
  return end;
}

/** 2^53 − 2: avsc's limit, and so that of all that we write. */
export const maxLong = Number.MAX_SAFE_INTEGER - 1;

function skipLong(bytes: Buffer, pos: number): number {
  const end = varintEnd(bytes, pos);
  // Up to seven bytes hold 49 bits: always in range.
  if (end - pos > 7 && Math.abs(varintValue(bytes, pos, end)) > maxLong) {
    throw new PoisonError("LONG_OUT_OF_RANGE", `the long at byte ${pos} is beyond ±(2^53 − 2)`);
  }
  return end;
}

/** The position after the varint at `pos`: at most ten bytes, which are 64 bits. */
function varintEnd(bytes: Buffer, pos: number): number {
  let end = pos;
  while (byteAt(bytes, end) >= 0x80) {
    if (++end - pos > 9) throw invalid("a number of more than ten bytes", pos);
  }
  if (end - pos === 9 && byteAt(bytes, end) > 1)
    throw invalid("a number of more than 64 bits", pos);
  return end + 1;
}

/**
 * The zigzag number in the varint between `pos` and `end`. Exact within ±(2^53 − 1); beyond that only the sign
 * and the rough size are right, which is all that a range check needs.
 */
function varintValue(bytes: Buffer, pos: number, end: number): number {
  const first = byteAt(bytes, pos);
  let half = (first & 0x7f) >> 1;
  let weight = 64;
  for (let i = pos + 1; i < end; i++) {
    half += (byteAt(bytes, i) & 0x7f) * weight;
    weight *= 128;
  }
  return (first & 1) === 0 ? half : -half - 1;
}

function byteAt(bytes: Buffer, pos: number): number {
  const byte = bytes[pos];
  if (byte === undefined) throw truncated(bytes);
  return byte;
}

/** `pos` + `length`, where that is not after the end. */
function within(bytes: Buffer, pos: number, length: number): number {
  if (length > bytes.length - pos) throw truncated(bytes);
  return pos + length;
}

function truncated(bytes: Buffer): PoisonError {
  return new PoisonError("TRUNCATED", `the value does not end within its ${bytes.length} bytes`);
}

function invalid(problem: string, pos: number): PoisonError {
  return new PoisonError("INVALID_AVRO", `${problem}, at byte ${pos}`);
}
