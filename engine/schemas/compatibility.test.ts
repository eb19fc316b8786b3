import { expect, test } from "vitest";
import { parseSchema } from "../avro/avro-schema.ts";
import { compileType } from "../avro/avro-type.ts";
import { schemaPairs } from "../../test/registry/schema-pairs.ts";
import { incompatibilities } from "./compatibility.ts";

test.each(schemaPairs)("judges $change: $verdict", ({ older, newer, verdict, problems = [] }) => {
  const found = incompatibilities(parseSchema(older), parseSchema(newer));
  expect(found).toEqual(problems);
  expect(found.length === 0).toBe(verdict === "compatible");
});

test.each(schemaPairs)(
  "judges $change the same in the other direction",
  ({ older, newer, verdict }) => {
    const found = incompatibilities(parseSchema(newer), parseSchema(older));
    // An alias is known to the version that has it alone; a rename is one in this direction too.
    expect(found.length === 0).toBe(verdict === "compatible");
  },
);

test.each(schemaPairs.filter(({ verdict }) => verdict === "compatible"))(
  "lets nothing pass that avsc could not read both ways: $change",
  ({ older, newer }) => {
    const types = [compileType(older), compileType(newer)] as const;
    expect(() => [types[0].resolve(types[1]), types[1].resolve(types[0])]).not.toThrow();
  },
);
