import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
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
  const before = claimInstance(folder, "bank.account");
  before?.release();
  const after = claimInstance(folder, "bank.account");
  expect(after?.name).toBe(before?.name);
  after?.release();
});

test("of two at a time each has a name of its own, also where one was there before", () => {
  const first = claimInstance(folder, "bank.account");
  const second = claimInstance(folder, "bank.account");
  first?.release();
  const third = claimInstance(folder, "bank.account");
  expect(second?.name).not.toBe(first?.name);
  expect(third?.name).toBe(first?.name);
  second?.release();
  third?.release();
});

test("in another group a process has another name", () => {
  const claims = ["bank.account", "bank.balances.v1", "../a/b"].map((group) =>
    claimInstance(folder, group),
  );
  expect(new Set(claims.map((claim) => claim?.name)).size).toBe(3);
  for (const claim of claims) claim?.release();
});

test("where the folder cannot be used, or the file is none of ours, a process has no name", () => {
  writeFileSync(join(folder, "file"), "");
  expect(claimInstance(join(folder, "file"), "bank.account")).toBeNull();
  claimInstance(folder, "bank.account")?.release();
  writeFileSync(join(folder, "members", "bank.account-0.db"), "torn".repeat(5_000));
  expect(claimInstance(folder, "bank.account")).toBeNull();
});
