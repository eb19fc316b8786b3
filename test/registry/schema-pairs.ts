/** Two versions of one record, and whether each reads what the other wrote. */
export interface SchemaPair {
  readonly change: string;
  readonly older: object;
  readonly newer: object;
  /** `stricter`: a registry takes it and we do not, since the value would mean something else. */
  readonly verdict: "compatible" | "incompatible" | "stricter";
  /** What our rules say is wrong. */
  readonly problems?: readonly string[];
}

function record(...fields: readonly object[]): object {
  return { type: "record", name: "R", namespace: "n", fields };
}

const a = { name: "a", type: "long" };
const colour = (symbols: readonly string[], extra: object = {}) => ({
  name: "c",
  type: { type: "enum", name: "C", symbols, ...extra },
});
const inner = (...fields: readonly object[]) => ({ type: "record", name: "I", fields });

/** Every kind of change that somebody will try, with the verdict that Avro's rules give. */
export const schemaPairs: readonly SchemaPair[] = [
  {
    change: "a field with a default more",
    older: record(a),
    newer: record(a, { name: "b", type: ["null", "string"], default: null }),
    verdict: "compatible",
  },
  {
    change: "a field with a default less",
    older: record(a, { name: "b", type: "int", default: 0 }),
    newer: record(a),
    verdict: "compatible",
  },
  {
    change: "fields in another order",
    older: record(a, { name: "b", type: "string" }),
    newer: record({ name: "b", type: "string" }, a),
    verdict: "compatible",
  },
  {
    change: "a field without a default more",
    older: record(a),
    newer: record(a, { name: "b", type: ["null", "string"] }),
    verdict: "incompatible",
    problems: ["n.R.b: only in the newer version, and has no default there"],
  },
  {
    change: "a field without a default less",
    older: record(a, { name: "b", type: "int" }),
    newer: record(a),
    verdict: "incompatible",
    problems: ["n.R.b: only in the older version, and has no default there"],
  },
  {
    change: "a rename with an alias alone",
    older: record(a),
    newer: record({ name: "b", type: "long", aliases: ["a"] }),
    verdict: "incompatible",
    problems: ["n.R.a: only in the older version, and has no default there"],
  },
  {
    change: "a rename with an alias and a default in both",
    older: record({ ...a, default: 0 }),
    newer: record({ name: "b", type: "long", aliases: ["a"], default: 0 }),
    verdict: "compatible",
  },
  {
    change: "int to long",
    older: record({ name: "a", type: "int" }),
    newer: record(a),
    verdict: "incompatible",
    problems: ["n.R.a: int becomes long"],
  },
  {
    change: "long to int",
    older: record(a),
    newer: record({ name: "a", type: "int" }),
    verdict: "incompatible",
    problems: ["n.R.a: long becomes int"],
  },
  {
    change: "float to double",
    older: record({ name: "a", type: "float" }),
    newer: record({ name: "a", type: "double" }),
    verdict: "incompatible",
    problems: ["n.R.a: float becomes double"],
  },
  {
    change: "string to bytes",
    older: record({ name: "a", type: "string" }),
    newer: record({ name: "a", type: "bytes" }),
    verdict: "stricter",
    problems: ["n.R.a: string becomes bytes"],
  },
  {
    change: "a logical type",
    older: record(a),
    newer: record({ name: "a", type: { type: "long", logicalType: "timestamp-millis" } }),
    verdict: "stricter",
    problems: ["n.R.a: the logical type changes from none to timestamp-millis"],
  },
  {
    change: "nullable from now on",
    older: record(a),
    newer: record({ name: "a", type: ["null", "long"], default: null }),
    verdict: "incompatible",
    problems: ["n.R.a: long becomes union"],
  },
  {
    change: "a union that grows",
    older: record({ name: "a", type: ["null", "long"], default: null }),
    newer: record({ name: "a", type: ["null", "long", "string"], default: null }),
    verdict: "incompatible",
    problems: ["n.R.a: the union grows by string; the older version fails"],
  },
  {
    change: "a union that shrinks",
    older: record({ name: "a", type: ["null", "long", "string"], default: null }),
    newer: record({ name: "a", type: ["null", "long"], default: null }),
    verdict: "incompatible",
    problems: ["n.R.a: the union loses string; the newer version fails"],
  },
  {
    change: "an enum that grows, with a default in both",
    older: record(colour(["NONE", "RED"], { default: "NONE" })),
    newer: record(colour(["NONE", "RED", "BLUE"], { default: "NONE" })),
    verdict: "compatible",
  },
  {
    change: "an enum that grows, without a default",
    older: record(colour(["RED"])),
    newer: record(colour(["RED", "BLUE"])),
    verdict: "incompatible",
    problems: ["n.R.c: the older version does not know BLUE and its enum has no default"],
  },
  {
    change: "an enum that grows, with a default in the newer alone",
    older: record(colour(["RED"])),
    newer: record(colour(["RED", "BLUE"], { default: "RED" })),
    verdict: "incompatible",
    problems: ["n.R.c: the older version does not know BLUE and its enum has no default"],
  },
  {
    change: "an enum of another name",
    older: record(colour(["RED"])),
    newer: record({ name: "c", type: { type: "enum", name: "D", symbols: ["RED"] } }),
    verdict: "incompatible",
    problems: ["n.R.c: the type n.C becomes n.D; a rename is a new record and an upcast"],
  },
  {
    change: "a fixed type of another size",
    older: record({ name: "a", type: { type: "fixed", name: "F", size: 2 } }),
    newer: record({ name: "a", type: { type: "fixed", name: "F", size: 3 } }),
    verdict: "incompatible",
    problems: ["n.R.a: the size changes from 2 to 3"],
  },
  {
    change: "other items in a list",
    older: record({ name: "a", type: { type: "array", items: "string" } }),
    newer: record({ name: "a", type: { type: "array", items: "long" } }),
    verdict: "incompatible",
    problems: ["n.R.a[]: string becomes long"],
  },
  {
    change: "other values in a map",
    older: record({ name: "a", type: { type: "map", values: "string" } }),
    newer: record({ name: "a", type: { type: "map", values: "boolean" } }),
    verdict: "incompatible",
    problems: ["n.R.a{}: string becomes boolean"],
  },
  {
    change: "a field with a default in a record within",
    older: record({ name: "a", type: inner(a) }),
    newer: record({ name: "a", type: inner(a, { name: "b", type: "int", default: 1 }) }),
    verdict: "compatible",
  },
  {
    change: "a field without a default in a record within a nullable list",
    older: record({ name: "a", type: ["null", { type: "array", items: inner(a) }] }),
    newer: record({
      name: "a",
      type: ["null", { type: "array", items: inner(a, { name: "b", type: "int" }) }],
    }),
    verdict: "incompatible",
    problems: ["n.R.a[].b: only in the newer version, and has no default there"],
  },
  {
    change: "a change in a record that holds itself",
    older: record(a, { name: "next", type: ["null", "R"] }),
    newer: record({ name: "a", type: "string" }, { name: "next", type: ["null", "R"] }),
    verdict: "incompatible",
    problems: ["n.R.a: long becomes string"],
  },
  {
    change: "another default",
    older: record({ ...a, default: 1 }),
    newer: record({ ...a, default: 2 }),
    verdict: "compatible",
  },
];
