import { describe, expect, test } from "vitest";
import {
  distinctNames,
  headLines,
  layoutOf,
  positionLines,
  rowLine,
  shownSqlValue,
} from "./sql-table.ts";

describe("a result", () => {
  const rows = [
    { id: "ada", cents: 1_200n, sum: "12.50", note: null },
    { id: "grace\nhopper", cents: null, sum: "-3", note: "x" },
  ];
  const layout = layoutOf(["id", "cents", "sum", "note"], rows);

  test("has numbers to the right, NULL shown, and line ends that keep to their row", () => {
    expect([...headLines(layout), ...rows.map((row) => rowLine(layout, row))]).toEqual([
      " id            | cents |   sum | note",
      "---------------+-------+-------+------",
      " ada           |  1200 | 12.50 | NULL",
      " grace\\nhopper |  NULL |    -3 | x",
    ]);
  });

  test("of no rows has its columns", () => {
    expect(headLines(layoutOf(["a", "bc"], []))).toEqual([" a | bc", "---+----"]);
  });

  test.each([
    [new Date(0), "1970-01-01T00:00:00.000Z"],
    [Buffer.from([1, 255]), "\\x01ff"],
    [true, "true"],
    [{ a: [1] }, '{"a":[1]}'],
    [["a", null], '["a",null]'],
    ["\x1b[31m", "\\u{1b}[31m"],
  ])("shows %o as %s", (value, text) => {
    expect(shownSqlValue(value)).toBe(text);
  });

  test("gives columns of one name names of their own", () => {
    expect(distinctNames(["a", "b", "a", "a_2", "a"])).toEqual(["a", "b", "a_3", "a_2", "a_4"]);
  });
});

describe("the place of an error", () => {
  test("is marked below its line", () => {
    expect(positionLines("select 1,\n  foo\nfrom x", 13)).toEqual(["LINE 2:   foo", "          ^"]);
  });

  test("is marked after characters that take more room", () => {
    expect(positionLines("select '日本', foo", 14)).toEqual([
      "LINE 1: select '日本', foo",
      "                       ^",
    ]);
  });

  test("is counted in characters, as Postgres counts", () => {
    expect(positionLines("select '😀', foo", 13)[1]?.length).toBe("LINE 1: select '😀', f".length);
  });

  test("is not invented", () => {
    expect(positionLines("select 1", null)).toEqual([]);
    expect(positionLines("select 1", 99)).toEqual([]);
  });
});
