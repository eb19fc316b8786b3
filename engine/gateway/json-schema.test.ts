import { Ajv2020 } from "ajv/dist/2020.js";
import fc from "fast-check";
import { expect, test } from "vitest";
import { fromJson } from "../avro/avro-json.ts";
import { compileType } from "../avro/avro-type.ts";
import type { RecordType } from "../topic.ts";
import { eventSchemaOf, jsonSchemaOf, type JsonSchema } from "./json-schema.ts";

/** fast-check prints the seed of a failure; `SEED=…` repeats it. */
const seed = Number(process.env["SEED"] ?? Date.now() % 2 ** 31);

function recordType(...fields: readonly object[]): RecordType {
  const schema = { type: "record", name: "Order", namespace: "shop", doc: "An order.", fields };
  const version = { version: 1, fingerprint: "", schema };
  return { name: "Order", fullName: "shop.Order", versions: [version] };
}

const ajv = new Ajv2020({ strict: true, allowUnionTypes: true, validateFormats: false });

function fits(schema: JsonSchema, json: unknown): boolean {
  return ajv.validate(schema, json);
}

function propertyOf(schema: JsonSchema, name: string): JsonSchema {
  return (schema["properties"] as Readonly<Record<string, JsonSchema>>)[name] ?? {};
}

const size = { type: "enum", name: "Size", symbols: ["small", "large"], doc: "How big." };
const tree = {
  type: "record",
  name: "Tree",
  fields: [
    { name: "label", type: "string" },
    { name: "branches", type: { type: "array", items: "Tree" }, default: [] },
  ],
};
const order = recordType(
  { name: "orderId", type: "string", doc: "Whose." },
  { name: "amountCents", type: "long", doc: "Minor units." },
  { name: "at", type: { type: "long", logicalType: "timestamp-millis" }, doc: "When." },
  { name: "note", type: ["null", "string"], default: null },
  { name: "size", type: size, default: "small" },
  { name: "other", type: ["null", "Size"], default: null },
  { name: "seal", type: ["null", { type: "fixed", name: "Seal", size: 2 }], default: null },
  { name: "blob", type: "bytes", default: "\u00ff" },
  { name: "weights", type: { type: "map", values: "double" }, default: {} },
  { name: "tree", type: ["null", tree], default: null },
);
const least = { orderId: "o", amountCents: 1, at: 0 };

test("a field with a default may be left out of a request, and no other may be added", () => {
  const schema = jsonSchemaOf(order);
  expect(schema["required"]).toStrictEqual(["orderId", "amountCents", "at"]);
  expect(fits(schema, least)).toBe(true);
  expect(fits(schema, { ...least, colour: "red" })).toBe(false);
  expect(fits(schema, { orderId: "o", at: 0 })).toBe(false);
});

test("what a schema says of a field is what its author wrote, with the unit of instants", () => {
  const schema = jsonSchemaOf(order, ["orderId"]);
  expect(schema["description"]).toBe("An order.");
  expect(propertyOf(schema, "amountCents")["description"]).toBe("Minor units.");
  expect(propertyOf(schema, "at")["description"]).toBe("When. Milliseconds since the epoch.");
  expect(propertyOf(schema, "size")["description"]).toBe("How big.");
  expect(propertyOf(schema, "note")).toStrictEqual({
    type: ["string", "null"],
    pattern: "^[^\\u0000]*$",
    default: null,
  });
});

test("an id is neither empty nor longer than 255, and says that its bytes count", () => {
  const schema = jsonSchemaOf(order, ["orderId"]);
  expect(propertyOf(schema, "orderId")["description"]).toBe("Whose. 1 to 255 bytes of UTF-8.");
  expect(fits(schema, { ...least, orderId: "" })).toBe(false);
  expect(fits(schema, { ...least, orderId: "o".repeat(255) })).toBe(true);
  expect(fits(schema, { ...least, orderId: "o".repeat(256) })).toBe(false);
});

test("longs end where JSON numbers are no longer exact for every reader", () => {
  const schema = jsonSchemaOf(order);
  const most = 2 ** 53 - 2;
  for (const sign of [1, -1]) {
    expect(fits(schema, { ...least, amountCents: sign * most })).toBe(true);
    expect(fits(schema, { ...least, amountCents: sign * (most + 1) })).toBe(false);
  }
});

test("a record that holds itself is said once and referred to by name", () => {
  const schema = jsonSchemaOf(order);
  const leaf = { label: "leaf" };
  expect(Object.keys(schema["$defs"] as object)).toStrictEqual(["shop.Tree"]);
  expect(fits(schema, { ...least, tree: { label: "root", branches: [leaf, leaf] } })).toBe(true);
  expect(fits(schema, { ...least, tree: { label: "root", branches: [{}] } })).toBe(false);
});

test("bytes in base64 are as many as a fixed type has", () => {
  for (const bytes of [0, 1, 2, 3, 4, 31]) {
    const schema = jsonSchemaOf(
      recordType({ name: "seal", type: { type: "fixed", name: "Seal", size: bytes } }),
    );
    for (const given of [0, 1, 2, 3, 4, 5, 30, 31, 32]) {
      const seal = Buffer.alloc(given, 0xff).toString("base64");
      expect(fits(schema, { seal }), `${given} bytes for ${bytes}`).toBe(given === bytes);
    }
  }
});

test("an answer holds every field, and may hold what a later version adds", () => {
  const schema = eventSchemaOf(recordType({ name: "note", type: ["null", "int"], default: null }));
  expect(fits(schema, {})).toBe(false);
  expect(fits(schema, { note: null })).toBe(true);
  expect(fits(schema, { note: 1, more: true })).toBe(true);
});

type Type = string | object;

/** Avro types of a little depth. A record has one field, `a`. */
const { type: anyType } = fc.letrec<{ type: Type; simple: Type }>((tie) => ({
  simple: fc.oneof(
    fc.constantFrom("boolean", "int", "long", "float", "double", "string", "bytes"),
    fc.nat(4).map((bytes) => ({ type: "fixed", name: "Fixed", size: bytes })),
    fc.constant({ type: "enum", name: "Enum", symbols: ["x", "y"] }),
    fc.constant({ type: "long", logicalType: "timestamp-millis" }),
  ),
  type: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    tie("simple"),
    tie("simple").map((type) => ["null", type]),
    fc.constantFrom<Type>(["null", "string", "int"], ["boolean", "double"], ["null"]),
    tie("type").map((items) => ({ type: "array", items })),
    tie("type").map((values) => ({ type: "map", values })),
    tie("type").map((type) => ({ type: "record", name: "Record", fields: [fieldOf(type)] })),
  ),
}));

function fieldOf(type: Type): object {
  const isNullable = Array.isArray(type) && type[0] === "null";
  return { name: "a", type, ...(isNullable && { default: null }) };
}

/** Names each named type by its place: a schema may define a name once only. */
function named(type: unknown, place = "At"): unknown {
  if (Array.isArray(type)) return type.map((item, i) => named(item, `${place}${i}`));
  if (typeof type !== "object" || type === null) return type;
  const inner = Object.entries(type).map(([key, value]) => [key, named(value, `${place}_${key}`)]);
  const isNamed = "name" in type && "type" in type && typeof type.type === "string";
  const isField = isNamed && !["fixed", "enum", "record"].includes(type.type as string);
  return { ...Object.fromEntries(inner), ...(isNamed && !isField && { name: place }) };
}

/** Values near what types take: the edges of numbers, base64 of a few lengths, symbols, fields, keys. */
const { json: anyJson } = fc.letrec<{ json: unknown; leaf: unknown }>((tie) => ({
  leaf: fc.oneof(
    fc.constantFrom(
      null,
      true,
      0,
      -0,
      1.5,
      1e300,
      2 ** 128 - 2 ** 103,
      3.4028235e38,
      "",
      "x",
      "y",
      "z",
    ),
    fc.constantFrom(2 ** 31 - 1, 2 ** 31, -(2 ** 31), 2 ** 53 - 2, 2 ** 53 - 1, 2 - 2 ** 53),
    fc.uint8Array({ maxLength: 5 }).map((bytes) => Buffer.from(bytes).toString("base64")),
    fc.string({ unit: "grapheme", maxLength: 5 }),
  ),
  json: fc.oneof(
    { depthSize: "small" },
    tie("leaf"),
    fc.array(tie("json"), { maxLength: 2 }),
    fc.dictionary(fc.constantFrom("a", "b", "__proto__"), tie("json"), { maxKeys: 2 }),
  ),
}));

const anyRecord = anyType.map((type) => recordType(named(fieldOf(type)) as object));
const anyObjects = fc.array(
  fc.oneof(
    { weight: 9, arbitrary: anyJson.map((a): object => ({ a })) },
    { weight: 1, arbitrary: anyJson.map((b): object => ({ b })) },
  ),
  { minLength: 8, maxLength: 8 },
);

test("a schema takes exactly the values that the gateway's reader takes", () => {
  const verdicts = { taken: 0, refused: 0 };
  fc.assert(
    fc.property(anyRecord, anyObjects, (record, objects) => {
      const schema = jsonSchemaOf(record);
      for (const json of objects) {
        const isTaken = fromJson(record, json).ok;
        verdicts[isTaken ? "taken" : "refused"]++;
        expect(fits(schema, json), JSON.stringify(json)).toBe(isTaken);
      }
    }),
    { seed, numRuns: 500 },
  );
  expect(Math.min(verdicts.taken, verdicts.refused)).toBeGreaterThan(100);
});

test("what has been encoded and decoded again fits the schema of answers", () => {
  let decoded = 0;
  fc.assert(
    fc.property(anyRecord, anyObjects, (record, objects) => {
      const schema = eventSchemaOf(record);
      const type = compileType(record.versions[0].schema);
      for (const json of objects) {
        const read = fromJson(record, json);
        if (!read.ok) continue;
        const bytes = Buffer.alloc(1024);
        type.encode(read.value, bytes, 0);
        decoded++;
        expect(fits(schema, asJson(type.decode(bytes, 0)))).toBe(true);
      }
    }),
    { seed, numRuns: 500 },
  );
  expect(decoded).toBeGreaterThan(100);
});

/** As a route answers it: bytes in base64. */
function asJson(value: unknown): unknown {
  if (Buffer.isBuffer(value)) return value.toString("base64");
  if (Array.isArray(value)) return value.map(asJson);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, asJson(item)]));
}
