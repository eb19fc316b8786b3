import fc from "fast-check";
import { expect, test } from "vitest";
import { PoisonError, type PoisonCode } from "../errors.ts";
import { Reply } from "../generated.ts";
import { parseSchema } from "./avro-schema.ts";
import { type AvroType, compileType } from "./avro-type.ts";
import { compileGuard, type Guard, guardLimits, maxLong } from "./guard.ts";

/** fast-check prints the seed of a failure; `SEED=…` repeats it. */
const seed = Number(process.env["SEED"] ?? Date.now() % 2 ** 31);
const seeded = { seed };

function compiled(schema: object): { readonly guard: Guard; readonly type: AvroType } {
  return { guard: compileGuard(parseSchema(schema)), type: compileType(schema) };
}

function record(...types: readonly unknown[]): object {
  const fields = types.map((type, i) => ({ name: `f${i}`, type }));
  return { type: "record", name: "R", fields };
}

function codeOf(schema: object, bytes: Buffer): PoisonCode | "passed" {
  try {
    compileGuard(parseSchema(schema))(bytes, 0);
    return "passed";
  } catch (error) {
    if (error instanceof PoisonError) return error.code;
    throw error;
  }
}

/** A zigzag varint of up to 64 bits. */
function varint(value: bigint): readonly number[] {
  let rest = BigInt.asUintN(64, (value << 1n) ^ (value >> 63n));
  const bytes: number[] = [];
  do {
    bytes.push(Number(rest & 0x7fn) | (rest > 0x7fn ? 0x80 : 0));
    rest >>= 7n;
  } while (rest > 0n);
  return bytes;
}

const doubly = (items: unknown) => ({ type: "array", items: { type: "array", items } });
const count = (n: number) => varint(BigInt(n));
const bytesOf = (...parts: readonly (readonly number[])[]) => Buffer.from(parts.flat());

test.each([
  ["an array of 10,000,000 nulls in five bytes", "null", [...count(10_000_000), 0]],
  ["an array of 1,000,000,000 ints in six bytes", "int", [...count(1_000_000_000), 0]],
  ["an array of 2^62 strings", "string", [...varint(2n ** 62n), 0]],
  ["an array of −2^63 strings with a block size", "string", [...varint(-(2n ** 63n)), 2, 0]],
  ["an array of empty records", { type: "record", name: "E", fields: [] }, [...count(10_001), 0]],
  ["an array of empty fixed values", { type: "fixed", name: "F", size: 0 }, [...count(99_999), 0]],
])("refuses %s before it reads one of them", (_, items, bytes) => {
  expect(codeOf({ type: "array", items }, Buffer.from(bytes))).toBe("TOO_MANY_ITEMS");
});

test("refuses a map that claims more entries than its bytes can hold", () => {
  const map = { type: "map", values: "null" };
  expect(codeOf(map, bytesOf(count(1_000_000), [0, 0, 0]))).toBe("TOO_MANY_ITEMS");
});

test("refuses a count that the rest of the bytes cannot hold, however small", () => {
  const doubles = { type: "array", items: "double" };
  expect(codeOf(doubles, bytesOf(count(3), new Array<number>(23).fill(0)))).toBe("TOO_MANY_ITEMS");
  expect(codeOf(doubles, bytesOf(count(3), new Array<number>(25).fill(0)))).toBe("passed");
});

test("passes a thousand records and lists beside each other", () => {
  const item = { type: "record", name: "I", fields: [{ name: "l", type: doubly("int") }] };
  const bytes = bytesOf(count(1_000), new Array<number>(3_000).fill(0), [0]);
  expect(codeOf({ type: "array", items: item }, bytes)).toBe("TRAILING_BYTES");
  expect(codeOf({ type: "array", items: item }, bytes.subarray(0, 1_003))).toBe("passed");
});

test("counts the items of all levels and all blocks together", () => {
  const block = bytesOf(count(60_000), new Array<number>(60_000).fill(2));
  const array = { type: "array", items: "int" };
  expect(codeOf(array, Buffer.concat([block, Buffer.from([0])]))).toBe("passed");
  expect(codeOf(array, Buffer.concat([block, block, Buffer.from([0])]))).toBe("TOO_MANY_ITEMS");
});

test("refuses a record nested deeper than 64", () => {
  const list = { type: "record", name: "N", fields: [{ name: "next", type: ["null", "N"] }] };
  const nested = (depth: number) => Buffer.from([...new Array<number>(depth - 1).fill(2), 0]);
  expect(codeOf(list, nested(guardLimits.depth))).toBe("passed");
  expect(codeOf(list, nested(guardLimits.depth + 1))).toBe("TOO_DEEP");
  expect(codeOf(list, nested(100_000))).toBe("TOO_DEEP");
});

test("refuses the endless value of a record that holds itself", () => {
  const endless = { type: "record", name: "N", fields: [{ name: "self", type: "N" }] };
  expect(codeOf(endless, Buffer.alloc(10))).toBe("TOO_DEEP");
});

test("ends early on a schema whose value takes no bytes and exponential work", () => {
  let schema: object = { type: "record", name: "L0", fields: [] };
  for (let level = 1; level < 25; level++) {
    const name = `L${level}`;
    const fields = [
      { name: "a", type: schema },
      { name: "b", type: `L${level - 1}` },
    ];
    schema = { type: "record", name, fields };
  }
  expect(codeOf(schema, Buffer.alloc(0))).toBe("TOO_MANY_ITEMS");
});

test.each<[string, unknown, readonly number[], PoisonCode | "passed"]>([
  ["an empty value", "int", [], "TRUNCATED"],
  ["a varint without an end", "long", [0x80, 0x80], "TRUNCATED"],
  ["a varint of ten bytes and 64 bits", "long", varint(-(2n ** 63n)), "LONG_OUT_OF_RANGE"],
  ["a varint of 65 bits", "long", [...new Array<number>(9).fill(0xff), 0x02], "INVALID_AVRO"],
  ["a varint of eleven bytes", "long", [...new Array<number>(10).fill(0x80), 0], "INVALID_AVRO"],
  ["a long padded with zero bits", "long", [0x82, 0x80, 0x80, 0], "passed"],
  ["the greatest long", "long", varint(BigInt(maxLong)), "passed"],
  ["the least long", "long", varint(-BigInt(maxLong)), "passed"],
  ["2^53 − 1", "long", varint(2n ** 53n - 1n), "LONG_OUT_OF_RANGE"],
  ["−(2^53 − 1)", "long", varint(-(2n ** 53n) + 1n), "LONG_OUT_OF_RANGE"],
  ["2^53", "long", varint(2n ** 53n), "LONG_OUT_OF_RANGE"],
  ["2^63 − 1", "long", varint(2n ** 63n - 1n), "LONG_OUT_OF_RANGE"],
  ["the greatest int", "int", varint(2n ** 31n - 1n), "passed"],
  ["the least int", "int", varint(-(2n ** 31n)), "passed"],
  ["an int of 33 bits", "int", varint(2n ** 31n), "INVALID_AVRO"],
  ["an int of six bytes", "int", [0x80, 0x80, 0x80, 0x80, 0x80, 0], "INVALID_AVRO"],
  ["a boolean 2", "boolean", [2], "INVALID_AVRO"],
  ["a string longer than its bytes", "string", [10, 97, 98], "TRUNCATED"],
  ["a string of 2^40 bytes", "string", varint(2n ** 40n), "TRUNCATED"],
  ["a string of −5 bytes", "string", count(-5), "INVALID_AVRO"],
  ["bytes of 2^31 bytes", "bytes", varint(2n ** 31n), "TRUNCATED"],
  ["a double cut short", "double", [0, 0, 0], "TRUNCATED"],
  ["a union branch below 0", ["null", "int"], [1], "INVALID_AVRO"],
  ["a union branch beyond the last", ["null", "int"], [4, 0], "INVALID_AVRO"],
  ["an enum symbol below 0", { type: "enum", name: "E", symbols: ["A"] }, [1], "INVALID_AVRO"],
  ["an enum symbol too far", { type: "enum", name: "E", symbols: ["A"] }, [2], "INVALID_AVRO"],
  ["text that is not UTF-8", "string", [4, 0xff, 0xfe], "INVALID_UTF8"],
  ["an overlong encoding of /", "string", [4, 0xc0, 0xaf], "INVALID_UTF8"],
  ["a surrogate in UTF-8", "string", [6, 0xed, 0xa0, 0x80], "INVALID_UTF8"],
  ["bytes after the value", "int", [2, 2], "TRAILING_BYTES"],
])("answers %s as it should", (_, type, bytes, expected) => {
  expect(codeOf(record(type), Buffer.from(bytes))).toBe(expected);
  if (expected !== "TRAILING_BYTES") {
    // The same behind another field, so that both ways through a record are taken.
    expect(codeOf(record(["null", "boolean"], type), Buffer.from([0, ...bytes]))).toBe(expected);
  }
});

test("refuses text that is not UTF-8 at any place of a long string", () => {
  for (const at of [0, 63, 64, 65, 199]) {
    const text = Buffer.alloc(200, "a");
    text[at] = 0xff;
    expect(codeOf(record("string"), bytesOf(count(200), [...text]))).toBe("INVALID_UTF8");
  }
});

test("checks the byte size of a block", () => {
  const array = { type: "array", items: "int" };
  expect(codeOf(array, bytesOf(count(-2), count(2), [2, 4, 0]))).toBe("passed");
  expect(codeOf(array, bytesOf(count(-2), count(3), [2, 4, 0, 0]))).toBe("INVALID_AVRO");
  expect(codeOf(array, bytesOf(count(-2), count(-2), [2, 4, 0]))).toBe("INVALID_AVRO");
  expect(codeOf(array, bytesOf(count(-2), count(100), [2, 4, 0]))).toBe("TRUNCATED");
});

test("refuses a map key that would replace the prototype of the map", () => {
  const map = { type: "map", values: { type: "map", values: "string" } };
  const { type, guard } = compiled(map);
  const attack = bytesOf(count(1), count(9), [...Buffer.from("__proto__")], [0, 0]);
  expect(codeOf(map, attack)).toBe("INVALID_AVRO");
  const padded = bytesOf(count(1), [0x92, 0x80, 0], [...Buffer.from("__proto__")], [0, 0]);
  expect(codeOf(map, padded)).toBe("INVALID_AVRO");

  const harmless = bytesOf(count(1), count(9), [...Buffer.from("__pr0to__")], [0, 0]);
  expect(guard(harmless, 0)).toBeGreaterThan(0);
  expect(type.decode(harmless, 0)).toEqual({ __pr0to__: {} });
});

test("begins at the offset that it is given", () => {
  const guard = compileGuard(parseSchema(record("int")));
  expect(guard(Buffer.from([0xff, 0xff, 2]), 2)).toBe(1);
});

/** Random schemas, each within a record; every named type has a name of its own. */
function schemas(): fc.Arbitrary<object> {
  let names = 0;
  const { node } = fc.letrec<{ node: unknown; nested: unknown }>((tie) => ({
    node: fc.oneof(
      { maxDepth: 4, depthSize: "small" },
      fc.constantFrom("null", "boolean", "int", "long", "float", "double", "bytes", "string"),
      fc.integer({ min: 0, max: 20 }).map((size) => ({ type: "fixed", name: `F${names++}`, size })),
      fc.integer({ min: 1, max: 5 }).map((n) => ({
        type: "enum",
        name: `E${names++}`,
        symbols: Array.from({ length: n }, (_, i) => `S${i}`),
      })),
      tie("nested"),
    ),
    nested: fc.oneof(
      tie("node").map((items) => ({ type: "array", items })),
      tie("node").map((values) => ({ type: "map", values })),
      tie("node")
        .filter((type) => type !== "null" && !Array.isArray(type))
        .map((type) => ["null", type]),
      fc.array(tie("node"), { maxLength: 6 }).map((types) => ({
        type: "record",
        name: `R${names++}`,
        fields: types.map((type, i) => ({ name: `f${i}`, type })),
      })),
    ),
  }));
  return node.map((type) => ({
    type: "record",
    name: `Top${names++}`,
    fields: [{ name: "value", type }],
  }));
}

/** A random value of a schema. */
function valuesOf(schema: unknown): fc.Arbitrary<unknown> {
  if (Array.isArray(schema)) {
    return fc.oneof(fc.constant(null), valuesOf(schema[1]));
  }
  if (typeof schema === "string") {
    const primitives: Readonly<Record<string, fc.Arbitrary<unknown>>> = {
      null: fc.constant(null),
      boolean: fc.boolean(),
      int: fc.integer(),
      long: fc.integer({ min: -maxLong, max: maxLong }),
      float: fc.float(),
      double: fc.double(),
      bytes: fc.uint8Array({ maxLength: 20 }).map((bytes) => Buffer.from(bytes)),
      string: fc.string({ unit: "grapheme", maxLength: 90 }),
    };
    return primitives[schema] ?? fc.constant(null);
  }
  const node = schema as Readonly<Record<string, unknown>>;
  switch (node["type"]) {
    case "fixed": {
      const size = node["size"] as number;
      return fc.uint8Array({ minLength: size, maxLength: size }).map((bytes) => Buffer.from(bytes));
    }
    case "enum":
      return fc.constantFrom(...(node["symbols"] as string[]));
    case "array":
      return fc.array(valuesOf(node["items"]), { maxLength: 5 });
    case "map":
      return fc.dictionary(
        fc.string({ maxLength: 12 }).filter((key) => key !== "__proto__"),
        valuesOf(node["values"]),
        { maxKeys: 5 },
      );
    default: {
      const fields = node["fields"] as readonly { readonly name: string; readonly type: unknown }[];
      return fc.record(Object.fromEntries(fields.map(({ name, type }) => [name, valuesOf(type)])));
    }
  }
}

function encoded(type: AvroType, value: unknown): Buffer {
  const bytes = Buffer.alloc(1 << 16);
  return bytes.subarray(0, type.encode(value, bytes, 0));
}

test("passes every value that avsc encodes, which then decodes to itself", () => {
  const cases = schemas().chain((schema) => fc.tuple(fc.constant(schema), valuesOf(schema)));
  fc.assert(
    fc.property(cases, ([schema, value]) => {
      const { guard, type } = compiled(schema);
      const bytes = encoded(type, value);
      guard(bytes, 0);
      expect(type.decode(bytes, 0)).toEqual(value);
    }),
    { ...seeded, numRuns: 400 },
  );
});

/** Decodes behind the guard; any end but a value or a PoisonError fails the test. Returns the steps. */
function survive(guard: Guard, type: AvroType, bytes: Buffer): number {
  try {
    const steps = guard(bytes, 0);
    type.decode(bytes, 0);
    return steps;
  } catch (error) {
    if (error instanceof PoisonError) return 0;
    throw error;
  }
}

test("lets nothing but a PoisonError come of arbitrary bytes, within bounded work", () => {
  const cases = fc.tuple(schemas(), fc.uint8Array({ maxLength: 200 }));
  fc.assert(
    fc.property(cases, ([schema, bytes]) => {
      const { guard, type } = compiled(schema);
      const nodes = JSON.stringify(schema).length; // More than the schema has.
      const bound = nodes * (bytes.length + guardLimits.zeroSizedItems + 1);
      expect(survive(guard, type, Buffer.from(bytes))).toBeLessThanOrEqual(bound);
    }),
    { ...seeded, numRuns: 1_000 },
  );
});

test("lets nothing but a PoisonError come of a good message with a few bytes changed", () => {
  const type = compileType(Reply.versions[0].schema);
  const guard = compileGuard(parseSchema(Reply.versions[0].schema));
  const good = encoded(type, {
    commandId: "01890a5d-ac96-774b-bcce-b302099a8057",
    commandType: "DepositFunds",
    aggregateId: "Zoë 🏦",
    commandOffset: 12,
    firstOffset: 12,
    outcome: "accepted",
    version: 3,
    payloadHash: Buffer.alloc(16, 7),
    issuedAt: 1_700_000_000_000,
  });
  for (let end = 0; end < good.length; end++) {
    expect(survive(guard, type, good.subarray(0, end))).toBe(0);
  }
  const changes = fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { maxLength: 4 });
  fc.assert(
    fc.property(changes, fc.nat(8), (mutations, extra) => {
      const bytes = Buffer.concat([good, Buffer.alloc(extra)]);
      for (const [at, byte] of mutations) bytes[at] = byte;
      survive(guard, type, bytes);
    }),
    { ...seeded, numRuns: 5_000 },
  );
});
