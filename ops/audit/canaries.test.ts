import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  type Canary,
  checkCanaries,
  type Searched,
  searchedFile,
  searchedRecord,
  searchedText,
} from "./canaries.ts";
import { Findings } from "./findings.ts";

const password: Canary = { name: "the database password", text: 'p4ss"w/örd' };
const seed = process.env["SEED"];
const repeatable = seed === undefined ? {} : { seed: Number(seed) };

async function found(...sources: readonly Searched[]): Promise<readonly string[]> {
  const findings = new Findings();
  await checkCanaries([password, { name: "a name", text: "Ada Lovelace" }], sources, findings);
  expect(findings.checked("I16")).toBe(sources.length);
  return findings.of("I16").map(({ at, expected }) => `${at}: ${expected}`);
}

describe("a secret", () => {
  test("is found as it is, and as JSON, an address and hex write it, and named without its text", async () => {
    const { text } = password;
    const ways = [
      text,
      JSON.stringify({ url: `postgresql://me:${text}@db` }),
      `?password=${encodeURIComponent(text)}`,
      Buffer.from(text).toString("hex"),
    ];
    for (const way of ways) {
      const said = await found(searchedText("log", `line\n${way}\nline`));
      expect(said).toEqual(["log: no the database password"]);
    }
  });

  test("is found in base64, whatever stands around it", async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array(), fc.uint8Array(), async (before, after) => {
        const bytes = Buffer.concat([before, Buffer.from(password.text), after]);
        for (const form of ["base64", "base64url"] as const) {
          expect(await found(searchedText("log", bytes.toString(form)))).toHaveLength(1);
        }
      }),
      repeatable,
    );
  });

  test("is found where it is cut in two by the parts in which a source comes", async () => {
    const text = `abc ${password.text} abc`;
    for (let cut = 1; cut < text.length; cut++) {
      const parts = [text.slice(0, cut), text.slice(cut)];
      expect(await found({ at: "log", parts })).toHaveLength(1);
    }
  });

  test("is told once a source, and not where it is not", async () => {
    const twice = searchedText("b", `${password.text} ${password.text}`);
    expect(await found(searchedText("a", "nothing"), twice)).toEqual([
      "b: no the database password",
    ]);
  });

  test("that is too short to be found by no chance is refused", async () => {
    const short = { name: "a pin", text: "1234" };
    await expect(checkCanaries([short], [], new Findings())).rejects.toThrow(/a pin is too short/);
  });
});

describe("sources", () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "foldlog-canaries-"));
  });
  afterAll(() => {
    rmSync(folder, { recursive: true });
  });

  test("are files, read whole", async () => {
    const file = join(folder, "worker.log");
    writeFileSync(file, `${"x".repeat(200_000)}Ada Lovelace${"x".repeat(200_000)}`);
    expect(await found(searchedFile(file))).toEqual([`${file}: no a name`]);
  });

  test("are records: key and headers, and the value where it is asked for", async () => {
    const record = {
      key: Buffer.from("Ada Lovelace"),
      value: Buffer.from(password.text),
      headers: [["error", Buffer.from("none")]] as const,
    };
    expect(await found(searchedRecord("dlq/0/1", record, "all but its value"))).toEqual([
      "dlq/0/1: no a name",
    ]);
    expect(await found(searchedRecord("dlq/0/1", record, "value too"))).toHaveLength(2);
    const said = {
      ...record,
      key: null,
      headers: [["error", Buffer.from(password.text)]] as const,
    };
    expect(await found(searchedRecord("dlq/0/2", said, "all but its value"))).toHaveLength(1);
  });
});
