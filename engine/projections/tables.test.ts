import { describe, expect, test } from "vitest";
import type { AnyProjection } from "../projection.ts";
import { doing } from "../testing/doing.ts";
import { checkDeclaration, declaredHash, indexName } from "./tables.ts";

const sound = doing({ things: "id text primary key" });

function refusal(changes: Partial<AnyProjection>): string {
  try {
    checkDeclaration({ ...sound, ...changes });
    return "nothing was refused";
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

describe("a declaration whose names cannot stand in SQL is refused", () => {
  const badNames = ["Things", "a b", 'x"; drop', "1st", "_x", "", "ü", "a".repeat(41), "__proto__"];

  test.each(badNames)("a projection called %j", (name) => {
    expect(refusal({ name })).toContain(`projection ${JSON.stringify(name)}: its name takes only`);
  });

  test.each([...badNames, "a".repeat(46)].filter((name) => name.length !== 41))(
    "a table called %j",
    (table) => {
      const tables = Object.fromEntries([[table, "id text primary key"]]);
      expect(refusal({ tables })).toContain(`the table name ${JSON.stringify(table)} takes only`);
    },
  );

  test.each([0, -1, 1.5, 10_000, NaN])("version %d", (version) => {
    expect(refusal({ version })).toContain("its version is a whole number from 1 to 9999");
  });

  test("no table, no topic", () => {
    expect(refusal({ tables: {} })).toContain("it declares no table");
    expect(refusal({ topics: [] })).toContain("it names no topic");
  });

  test("but not the longest names that fit", () => {
    const tables = Object.fromEntries([["t".repeat(45), "id text primary key"]]);
    expect(refusal({ name: "n".repeat(40), version: 9999, tables })).toBe("nothing was refused");
    expect(indexName("t".repeat(45), 9999, "(id)")).toHaveLength(60);
  });
});

test("the hash of a declaration is of its tables alone, whatever their layout and order", () => {
  const two = (a: string, b: string) => declaredHash(doing({ a, b }));
  const hash = two("id text primary key", "id text primary key, n bigint");
  expect(two("\n  id text\n    primary key", "id text primary key,\n n bigint ")).toBe(hash);
  expect(
    declaredHash({ ...doing({ b: "id text primary key, n bigint", a: "id text primary key" }) }),
  ).toBe(hash);
  expect(two("id text primary key", "id text primary key, n integer")).not.toBe(hash);
});
