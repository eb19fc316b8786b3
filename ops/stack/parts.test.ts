import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { beforeEach, expect, test } from "vitest";
import { silentChecklist } from "./checklist.ts";
import type { Folder } from "./folder.ts";
import { ensureParts } from "./parts.ts";
import { scratchFolder } from "./testing/scratch.ts";

/** A Maven that writes one file and then does what `end` says. */
function maven(folder: Folder, end: string): NodeJS.ProcessEnv {
  const bin = join(folder.dir, "bin");
  mkdirSync(bin, { recursive: true });
  const script = `#!/bin/sh
    echo called >> ${join(folder.dir, "calls")}
    for arg; do case "$arg" in -Dparts=*) parts="\${arg#-Dparts=}";; esac; done
    mkdir -p "$parts/kafka" && echo jar > "$parts/kafka/kafka.jar"
    ${end}`;
  writeFileSync(join(bin, "mvn"), script);
  chmodSync(join(bin, "mvn"), 0o755);
  return { PATH: `${bin}:/usr/bin:/bin`, JAVA_HOME: newJava(folder), HOME: "" };
}

function newJava(folder: Folder): string {
  const home = join(folder.dir, "jdk");
  mkdirSync(join(home, "bin"), { recursive: true });
  writeFileSync(join(home, "bin", "java"), "");
  writeFileSync(join(home, "release"), 'JAVA_VERSION="99"\n');
  return home;
}

function ensure(env: NodeJS.ProcessEnv) {
  const { signal } = new AbortController();
  const options = { partsDir: folder.parts, checklist: silentChecklist, signal, env };
  return ensureParts(folder, options);
}

let folder: Folder;
beforeEach(() => {
  folder = scratchFolder();
});

test("a download that fails never counts as done, and says why", async () => {
  const failing = ensure(maven(folder, "echo 'no route to host'; exit 1"));
  await expect(failing).rejects.toMatchObject({ evidence: ["no route to host"] });
  expect(readdirSync(folder.parts).filter((name) => !name.includes(".half-"))).toEqual([]);
});

test("a download that was killed never counts as done, and the next one begins anew", async () => {
  await expect(ensure(maven(folder, "kill -9 $$"))).rejects.toThrow(/signal SIGKILL/);
  const { kafka } = await ensure(maven(folder, "exit 0"));
  expect(readFileSync(join(kafka.jars, "kafka.jar"), "utf8")).toBe("jar\n");
});

test("what is there is not downloaded again", async () => {
  await ensure(maven(folder, "exit 0"));
  await ensure(maven(folder, "exit 1"));
  expect(readFileSync(join(folder.dir, "calls"), "utf8")).toBe("called\n");
});

test("what a killed download left is swept away; that of a living one is not", async () => {
  const left = (pid: number) => join(folder.parts, `0123456789ab.half-${pid}`);
  mkdirSync(left(process.ppid), { recursive: true });
  mkdirSync(left(2 ** 22 + 1));
  await ensure(maven(folder, "exit 0"));
  expect(existsSync(left(process.ppid))).toBe(true);
  expect(existsSync(left(2 ** 22 + 1))).toBe(false);
});

test("without Maven one message says what to install", async () => {
  const env = { JAVA_HOME: newJava(folder), HOME: "", PATH: join(folder.dir, "empty") };
  await expect(ensure(env)).rejects.toMatchObject({
    message: expect.stringContaining("there is no `mvn`") as string,
    next: expect.stringContaining("Install Maven") as string,
  });
});
