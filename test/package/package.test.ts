import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { publint } from "publint";
import { formatMessage } from "publint/utils";
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { readerRole } from "../../engine/projections/tables.ts";
import { envFileText } from "../../ops/stack/env-file.ts";
import { type FreshDatabase, freshDatabase } from "../postgres/fresh-database.ts";
import { until } from "../until.ts";

/**
 * The library as others get it: packed, installed into an empty folder outside of this repository, and used there
 * by the commands of the example's own README.
 */

const root = join(import.meta.dirname, "..", "..");
const require = createRequire(import.meta.url);

let folder: string;
let counter: string;
let database: FreshDatabase;
const children: ChildProcess[] = [];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "foldlog-package-"));
  counter = join(folder, "counter");
  mkdirSync(join(folder, "foldlog", ".foldlog"), { recursive: true });
  cpSync(join(root, "examples", "counter"), counter, { recursive: true });
  database = await freshDatabase();
  await database.prepare([]); // The reader and its password, as `npm start` makes them.
  writeFileSync(join(folder, "foldlog", ".foldlog", "env"), envFileText(addresses()));

  await run(`npm pack --loglevel=error --pack-destination ${join(folder, "foldlog")}`, root);
  await run(`${step("install")} --prefer-offline --no-audit --no-fund --loglevel=error`);
}, 300_000);

afterAll(async () => {
  for (const child of children) await stop(child);
  await database.drop();
  rmSync(folder, { recursive: true, force: true });
}, 60_000);

function addresses(): Readonly<Record<string, string>> {
  return {
    KAFKA_BROKERS: inject("kafkaBrokers"),
    SCHEMA_REGISTRY_URL: inject("registryUrl"),
    FOLDLOG_REPLICATION_FACTOR: "1",
    SCHEMA_IDS_FILE: join(folder, "schema-ids.json"),
    DATABASE_URL: database.ownerUrl,
    DATABASE_READ_URL: database.urlOf(readerRole),
    FOLDLOG_METRICS_PORT: "0",
  };
}

/** The commands of the README, by what they are for; the test fails where the README says others. */
const steps = {
  pack: "npm pack",
  install: "npm install ../foldlog/foldlog-0.1.0.tgz",
  test: "npm test",
  start: ". ../foldlog/.foldlog/env\nnpm start",
  use: "node send.ts Increment lamps 5\nnode count.ts lamps",
};

function step(name: keyof typeof steps): string {
  return steps[name];
}

test("the README has these commands, and no others", () => {
  const text = readFileSync(join(counter, "README.md"), "utf8");
  const blocks = [...text.matchAll(/^```sh\n([^]*?)\n```$/gm)].map(([, block]) => block);
  expect(blocks).toEqual(Object.values(steps));
});

test("publint finds nothing to mend in the package", async () => {
  const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as object;
  const { messages } = await publint({
    pkgDir: join(counter, "node_modules", "foldlog"),
    level: "suggestion",
    strict: true,
    pack: false,
  });
  expect(messages.map((it) => formatMessage(it, manifest, { color: false }))).toEqual([]);
});

test("the package holds the engine and its migrations, and no bank, no tests and no sources", async () => {
  const inside = await run("find . -type f", join(counter, "node_modules", "foldlog"));
  const files = inside.trim().split("\n");
  expect(files).toContain("./dist/engine/index.d.ts");
  expect(files).toContain("./dist/engine/postgres/migrations/0001_checkpoints.sql");
  const strangers = files.filter((it) => !/^\.\/dist\/engine\/.+\.(js|d\.ts|sql)$/.test(it));
  expect(strangers.sort()).toEqual([
    "./CHANGELOG.md",
    "./LICENSE",
    "./README.md",
    "./package.json",
  ]);
  expect(files.filter((it) => it.includes(".test."))).toEqual([]);
});

test("the types hold in a strict program, those of the library checked too", async () => {
  const options = {
    target: "ES2024",
    lib: ["ES2024"],
    module: "nodenext",
    types: ["node"],
    strict: true,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    skipLibCheck: false,
    allowImportingTsExtensions: true,
    noEmit: true,
  };
  for (const name of ["in-memory.ts", "crashes.ts", "client.ts"]) {
    writeFileSync(join(counter, name), program(name).text);
  }
  // The types of pg are count.ts's own affair: the library must not ask for them.
  const project = { compilerOptions: options, exclude: ["count.ts"] };
  writeFileSync(join(counter, "tsconfig.json"), JSON.stringify(project));
  const types = join(counter, "node_modules", "@types");
  rmSync(join(types, "node"), { recursive: true, force: true });
  mkdirSync(types, { recursive: true });
  symlinkSync(join(root, "node_modules", "@types", "node"), join(types, "node"));
  const compiler = require.resolve("typescript/bin/tsc");
  expect(await run(`node ${compiler} -p .`)).toBe("");
}, 120_000);

test("the example's own tests pass there, without a broker", async () => {
  const output = await run(step("test"));
  expect(output).toMatch(/pass 6\n[^]*fail 0\n/);
});

/** A program of `docs/library.md` by its name, and what it prints there. */
function program(name: string): { readonly text: string; readonly prints: string } {
  const page = readFileSync(join(root, "docs", "library.md"), "utf8");
  const block = "\\s*```ts\\n([^]*?)```\\s*```text\\n([^]*?)```";
  const [, text, prints] = new RegExp(`<!-- run as ${name} -->${block}`).exec(page) ?? [];
  if (text === undefined || prints === undefined) throw new Error(`docs/library.md has no ${name}`);
  return { text, prints };
}

async function expectToPrint(name: string, settings = ""): Promise<void> {
  const { text, prints } = program(name);
  writeFileSync(join(counter, name), text);
  expect(await run(`${settings}\nnode ${name}`)).toBe(prints);
}

test("docs/library.md runs the application in memory, and it prints what the page says", async () => {
  await expectToPrint("in-memory.ts");
});

test("docs/library.md kills the application everywhere, and finds what the page says", async () => {
  await expectToPrint("crashes.ts");
});

test("the example prepares what it needs, answers a command and shows the row", async () => {
  const start = spawn("sh", ["-c", step("start")], {
    cwd: counter,
    env: environment(),
    detached: true, // A group of its own, as a terminal gives it, for Ctrl-C.
    stdio: ["ignore", "pipe", "pipe"],
  });
  children.push(start);
  const output = collected(start);
  const port = await until("the workers to have started", () => {
    if (start.exitCode !== null) throw new Error(`npm start ended:\n${output.text}`);
    return /"port":(\d+).*"msg":"started"/.exec(output.text)?.[1] ?? null;
  });
  await until("the workers to be ready", async () => {
    const answer = await fetch(`http://127.0.0.1:${port}/readyz`);
    return answer.ok;
  });
  expect(output.text).toContain("created topic example.counter.events");
  expect(output.text).toContain("created role projector_counts");

  const [send = "", count = ""] = step("use").split("\n");
  const settings = ". ../foldlog/.foldlog/env";
  expect(await run(`${settings}\n${send}`)).toBe("accepted, version 1\n");
  await until("the row", async () => (await run(`${settings}\n${count}`)) === "5, version 1\n");

  await expectToPrint("client.ts", settings);

  await stop(start);
  expect(output.text).toContain('"msg":"stopped"');
}, 120_000);

/** What a person's shell has, and where npm finds its registry and its cache. */
function environment(): Readonly<Record<string, string>> {
  const kept = /^(HOME|LANG|npm_config_(registry|cache|userconfig|globalconfig|offline))$/;
  const pairs = Object.entries(process.env).flatMap(([name, value]) =>
    kept.test(name) && value !== undefined ? [[name, value] as const] : [],
  );
  // The Node that runs this test, before the machine's own.
  const path = `${dirname(process.execPath)}:${process.env["PATH"] ?? ""}`;
  return { ...Object.fromEntries(pairs), PATH: path };
}

/** Runs a command line in a shell; resolves to what it wrote to its standard output. */
async function run(commands: string, cwd = counter): Promise<string> {
  const child = spawn("sh", ["-ec", commands], {
    cwd,
    env: environment(),
    stdio: ["ignore", "pipe", "pipe"],
  });
  const output = collected(child);
  await once(child, "close");
  if (child.exitCode === 0) return output.standard;
  throw new Error(`${commands}\nended with ${String(child.exitCode)}:\n${output.text}`);
}

interface Output {
  standard: string;
  /** Both streams. */
  text: string;
}

function collected(child: ChildProcess): Output {
  const output = { standard: "", text: "" };
  child.stdout?.setEncoding("utf8").on("data", (text: string) => {
    output.standard += text;
    output.text += text;
  });
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    output.text += text;
  });
  return output;
}

/** Ctrl-C: every process of its group gets it; resolves when the last has closed the output. */
async function stop(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.stdout?.readableEnded === true) return;
  const closed = once(child, "close");
  try {
    process.kill(-child.pid, "SIGINT");
  } catch {
    return; // The whole group is gone.
  }
  await closed;
}
