import { describe, expect, test } from "vitest";
import { isSameValue, shownValue } from "./same-value.ts";

class Decoded {
  readonly amountCents = 1;
}

describe("values say the same", () => {
  test.each([
    ["fields in any order", { a: 1, b: "x" }, { b: "x", a: 1 }],
    ["an object of a class and a plain one", new Decoded(), { amountCents: 1 }],
    ["a field that is undefined and none", { a: 1, b: undefined }, { a: 1 }],
    ["the same bytes", { a: Buffer.from("x") }, { a: new Uint8Array([120]) }],
    ["lists and maps, one within the other", { a: [new Map([["k", [1]]])] }, { a: [{ k: [1] }] }],
    ["not a number, twice", { a: NaN }, { a: NaN }],
    ["the same instant", { a: new Date(1) }, { a: new Date(1) }],
  ])("%s", (_, a, b) => {
    expect(isSameValue(a, b)).toBe(true);
  });

  test.each([
    ["another number", { a: 1 }, { a: 2 }],
    ["a number and its text", { a: 1 }, { a: "1" }],
    ["a field more", { a: 1 }, { a: 1, b: null }],
    ["another field", { a: 1 }, { b: 1 }],
    ["null and an object", { a: null }, { a: {} }],
    ["a list and an object", { a: [1] }, { a: { 0: 1 } }],
    ["lists in another order", { a: [1, 2] }, { a: [2, 1] }],
    ["other bytes", { a: Buffer.from("x") }, { a: Buffer.from("y") }],
    ["bytes and their text", { a: Buffer.from("x") }, { a: "x" }],
    ["an instant and its number", { a: new Date(1) }, { a: 1 }],
  ])("not: %s", (_, a, b) => {
    expect(isSameValue(a, b)).toBe(false);
    expect(isSameValue(b, a)).toBe(false);
  });
});

test("a value is shown on one line, and cut off where it is long", () => {
  expect(shownValue({ a: 1n, b: "x\ny" })).toBe('{"a":"1","b":"x\\ny"}');
  expect(shownValue({ a: "x".repeat(1_000) })).toHaveLength(301);
});
