import { describe, expect, test } from "vitest";
import { count, oneLine, plural, shownId, toJson } from "./output.ts";

describe("JSON", () => {
  test("has offsets as numbers while numbers can carry them", () => {
    expect(toJson({ offset: 7n, far: 2n ** 53n })).toBe('{"offset":7,"far":"9007199254740992"}');
  });

  test("has bytes in base64, instants by ISO 8601 and maps as objects", () => {
    const value = { bytes: Buffer.from([0, 255]), at: new Date(0), map: new Map([["a", 1]]) };
    expect(toJson(value)).toBe('{"bytes":"AP8=","at":"1970-01-01T00:00:00.000Z","map":{"a":1}}');
  });
});

describe("text from a log", () => {
  test("cannot steer the terminal", () => {
    expect(oneLine("a\nb\t\x1b[31m\u202Ec\u009B")).toBe("a\\nb\\t\\u{1b}[31m\\u{202e}c\\u{9b}");
  });

  test.each([
    ["cz-2378", "cz-2378"],
    ["__proto__", "__proto__"],
    ["žluťoučký", "žluťoučký"],
    ["two words", '"two words"'],
    ["new\nline", '"new\\nline"'],
    ["", '""'],
  ])("shows the id %j so that it can be told from the text around it", (id, shown) => {
    expect(shownId(id)).toBe(shown);
  });
});

describe("a count", () => {
  test("has its thousands apart, and its noun in the right number", () => {
    expect([count(20_986), count(-3n), plural(1, "topic"), plural(0, "topic")]).toEqual([
      "20,986",
      "-3",
      "1 topic",
      "0 topics",
    ]);
  });
});
