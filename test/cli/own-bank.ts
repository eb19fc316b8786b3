import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { silentChecklist } from "../../ops/stack/checklist.ts";
import { writeEnvFile } from "../../ops/stack/env-file.ts";
import { folderAt, openFolder } from "../../ops/stack/folder.ts";
import { ensureParts } from "../../ops/stack/parts.ts";
import { folderSetting } from "../../ops/stack/settings.ts";
import { chooseFreePorts, type Stack, startStack } from "../../ops/stack/stack.ts";

/**
 * A bank for the command line alone: on the stack of the test run other suites kill the workers of the bank,
 * and count its partitions.
 */
export interface OwnBank {
  readonly dir: string;
  readonly stack: Stack;
  /** Runs a command to its end. */
  foldlog(args: readonly string[], more?: Call): Promise<Finished>;
  /** Starts a command that goes on. */
  start(args: readonly string[], more?: Call): Running;
  close(): Promise<void>;
}

export interface Call {
  readonly input?: string | Buffer;
  readonly env?: Readonly<Record<string, string>>;
}

export interface Finished {
  /** `null` where a signal ended it. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Running {
  readonly child: ChildProcess;
  /** What it has written so far. */
  readonly output: () => { readonly stdout: string; readonly stderr: string };
  readonly finished: Promise<Finished>;
}

const root = fileURLToPath(new URL("../../", import.meta.url));
const program = join(root, "ops/cli.ts");
const guardianFile = join(root, "ops/stack/guardian.ts");

/** Starts a broker, a registry and a Postgres, empty; a guardian clears up behind a run that is killed. */
export async function openOwnBank(): Promise<OwnBank> {
  const base = folderAt(folderSetting(process.env));
  const folder = openFolder(join(base.dir, `test-cli-${process.pid}`));
  const guardian = spawn(process.execPath, [guardianFile, folder.dir], {
    detached: true,
    stdio: ["pipe", "ignore", "inherit"],
  });
  const { signal } = new AbortController();
  const options = { partsDir: base.parts, checklist: silentChecklist, signal, env: process.env };
  const parts = await ensureParts(folder, options);
  const ports = await chooseFreePorts();
  const keeps = "passing";
  const roles = ["foldlog_reader"];
  const stack = await startStack({ folder, parts, ports, keeps, roles, ...options });
  // As `npm start` does it: the commands find their settings here.
  writeEnvFile(folder.env, {
    KAFKA_BROKERS: stack.brokers,
    SCHEMA_REGISTRY_URL: stack.registryUrl,
    FOLDLOG_REPLICATION_FACTOR: "1",
    SCHEMA_IDS_FILE: folder.schemaIds,
    DATABASE_URL: stack.databaseUrl("foldlog_owner"),
    DATABASE_READ_URL: stack.databaseUrl("foldlog_reader"),
  });

  const started = new Set<ChildProcess>();
  const start = (args: readonly string[], { input = "", env = {} }: Call = {}): Running => {
    const running = startCommand(args, { input, env: { FOLDLOG_DIR: folder.dir, ...env } });
    started.add(running.child);
    return running;
  };
  return {
    dir: folder.dir,
    stack,
    start,
    foldlog: (args, more) => start(args, more).finished,
    async close() {
      for (const child of started) child.kill("SIGKILL");
      const gone = once(guardian, "exit");
      guardian.stdin.end();
      await gone;
    },
  };
}

function startCommand(args: readonly string[], { input, env }: Required<Call>): Running {
  const child = spawn(process.execPath, [program, ...args], {
    env: { PATH: process.env["PATH"], ...env },
    stdio: ["pipe", "pipe", "pipe"],
  });
  let [stdout, stderr] = ["", ""];
  child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  child.stdin.on("error", () => undefined); // It ended without reading all.
  child.stdin.end(input);
  return {
    child,
    output: () => ({ stdout, stderr }),
    finished: once(child, "close").then(([code]) => ({
      code: code as number | null,
      stdout,
      stderr,
    })),
  };
}

/** Each line of the output as JSON. */
export function jsonLines({ stdout }: Pick<Finished, "stdout">): Record<string, unknown>[] {
  const lines = stdout.split("\n").filter((line) => line !== "");
  return lines.map((line) => JSON.parse(line) as Record<string, unknown>);
}
