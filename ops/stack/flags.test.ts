import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { openFolder } from "./folder.ts";
import { scratch } from "./testing/scratch.ts";

/** Runs `ops/start.ts` or `ops/reset.ts` without a terminal. */
function run(program: "start" | "reset", args: readonly string[], dir: string) {
  const file = fileURLToPath(new URL(`../${program}.ts`, import.meta.url));
  const env = { ...process.env, FOLDLOG_DIR: dir };
  return spawnSync(process.execPath, [file, ...args], { env, encoding: "utf8" });
}

test.each(["start", "reset"] as const)(
  "%s refuses an unknown flag, and touches nothing",
  (program) => {
    const dir = join(scratch(), "stack");
    const { status, stderr } = run(program, ["--demoo"], dir);
    expect(status).toBe(2);
    expect(stderr).toMatch(/Wrong usage: .*--demoo.*\nAll options: .* --help/);
    expect(existsSync(dir)).toBe(false);
  },
);

test("start --help names every setting", () => {
  const { status, stdout } = run("start", ["--help"], join(scratch(), "stack"));
  expect(status).toBe(0);
  for (const name of [
    "FOLDLOG_DIR",
    "FOLDLOG_KAFKA_PORT",
    "FOLDLOG_METRICS_PORT",
    "--infra-only",
  ]) {
    expect(stdout).toContain(name);
  }
});

test("reset does not wipe unasked where nobody can be asked", () => {
  const { data, dir } = openFolder(join(scratch(), "stack"));
  writeFileSync(join(data, "precious"), "");
  const { status, stderr } = run("reset", [], dir);
  expect(status).toBe(1);
  expect(stderr).toContain("npm run reset -- --yes");
  expect(readdirSync(data)).toEqual(["precious"]);
});

test("reset --yes wipes the data", () => {
  const { data, dir } = openFolder(join(scratch(), "stack"));
  writeFileSync(join(data, "precious"), "");
  expect(run("reset", ["--yes"], dir).status).toBe(0);
  expect(existsSync(data)).toBe(false);
});

test("reset refuses a folder that is not Foldlog's", () => {
  const dir = scratch();
  writeFileSync(join(dir, "thesis.txt"), "three years");
  const { status, stderr } = run("reset", ["--all", "--yes"], dir);
  expect(status).toBe(1);
  expect(stderr).toContain("not a folder of Foldlog's");
  expect(readdirSync(dir)).toEqual(["thesis.txt"]);
});
