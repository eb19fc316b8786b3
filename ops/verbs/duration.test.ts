import { describe, expect, test } from "vitest";
import { durationMs, durationOption, rateOption, shownDuration, wholeOption } from "./duration.ts";

describe("a duration", () => {
  test.each([
    ["500ms", 500],
    ["30s", 30_000],
    ["0.5s", 500],
    ["5m", 300_000],
    ["1h30m", 5_400_000],
    ["2d", 172_800_000],
  ])("%s is so many milliseconds", (text, ms) => {
    expect(durationMs(text)).toBe(ms);
  });

  test.each(["", "30", "s", "30 s", "-1s", "1e3s", "30s!", "1y", "999999d"])(
    "%j is none",
    (text) => {
      expect(durationMs(text)).toBeNull();
    },
  );

  test.each([
    [0, "0 ms"],
    [999, "999 ms"],
    [4_249, "4.2 s"],
    [185_000, "3 min 5 s"],
    [7_260_000, "2 h 1 min"],
  ])("%i milliseconds are shown as %s", (ms, text) => {
    expect(shownDuration(ms)).toBe(text);
  });
});

describe("an option", () => {
  test("that is no time is refused with an example", () => {
    expect(() => durationOption("0s")).toThrow("for example 500ms");
  });

  test.each(["-1", "1.5", "x", "", "11"])("%j is no whole number from 0 to 10", (text) => {
    expect(() => wholeOption(0, 10)(text)).toThrow("a whole number from 0 to 10");
  });

  test.each(["0", "-1", "x", "1e9", ""])("%j is no rate", (text) => {
    expect(() => rateOption(text)).toThrow("above 0");
  });

  test("may be half a command a second", () => {
    expect(rateOption("0.5")).toBe(0.5);
  });
});
