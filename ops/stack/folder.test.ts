import { existsSync, mkdirSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { folderAt, openFolder } from "./folder.ts";
import { scratch } from "./testing/scratch.ts";
import { removeIfEmpty, wipe } from "./wipe.ts";

test("a new folder is its owner's alone", () => {
  const folder = openFolder(join(scratch(), "deep", "down"));
  expect(statSync(folder.dir).mode & 0o777).toBe(0o700);
  expect(() => openFolder(folder.dir)).not.toThrow();
});

test("a folder that holds other things is refused, and stays as it was", () => {
  const dir = scratch();
  writeFileSync(join(dir, "thesis.txt"), "three years");
  expect(() => openFolder(dir)).toThrow(/holds other things \(thesis.txt\)/);
  expect(readdirSync(dir)).toEqual(["thesis.txt"]);
});

test("a path that cannot be a folder is one clear message", () => {
  const file = join(scratch(), "file");
  writeFileSync(file, "");
  expect(() => openFolder(join(file, "below"))).toThrow(/cannot be used/);
});

test("a reset keeps the downloads, and touches nothing that is not Foldlog's", async () => {
  const folder = openFolder(join(scratch(), "stack"));
  mkdirSync(folder.parts);
  writeFileSync(join(folder.data, "x"), "");
  writeFileSync(join(folder.dir, "notes.txt"), "mine");

  await wipe(folder, "data");
  expect(readdirSync(folder.dir).sort()).toEqual(["foldlog.json", "notes.txt", "parts"]);

  await wipe(folder, "all");
  removeIfEmpty(folder);
  expect(readdirSync(folder.dir).sort()).toEqual(["foldlog.json", "notes.txt"]);
});

test("a reset of everything removes the folder where nothing else is in it", async () => {
  const folder = openFolder(join(scratch(), "stack"));
  await wipe(folderAt(folder.dir), "all");
  removeIfEmpty(folder);
  expect(existsSync(folder.dir)).toBe(false);
});
