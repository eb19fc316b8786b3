import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, readFileSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeEach, expect, test } from "vitest";
import { scratch } from "./testing/scratch.ts";

const bootFile = fileURLToPath(new URL("../boot.mjs", import.meta.url));

/** A clone with nothing but the bootstrap and a lock file. */
let clone: string;
beforeEach(() => {
  clone = scratch();
  mkdirSync(join(clone, "ops"));
  copyFileSync(bootFile, join(clone, "ops", "boot.mjs"));
  writeFileSync(join(clone, "package-lock.json"), "{}");
});

/** What npm would leave: its own lock file, and a Node where install scripts were allowed. */
const install = (options: { node: "with node" | "without node"; version?: string }) => `
  const { mkdirSync, writeFileSync, appendFileSync } = await import("node:fs");
  appendFileSync("calls", process.argv.slice(2).join(" ") + "\\n");
  mkdirSync("node_modules/.bin", { recursive: true });
  mkdirSync("node_modules/node", { recursive: true });
  writeFileSync("node_modules/node/package.json", '{"version":"${options.version ?? "24.21.0"}"}');
  if (${options.node === "with node"}) writeFileSync("node_modules/.bin/node", "");
  writeFileSync("node_modules/.package-lock.json", "{}");`;

function boot(npm: string) {
  const npmFile = join(clone, "npm.js");
  writeFileSync(join(clone, "package.json"), '{"type":"module"}');
  writeFileSync(npmFile, npm);
  const env = { ...process.env, npm_execpath: npmFile };
  const { status, stderr } = spawnSync(process.execPath, [join(clone, "ops", "boot.mjs")], {
    cwd: "/",
    env,
    encoding: "utf8",
  });
  return { status, stderr };
}

const calls = () => readFileSync(join(clone, "calls"), "utf8").trim().split("\n");

test("a fresh clone is installed once, and not again", () => {
  expect(boot(install({ node: "with node" }))).toMatchObject({ status: 0 });
  expect(boot(install({ node: "with node" }))).toMatchObject({ status: 0, stderr: "" });
  expect(calls()).toEqual([expect.stringMatching(/^ci /)]);
});

test("dependencies older than the lock file are installed anew", () => {
  boot(install({ node: "with node" }));
  const later = new Date(Date.now() + 60_000);
  utimesSync(join(clone, "package-lock.json"), later, later);
  boot(install({ node: "with node" }));
  expect(calls()).toHaveLength(2);
});

test("where npm fails, what it said is shown with what to do", () => {
  const { status, stderr } = boot("console.error('ENOTFOUND somewhere'); process.exit(7);");
  expect(status).toBe(1);
  expect(stderr).toMatch(/\| ENOTFOUND somewhere\n`npm ci` failed \(7\)\.\n.*then run/);
});

test("without install scripts there is no Node 24, and the message says so", () => {
  const { status, stderr } = boot(install({ node: "without node" }));
  expect(status).toBe(1);
  expect(stderr).toContain("install scripts were switched off");
});

test("an older Node among the dependencies is refused", () => {
  const { status, stderr } = boot(install({ node: "with node", version: "22.1.0" }));
  expect(status).toBe(1);
  expect(stderr).toContain("Node 22.1.0");
});
