import avsc from "avsc";
import { expect, test } from "vitest";
import { Position, Reply } from "../generated.ts";
import { canonicalForm, fingerprintOf, newestOf, parseSchema, SchemaError } from "./avro-schema.ts";

const tree = {
  type: "record",
  name: "Tree",
  namespace: "a.b",
  doc: "Not part of the form.",
  fields: [
    { name: "left", type: ["null", "Tree"], default: null },
    { name: "kind", type: { type: "enum", name: "Kind", symbols: ["A", "B"], default: "A" } },
    { name: "also", type: "a.b.Kind", aliases: ["too"] },
    { name: "hash", type: { type: "fixed", name: "c.Hash", size: 4 } },
    { name: "more", type: { type: "array", items: { type: "map", values: "Kind" } } },
    { name: "at", type: { type: "long", logicalType: "timestamp-millis" } },
  ],
};

test("gives the parsing canonical form of the specification", () => {
  expect(canonicalForm(parseSchema({ type: "int" }))).toBe('"int"');
  expect(canonicalForm(parseSchema(tree))).toBe(
    '{"name":"a.b.Tree","type":"record","fields":[' +
      '{"name":"left","type":["null","a.b.Tree"]},' +
      '{"name":"kind","type":{"name":"a.b.Kind","type":"enum","symbols":["A","B"]}},' +
      '{"name":"also","type":"a.b.Kind"},' +
      '{"name":"hash","type":{"name":"c.Hash","type":"fixed","size":4}},' +
      '{"name":"more","type":{"type":"array","items":{"type":"map","values":"a.b.Kind"}}},' +
      '{"name":"at","type":"long"}]}',
  );
});

test.each([tree, newestOf(Reply).schema, newestOf(Position).schema])(
  "fingerprints as avsc does: %#",
  (schema) => {
    const theirs = avsc.Type.forSchema(schema as avsc.schema.AvroSchema).fingerprint("sha256");
    expect(fingerprintOf(parseSchema(schema))).toBe(theirs.toString("hex"));
  },
);

test("gives the same fingerprint to schemas that differ in docs, defaults and aliases only", () => {
  const plain = { type: "record", name: "R", fields: [{ name: "a", type: "long" }] };
  const field = { name: "a", type: "long", doc: "An a.", default: 7, aliases: ["b"] };
  const rich = { ...plain, doc: "An R.", kind: "event", fields: [field] };
  expect(fingerprintOf(parseSchema(rich))).toBe(fingerprintOf(parseSchema(plain)));
});

test("follows a record to itself", () => {
  const schema = parseSchema(tree);
  const left = schema.kind === "record" ? schema.fields[0]?.schema : undefined;
  expect(left?.kind === "union" ? left.branches[1] : undefined).toBe(schema);
});

test.each<[unknown, string]>([
  [null, "schema: expected a schema, got null"],
  ["strin", 'schema: unknown type "strin"'],
  [{ type: "record", name: "1x", fields: [] }, "schema: a named type without a valid name"],
  [{ type: "record", name: "R" }, "schema: fields must be a list"],
  [
    { type: "record", name: "R", fields: [{ name: "a", type: "Missing" }] },
    'schema.a: unknown type "Missing"',
  ],
  [
    { type: "record", name: "R", fields: [{ name: "constructor", type: "constructor" }] },
    'schema.constructor: unknown type "constructor"',
  ],
  [["null", ["int", "long"]], "schema: a union directly in a union"],
  [["int", "int"], "schema: a union with two branches int"],
  [
    { type: "enum", name: "E", symbols: ["A"], default: "B" },
    `schema: the enum's default "B" is not one of its symbols`,
  ],
  [{ type: "fixed", name: "F", size: -1 }, "schema: a fixed type needs a size"],
])("refuses what is not Avro and says where: %#", (schema, message) => {
  expect(() => parseSchema(schema)).toThrow(new SchemaError(message));
});

test("refuses a schema that is nested without end", () => {
  let schema: object = { type: "array", items: "int" };
  for (let i = 0; i < 100_000; i++) schema = { type: "array", items: schema };
  expect(() => parseSchema(schema)).toThrow("nested deeper than 64");
});
