/**
 * `node dist/ops/compose/set-up.js`: brings tables, topics and schemas to what this version says, by the same
 * commands that a person would use. Doing it again changes nothing. Exits with the code of what failed.
 */
import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const secretsDir = "/run/foldlog";
const patienceMs = 30_000;
const pauseMs = 1_000;

const cli = fileURLToPath(import.meta.resolve("../cli.js"));

process.exitCode = await main();

async function main(): Promise<number> {
  for (const args of [["migrate"], ["topics", "apply", "--yes"], ["schemas", "register"]]) {
    const code = await patiently(args);
    if (code !== 0) return code;
  }
  return 0;
}

async function patiently(args: readonly string[]): Promise<number> {
  const deadline = Date.now() + patienceMs;
  for (;;) {
    const { status, stdout, stderr } = spawnSync(process.execPath, [cli, ...args], {
      encoding: "utf8",
      env: { ...process.env, ...rolePasswords() },
    });
    const code = status ?? 1;
    if (!mayPass(args, code) || Date.now() > deadline) {
      process.stdout.write(`foldlog ${args.join(" ")}\n${stdout}`);
      process.stderr.write(stderr);
      return code;
    }
    await setTimeout(pauseMs);
  }
}

/**
 * Something is away (5); or a topic could not be made (1) with more replicas than there are brokers: of three
 * the last may register a little after its port is open.
 */
function mayPass([verb]: readonly string[], code: number): boolean {
  return code === 5 || (verb === "topics" && code === 1);
}

/** One variable a file, as `foldlog migrate` wants them. */
function rolePasswords(): Readonly<Record<string, string>> {
  const files = readdirSync(secretsDir).filter((name) => name.endsWith(".password"));
  return Object.fromEntries(
    files.map((name) => {
      const role = name.slice(0, -".password".length).toUpperCase();
      return [`FOLDLOG_ROLE_PASSWORD_${role}_FILE`, join(secretsDir, name)];
    }),
  );
}
