/**
 * `npm run check`: types, lint, format and unit tests, in under half a minute. One line each; the whole
 * output of what failed, and of nothing else.
 */
import { spawn } from "node:child_process";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { checklistOn } from "./stack/checklist.ts";

interface Check {
  readonly name: string;
  /** A program of node_modules/.bin with its arguments. */
  readonly command: readonly [string, ...string[]];
}

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const bin = join(root, "node_modules", ".bin");
const cache = "node_modules/.cache";

/** The longest first, so that two cores are done at about the same time. */
const checks: readonly Check[] = [
  {
    name: "Lint",
    command: ["eslint", ".", "--cache", "--cache-location", `${cache}/eslint`],
  },
  {
    name: "Unit tests",
    command: ["vitest", "run", "--project", "unit", "--reporter=dot"],
  },
  {
    name: "Types",
    command: [
      "tsc",
      "--noEmit",
      "--incremental",
      "--tsBuildInfoFile",
      `${cache}/check.tsbuildinfo`,
    ],
  },
  {
    name: "Format",
    command: ["prettier", ".", "--check", "--cache"],
  },
];
const sideBySide = 2;

process.exitCode = await main();

async function main(): Promise<number> {
  const checklist = checklistOn(process.stderr, process.env);
  const waiting = [...checks];
  const failures: string[] = [];
  const work = async () => {
    for (let check = waiting.shift(); check !== undefined; check = waiting.shift()) {
      const { name, command } = check;
      try {
        await checklist.step(name, async () => {
          const { passed, output } = await run(command);
          if (!passed) throw new Error(output);
        });
      } catch (error) {
        failures.push(`\n${name}: ${command.join(" ")}\n\n${(error as Error).message}`);
      }
    }
  };
  await Promise.all(Array.from({ length: sideBySide }, work));
  for (const failure of failures) process.stdout.write(failure);
  return failures.length === 0 ? 0 : 1;
}

function run([program, ...args]: Check["command"]): Promise<{ passed: boolean; output: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(join(bin, program), args, {
      cwd: root,
      env: { ...process.env, PATH: `${bin}:${process.env["PATH"] ?? ""}` },
      stdio: ["ignore", "pipe", "pipe"],
    });
    const output: Buffer[] = [];
    for (const stream of [child.stdout, child.stderr]) {
      stream.on("data", (data: Buffer) => output.push(data));
    }
    child.once("error", reject);
    child.once("close", (code) => {
      resolve({ passed: code === 0, output: Buffer.concat(output).toString("utf8") });
    });
  });
}
