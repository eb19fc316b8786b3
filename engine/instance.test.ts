import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { claimInstance } from "./instance.ts";

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "foldlog-instance-"));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

test("a process has the name of the one before it, once that is no more", () => {
  const before = claimInstance(folder, "bank.account", ["a"]);
  before?.release();
  const after = claimInstance(folder, "bank.account", ["a"]);
  expect(after?.name).toBe(before?.name);
  after?.release();
});

test("of two at a time each has a name of its own, also where one was there before", () => {
  const first = claimInstance(folder, "bank.account", ["a"]);
  const second = claimInstance(folder, "bank.account", ["a"]);
  first?.release();
  const third = claimInstance(folder, "bank.account", ["a"]);
  expect(second?.name).not.toBe(first?.name);
  expect(third?.name).toBe(first?.name);
  second?.release();
  third?.release();
});

test("in another group a process has another name", () => {
  const claims = ["bank.account", "bank.balances.v1", "../a/b"].map((group) =>
    claimInstance(folder, group, ["a"]),
  );
  expect(new Set(claims.map((claim) => claim?.name)).size).toBe(3);
  for (const claim of claims) claim?.release();
});

test("a process has no name of one that read other topics: the broker would hand it no more than that one had", () => {
  const nameOf = (topics: readonly string[]) => {
    const claim = claimInstance(folder, "bank.account", topics);
    claim?.release();
    return claim?.name;
  };
  const names = [["a"], ["a", "b"], ["b"], ["ab"]].map(nameOf);
  expect(new Set(names).size).toBe(4);
  expect(nameOf(["b", "a"])).toBe(names[1]);
});

test("where the folder cannot be used, or the file is none of ours, a process has no name", () => {
  writeFileSync(join(folder, "file"), "");
  expect(claimInstance(join(folder, "file"), "bank.account", ["a"])).toBeNull();
  claimInstance(folder, "bank.account", ["a"])?.release();
  const [file] = readdirSync(join(folder, "members"));
  writeFileSync(join(folder, "members", file ?? ""), "torn".repeat(5_000));
  expect(claimInstance(folder, "bank.account", ["a"])).toBeNull();
});
