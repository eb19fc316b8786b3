import fc from "fast-check";
import { expect, test } from "vitest";
import { parseJsonLine } from "./json-line.ts";

const seed = Number(process.env["SEED"] ?? Date.now() % 2 ** 31);

test("reads what JSON.parse reads", () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 8 }), fc.constantFrom("", " ", "\t"), (value, indent) => {
      const text = JSON.stringify(value, null, indent);
      // JSON.stringify escapes a lone surrogate, which is refused.
      fc.pre(!/\\ud[89a-f]/i.test(text));
      const { parsed, numbersAreExact } = reference(text);
      fc.pre(numbersAreExact);
      expect(parseJsonLine(text)).toEqual({ ok: true, value: parsed });
    }),
    { seed, numRuns: 2_000 },
  );
});

function reference(text: string): { parsed: unknown; numbersAreExact: boolean } {
  let numbersAreExact = true;
  const parsed: unknown = JSON.parse(text, (_, value: unknown) => {
    if (Number.isInteger(value) && !Number.isSafeInteger(value)) numbersAreExact = false;
    return value;
  });
  return { parsed, numbersAreExact };
}

test("refuses whatever JSON.parse refuses", () => {
  const nearlyJson = fc
    .tuple(
      fc.json({ maxDepth: 3 }),
      fc.nat(),
      fc.constantFrom("{", "}", "[", "]", '"', ",", ":", "\\", " ", "\n", "0", "e", "-", "t", "\0"),
    )
    .map(([text, at, character]) => {
      const cut = at % (text.length + 1);
      return text.slice(0, cut) + character + text.slice(cut + 1);
    });
  fc.assert(
    fc.property(nearlyJson, (text) => {
      let valid = true;
      try {
        JSON.parse(text);
      } catch {
        valid = false;
      }
      const { ok } = parseJsonLine(text);
      if (!valid) expect(ok).toBe(false);
    }),
    { seed, numRuns: 5_000 },
  );
});

test.each<[string, number, string]>([
  ["", 1, "expected a value, got the end"],
  ["{", 2, "expected a key in quotes, got the end"],
  ['{"a": 1,}', 9, 'expected a key in quotes, got "}"'],
  ['{"a" 1}', 6, 'expected ":" after a key, got "1"'],
  ['{"a": 1 "b": 2}', 9, 'expected "," or "}", got "\\""'],
  ['{"a": 1, "b": 2, "a": 3}', 18, 'the key "a" twice'],
  ['{"a": 1, "\\u0061": 3}', 10, 'the key "a" twice'],
  ['{"__proto__": 1, "__proto__": 3}', 18, 'the key "__proto__" twice'],
  ['{"a": 1} {"b": 2}', 10, '"{" after the end of the value'],
  ["[1, 2", 6, 'expected "," or "]", got the end'],
  ['{"amountCents": tru}', 17, 'expected a value, got "tru"'],
  ["undefined", 1, 'expected a value, got "undefined"'],
  ["NaN", 1, 'expected a value, got "NaN"'],
  ["'a'", 1, `expected a value, got "'"`],
  ['["a', 2, "a string without an end"],
  ['["a\tb"]', 4, "a control character in a string: escape it"],
  ['["\\\\", "\\x"]', 9, "an escape that JSON does not have"],
  ['["\\ud83d"]', 2, "a lone surrogate in a string is not Unicode"],
  ["[01]", 2, "not a number as JSON writes one"],
  ["[1.]", 2, "not a number as JSON writes one"],
  ["[-]", 2, 'expected a value, got "-"'],
  ["[1e400]", 2, "1e400 is too large for a number"],
  [
    '{"amountCents": 9223372036854775807}',
    17,
    "9223372036854775807 is beyond ±(2^53 − 1), where JSON numbers are not exact",
  ],
  [
    "9007199254740992",
    1,
    "9007199254740992 is beyond ±(2^53 − 1), where JSON numbers are not exact",
  ],
  ["\uFEFF{}", 1, "a byte order mark: save the file without it"],
])("says of %s what is wrong and at which column", (text, column, message) => {
  expect(parseJsonLine(text)).toEqual({ ok: false, column, message });
});

test("reads the greatest integer that is exact, and any number with a point or an exponent", () => {
  const value = [9007199254740991, -9007199254740991, 1e21, 0.1, -0];
  expect(parseJsonLine("[9007199254740991, -9007199254740991, 1e21, 0.1, -0]")).toEqual({
    ok: true,
    value,
  });
});

test("takes __proto__ for a key like any other", () => {
  const parsed = parseJsonLine('{"__proto__": {"polluted": 1}}');
  expect(parsed.ok && Object.keys(parsed.value as object)).toEqual(["__proto__"]);
  expect("polluted" in (parsed.ok ? (parsed.value as object) : {})).toBe(false);
});

test("refuses nesting beyond 64, however deep", () => {
  const nested = (depth: number) => "[".repeat(depth) + "]".repeat(depth);
  expect(parseJsonLine(nested(64)).ok).toBe(true);
  const message = "nested deeper than 64";
  expect(parseJsonLine(nested(65))).toEqual({ ok: false, column: 65, message });
  expect(parseJsonLine("[".repeat(1_000_000))).toEqual({ ok: false, column: 65, message });
});
