import fc from "fast-check";
import { expect, test } from "vitest";
import { SchemaError } from "./avro-schema.ts";
import { type AvroType, compileType } from "./avro-type.ts";
import { maxLong } from "./guard.ts";

const seed = Number(process.env["SEED"] ?? Date.now() % 2 ** 31);

function record(...types: readonly unknown[]): object {
  const fields = types.map((type, i) => ({ name: `f${i}`, type }));
  return { type: "record", name: "R", namespace: "n", fields };
}

function encoded(type: AvroType, value: unknown): Buffer {
  const bytes = Buffer.alloc(1_000);
  return bytes.subarray(0, type.encode(value, bytes, 0));
}

const longs = compileType(record("long", ["null", { type: "long", logicalType: "x" }]));

test("brings every long that it takes back as it was", () => {
  const edges = [0, 1, -1, 2 ** 30, 2 ** 31, 2 ** 32, 2 ** 52, 2 ** 52 + 1, maxLong - 1, maxLong];
  const values = fc.oneof(
    fc.integer({ min: -maxLong, max: maxLong }),
    fc.constantFrom(...edges, ...edges.map((edge) => -edge)),
  );
  fc.assert(
    fc.property(values, (long) => {
      const value = { f0: long, f1: long };
      // avsc 5.7.9 alone reads −(2^52 + 1) back as 2^52.
      expect(longs.decode(encoded(longs, value), 0)).toEqual({ f0: long + 0, f1: long + 0 });
    }),
    { seed, numRuns: 2_000 },
  );
});

test.each([maxLong + 1, -maxLong - 1, 0.5, Number.NaN, Infinity, "7", 7n, null, undefined])(
  "refuses %s for a long",
  (long) => {
    expect(() => encoded(longs, { f0: long, f1: null })).toThrow();
  },
);

test("writes a long in as many bytes as the specification gives it", () => {
  const bytes = (long: number) => encoded(longs, { f0: long, f1: null }).toString("hex");
  expect(bytes(-1)).toBe("0100");
  expect(bytes(2 ** 30)).toBe("808080800800");
  expect(bytes(-(2 ** 52) - 1)).toBe("818080808080801000");
  expect(bytes(maxLong)).toBe("fcffffffffffff1f00");
  expect(bytes(-maxLong)).toBe("fbffffffffffff1f00");
});

test("decodes to plain objects, at every level and through a resolver", () => {
  const inner = { type: "record", name: "I", fields: [{ name: "x", type: "int" }] };
  const writer = compileType(record(inner, { type: "array", items: "I" }));
  const reader = compileType({
    ...record(inner, { type: "array", items: "I" }),
    fields: [
      { name: "f0", type: inner },
      { name: "f1", type: { type: "array", items: "I" } },
      { name: "f2", type: ["null", "I"], default: null },
    ],
  });
  const bytes = encoded(writer, { f0: { x: 1 }, f1: [{ x: 2 }] });
  expect(writer.decode(bytes, 0)).toStrictEqual({ f0: { x: 1 }, f1: [{ x: 2 }] });
  expect(reader.resolve(writer)(bytes, 0)).toStrictEqual({
    f0: { x: 1 },
    f1: [{ x: 2 }],
    f2: null,
  });
});

test("gives each decoded object a default of its own", () => {
  const writer = compileType(record());
  const lists = { name: "f0", type: { type: "array", items: "int" }, default: [] };
  const reader = compileType({ ...record(), fields: [lists] });
  const decode = reader.resolve(writer);
  const [first, second] = [decode(Buffer.alloc(0), 0), decode(Buffer.alloc(0), 0)] as {
    f0: number[];
  }[];
  expect(first?.f0).not.toBe(second?.f0);
});

test("tells how many bytes are missing where a value does not fit", () => {
  const type = compileType(record("string"));
  expect(type.encode({ f0: "x".repeat(100) }, Buffer.alloc(20), 5)).toBe(-87);
});

test("reads a symbol that it does not know as the default of its enum", () => {
  const colour = (...symbols: string[]) => ({ type: "enum", name: "C", symbols, default: "NONE" });
  const newer = compileType(record(colour("NONE", "RED", "BLUE")));
  const older = compileType(record(colour("NONE", "RED")));
  const decode = older.resolve(newer);
  expect(decode(encoded(newer, { f0: "RED" }), 0)).toEqual({ f0: "RED" });
  expect(decode(encoded(newer, { f0: "BLUE" }), 0)).toEqual({ f0: "NONE" });
});

test("refuses a writer that the schema cannot be read from", () => {
  const reader = compileType(record("int"));
  expect(() => reader.resolve(compileType(record("string")))).toThrow(SchemaError);
  expect(() => reader.resolve(compileType(record()))).toThrow("no matching field");
});

test("refuses a schema that avsc does not take", () => {
  const wrongDefault = { ...record(), fields: [{ name: "a", type: "int", default: "x" }] };
  expect(() => compileType(wrongDefault)).toThrow(SchemaError);
});
