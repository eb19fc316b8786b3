import { expect, test } from "vitest";
import { hexDump } from "./hex-dump.ts";

test("a dump shows offset, bytes and what of them is text, 16 a line", () => {
  expect(hexDump(Buffer.from("0123456789abcdef\x00é"), 64)).toEqual([
    "00000000  30 31 32 33 34 35 36 37  38 39 61 62 63 64 65 66  |0123456789abcdef|",
    "00000010  00 c3 a9                                          |...|",
  ]);
});

test("a dump ends at its limit", () => {
  expect(hexDump(Buffer.alloc(100), 20)).toHaveLength(2);
  expect(hexDump(Buffer.alloc(100), 20)[1]).toMatch(/^00000010 {2}00 00 00 00 {2}/);
});
