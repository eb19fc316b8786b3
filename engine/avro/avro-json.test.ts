import { expect, test } from "vitest";
import type { RecordType } from "../topic.ts";
import { defaultsOf, fromJson } from "./avro-json.ts";

function recordType(...fields: readonly object[]): RecordType {
  const schema = { type: "record", name: "Order", namespace: "shop", fields };
  const version = { version: 1, fingerprint: "", schema };
  return { name: "Order", fullName: "shop.Order", versions: [version] };
}

const line = {
  type: "record",
  name: "Line",
  fields: [
    { name: "article", type: "string" },
    { name: "pieces", type: "int", default: 1 },
  ],
};
const order = recordType(
  { name: "orderId", type: "string" },
  { name: "amountCents", type: "long" },
  { name: "reference", type: ["null", "string"], default: null },
  {
    name: "size",
    type: { type: "enum", name: "Size", symbols: ["small", "large"] },
    default: "small",
  },
  { name: "lines", type: { type: "array", items: line }, default: [] },
  { name: "weights", type: { type: "map", values: "double" }, default: {} },
  { name: "seal", type: ["null", { type: "fixed", name: "Seal", size: 2 }], default: null },
  { name: "blob", type: "bytes", default: "\u00ffA" },
  { name: "first", type: "Line", default: { article: "none" } },
);
const least = { orderId: "o-1", amountCents: 5 };

function problemsWith(change: object): readonly string[] {
  const result = fromJson(order, { ...least, ...change });
  return result.ok ? [] : result.problems.map(({ path, message }) => `${path}: ${message}`);
}

test("fills what is missing with the schema's defaults", () => {
  expect(fromJson(order, least)).toStrictEqual({
    ok: true,
    value: {
      ...least,
      reference: null,
      size: "small",
      lines: [],
      weights: {},
      seal: null,
      blob: Buffer.from([0xff, 0x41]),
      first: { article: "none", pieces: 1 },
    },
  });
});

test("takes every field in its JSON form, bytes as base64", () => {
  const json = {
    ...least,
    reference: "\u0001\n🏦",
    size: "large",
    lines: [{ article: "a" }, { article: "b", pieces: -3 }],
    weights: { x: 0.5 },
    seal: "//8=",
    blob: "",
    first: { article: "c", pieces: 2 },
  };
  expect(fromJson(order, json)).toStrictEqual({
    ok: true,
    value: {
      ...json,
      lines: [
        { article: "a", pieces: 1 },
        { article: "b", pieces: -3 },
      ],
      seal: Buffer.from([0xff, 0xff]),
      blob: Buffer.alloc(0),
    },
  });
});

test("reports every problem at once, each with its path", () => {
  const json = {
    orderid: "o-1",
    amountCents: "5",
    lines: [{ article: 7, pieces: 1.5 }, null],
    weights: { x: "heavy" },
  };
  const result = fromJson(order, json);
  expect(result).toEqual({
    ok: false,
    problems: [
      { path: "orderId", message: "is missing (string)" },
      { path: "amountCents", message: 'expected an integer within ±(2^53 − 2), got "5"' },
      { path: "lines[0].article", message: "expected a string, got 7" },
      { path: "lines[0].pieces", message: "expected an integer of 32 bits, got 1.5" },
      { path: "lines[1]", message: "expected an object, got null" },
      { path: 'weights["x"]', message: 'expected a finite number, got "heavy"' },
      { path: "orderid", message: "is not a field of Order; did you mean orderId?" },
    ],
  });
});

test.each([
  ["amount_cents", "is not a field of Order; did you mean amountCents?"],
  ["AmountCent", "is not a field of Order; did you mean amountCents?"],
  ["refrence", "is not a field of Order; did you mean reference?"],
  ["colour", "is not a field of Order"],
  ["__proto__", "is not a field of Order"],
  ["x".repeat(10_000), "is not a field of Order"],
])("says of the unknown field %s what was meant, where that can be guessed", (name, message) => {
  const change = JSON.parse(`{${JSON.stringify(name)}: 1}`) as object;
  expect(problemsWith(change)).toEqual([`${name}: ${message}`]);
});

test.each<[object, string]>([
  [
    { amountCents: 2 ** 53 - 1 },
    "amountCents: expected an integer within ±(2^53 − 2), got 9007199254740991",
  ],
  [{ amountCents: 0.5 }, "amountCents: expected an integer within ±(2^53 − 2), got 0.5"],
  [{ amountCents: Number.NaN }, "amountCents: expected an integer within ±(2^53 − 2), got NaN"],
  [{ amountCents: null }, "amountCents: expected an integer within ±(2^53 − 2), got null"],
  [{ orderId: "a\uD800" }, "orderId: a string with a lone surrogate is not Unicode"],
  [{ reference: 7 }, "reference: expected a string, got 7"],
  [{ size: "larg" }, 'size: expected one of small, large, got "larg"; did you mean large?'],
  [{ size: "toString" }, 'size: expected one of small, large, got "toString"'],
  [{ seal: "//8" }, 'seal: expected 2 bytes in base64, got "//8"'],
  [{ seal: "////" }, "seal: expected 2 bytes in base64, got 3"],
  [{ lines: {} }, "lines: expected a list, got an object"],
  [{ weights: [] }, "weights: expected an object, got a list"],
  [{ weights: { "\uD800": 1 } }, 'weights["\\ud800"]: a key with a lone surrogate is not Unicode'],
  [{ weights: { x: Infinity } }, 'weights["x"]: expected a finite number, got Infinity'],
])("refuses %j", (change, problem) => {
  expect(problemsWith(change)).toEqual([problem]);
});

test.each([null, 7, "text", [least]])("refuses %j where a record should be", (json) => {
  expect(fromJson(order, json)).toMatchObject({ ok: false, problems: [{ path: "" }] });
});

test("ends on input that is nested without end", () => {
  const node = recordType({ name: "next", type: ["null", "Order"], default: null });
  let deep: object = {};
  for (let i = 0; i < 100_000; i++) deep = { next: deep };
  const result = fromJson(node, deep);
  expect(result.ok ? [] : result.problems.map(({ message }) => message)).toEqual([
    "is nested deeper than 64",
  ]);
});

test("gives the defaults of a record, for whoever must tell what was said from what was not", () => {
  expect(Object.fromEntries(defaultsOf(order))).toEqual({
    reference: null,
    size: "small",
    lines: [],
    weights: {},
    seal: null,
    blob: Buffer.from([0xff, 0x41]),
    first: { article: "none", pieces: 1 },
  });
});
