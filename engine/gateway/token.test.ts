import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { isValidId } from "../message.ts";
import { Problem } from "./problem.ts";
import { readToken, type Token, tokenOf } from "./token.ts";

/** fast-check prints the seed of a failure; `SEED=…` repeats it. */
const seed = Number(process.env["SEED"] ?? Date.now() % 2 ** 31);

const token: Token = {
  topic: "bank.account.events",
  partition: 3,
  commandOffset: 9_007_199_254_740_993n,
  aggregateId: "a-1",
  version: 2,
};

const anyToken: fc.Arbitrary<Token> = fc.record({
  topic: fc.stringMatching(/^[A-Za-z0-9._-]{1,249}$/),
  partition: fc.nat(),
  commandOffset: fc.bigInt({ min: 0n, max: 2n ** 63n - 1n }),
  aggregateId: fc.string({ unit: "binary", minLength: 1, maxLength: 255 }).filter(isValidId),
  version: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
});

function refusal(text: string, era = 1): Problem {
  try {
    readToken(text, era);
  } catch (error) {
    if (error instanceof Problem) return error;
    throw error;
  }
  throw new Error(`${JSON.stringify(text)} was read`);
}

/** A token of these fields as `tokenOf` would write them, its checksum right. */
function forged(change: Partial<Record<keyof Token, unknown>>): string {
  return tokenOf({ ...token, ...change } as Token, 1);
}

test("a token is read as it was written, and is its own address", () => {
  fc.assert(
    fc.property(anyToken, fc.nat(), (any, era) => {
      const text = tokenOf(any, era);
      expect(readToken(text, era)).toEqual(any);
      expect(encodeURIComponent(text)).toBe(text);
    }),
    { seed },
  );
});

test("any other text is refused as a problem, never another error", () => {
  const text = fc.oneof(fc.string({ unit: "binary" }), fc.base64String(), fc.json());
  fc.assert(
    fc.property(text, (any) => {
      expect(refusal(any)).toMatchObject({ code: "INVALID_TOKEN", status: 400 });
    }),
    { seed },
  );
});

test("a token with any one character changed, lost or added is refused", () => {
  const text = tokenOf(token, 1);
  for (let at = 0; at < text.length; at++) {
    const other = text[at] === "A" ? "B" : "A";
    expect(refusal(text.slice(0, at) + other + text.slice(at + 1)).code).toBe("INVALID_TOKEN");
    expect(refusal(text.slice(0, at) + text.slice(at + 1)).code).toBe("INVALID_TOKEN");
    expect(refusal(text.slice(0, at) + other + text.slice(at)).code).toBe("INVALID_TOKEN");
  }
});

test("a token of another era says so", () => {
  expect(refusal(tokenOf(token, 1), 2).message).toContain("another era");
});

describe("a forged token holds nothing that Postgres would stumble over", () => {
  test.each<[keyof Token, unknown]>([
    ["partition", 2 ** 31],
    ["partition", -1],
    ["partition", 0.5],
    ["commandOffset", 2n ** 63n],
    ["commandOffset", -1n],
    ["commandOffset", "1e3"],
    ["version", 0],
    ["version", 2 ** 53],
    ["topic", "a\0b"],
    ["topic", null],
    ["aggregateId", ""],
    ["aggregateId", "x".repeat(256)],
  ])("%s %s", (field, value) => {
    expect(refusal(forged({ [field]: value })).code).toBe("INVALID_TOKEN");
  });
});

test("a token of an id of 255 bytes that all need escapes is short enough for an address", () => {
  const aggregateId = "\u0001".repeat(255);
  const text = tokenOf({ ...token, topic: "t".repeat(249), aggregateId }, 1);
  expect(readToken(text, 1).aggregateId).toBe(aggregateId);
});
