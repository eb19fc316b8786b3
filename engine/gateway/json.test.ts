import fc from "fast-check";
import { expect, test } from "vitest";
import { JsonText, toJson } from "./json.ts";

/** fast-check prints the seed of a failure; `SEED=…` repeats it. */
const seed = Number(process.env["SEED"] ?? Date.now() % 2 ** 31);

test("anything that JSON has is written as JSON.stringify writes it", () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 3 }), (value) => {
      expect(JSON.parse(toJson(value))).toEqual(JSON.parse(JSON.stringify(value)));
    }),
    { seed },
  );
});

test("no digit of a bigint is lost, however deep it sits", () => {
  const value = { a: [{ b: 9_223_372_036_854_775_807n }], c: -(2n ** 63n) };
  expect(toJson(value)).toBe('{"a":[{"b":9223372036854775807}],"c":-9223372036854775808}');
});

test("an instant is ISO 8601", () => {
  expect(toJson({ at: new Date(0) })).toBe('{"at":"1970-01-01T00:00:00.000Z"}');
});

test("a text that is JSON already stays as it is", () => {
  expect(toJson([new JsonText('{"n": 12345678901234567890.10}')])).toBe(
    '[{"n": 12345678901234567890.10}]',
  );
});

test("numbers that JSON does not have are named", () => {
  expect(toJson([Number.NaN, Number.POSITIVE_INFINITY, -0])).toBe('["NaN","Infinity",0]');
});

test("what is undefined is left out of objects and null in lists", () => {
  expect(toJson({ a: undefined, b: [undefined], c: null })).toBe('{"b":[null],"c":null}');
  expect(toJson(undefined)).toBe("null");
});

test("a member called __proto__ is a member like any other", () => {
  expect(toJson(JSON.parse('{"__proto__": {"x": 1}}'))).toBe('{"__proto__":{"x":1}}');
});
