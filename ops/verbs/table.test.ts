import { describe, expect, test } from "vitest";
import { layTable, left, right, widthOf } from "./table.ts";

describe("a table", () => {
  test("has its columns below their titles, numbers to the right", () => {
    const rows = [
      ["ada", "1,000"],
      ["grace hopper", "7"],
    ];
    expect(layTable([left("owner"), right("cents")], rows)).toEqual([
      "owner         cents",
      "ada           1,000",
      "grace hopper      7",
    ]);
  });

  test("without titles has none, and no trailing space", () => {
    const rows = [
      ["a", "long", ""],
      ["bb", "", ""],
    ];
    expect(layTable([left(""), left(""), left("")], rows)).toEqual(["a   long", "bb"]);
  });

  test.each([
    ["plain", 5],
    ["", 0],
    ["é", 1],
    ["e\u0301", 1],
    ["日本", 4],
    ["😀", 2],
    ["👩‍👩‍👧", 2],
    ["\x1b[31mred\x1b[39m", 3],
  ])("gives %j the room that a terminal does", (text, cells) => {
    expect(widthOf(text)).toBe(cells);
  });
});
