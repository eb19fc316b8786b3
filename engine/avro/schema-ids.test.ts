import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { readSchemaIds, writeSchemaIds } from "./schema-ids.ts";

const folder = mkdtempSync(join(tmpdir(), "schema-ids-"));
const file = join(folder, "ids.json");

afterAll(() => {
  rmSync(folder, { recursive: true });
});

const a = "a".repeat(64);
const b = "b".repeat(64);

test("a file that is not there records nothing", () => {
  expect(readSchemaIds(join(folder, "none.json")).size).toBe(0);
});

test("what was written is read, ids in their order, and no other file is left", () => {
  writeSchemaIds(
    file,
    new Map([
      [10, b],
      [9, a],
    ]),
  );
  expect([...readSchemaIds(file)]).toEqual([
    [9, a],
    [10, b],
  ]);
  expect(readFileSync(file, "utf8")).toBe(`{\n  "9": "${a}",\n  "10": "${b}"\n}\n`);
  expect(readdirSync(folder)).toEqual(["ids.json"]);
});

test.each(["", "[]", "7", `{"0": "${a}"}`, `{"1x": "${a}"}`, '{"1": "abc"}', '{"1": null}'])(
  "a file that holds something else is refused by its name: %s",
  (text) => {
    const wrong = join(folder, "wrong.json");
    writeFileSync(wrong, text);
    expect(() => readSchemaIds(wrong)).toThrow(
      /wrong\.json should hold schema ids and fingerprints/,
    );
    rmSync(wrong);
  },
);
