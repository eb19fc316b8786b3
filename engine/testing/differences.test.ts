import { expect, test } from "vitest";
import { differences, short, told } from "./differences.ts";

test("equal data has no differences, whatever its types are", () => {
  const value = (zero: number) => ({
    at: new Date(5),
    bytes: Buffer.from("b"),
    list: [1, { n: NaN, z: zero }],
    missing: undefined,
    map: new Map([["k", 1]]),
    big: 5n,
  });
  expect(differences(value(0), value(-0))).toEqual([]);
  expect(differences({ a: undefined }, {})).toEqual([]);
});

test("each place that differs is named with both sides", () => {
  const expected = { a: [1, { "b c": 2 }], at: new Date(1), bytes: Buffer.from("x"), gone: null };
  const found = { a: [1, { "b c": 3 }, 4], at: new Date(2), bytes: Buffer.from("y"), new: true };
  expect(differences(expected, found).map(({ path }) => path)).toEqual([
    `.a[1]["b c"]`,
    ".a[2]",
    ".at",
    ".bytes",
    ".gone",
    ".new",
  ]);
  expect(differences([], {})).toEqual([{ path: "", expected: [], found: {} }]);
  expect(differences(new Map([[1, 2]]), new Map([[1, 3]]))).toHaveLength(1);
});

test("what is told is the first three differences, short", () => {
  const of = (value: unknown) => ({ a: value, b: value, c: value, d: value });
  const said = told(differences(of(1), of("x".repeat(500))));
  expect(said.slice(0, 2)).toEqual(["at .a", "  expected 1"]);
  expect(said.at(-1)).toBe("and 1 more such differences");
  expect(Math.max(...said.map(({ length }) => length))).toBeLessThan(250);
});

test("any value has a line", () => {
  expect(short(undefined)).toBe("nothing");
  expect(
    short({ n: 1n, inf: Infinity, m: new Map([[1, 2]]), f: () => 1, p: Promise.resolve() }),
  ).toBe(`{"n":"1n","inf":"Infinity","m":"a Map of 1","f":"a function","p":"a Promise"}`);
});
