import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { mutantVariable, noteVariable } from "./chosen.ts";
import type { Killer, Mutant } from "./mutant.ts";

/** Runs what is to kill a mutant, in a process of its own, and says what came of it. */

/** What a killer's process came to. */
export interface Killing {
  readonly end: "passed" | "failed" | "late";
  /** The first test that failed, or the seed; `null` where nothing says it. */
  readonly finding: string | null;
  /** Whether the mutant's file was loaded. */
  readonly isUsed: boolean;
  readonly tookMs: number;
  /** The last that it printed. */
  readonly said: string;
}

export interface KillingOptions {
  /** `null`: the engine as it is. */
  readonly mutant: Mutant | null;
  readonly deadlineMs: number;
}

const root = join(import.meta.dirname, "../..");
const hook = pathToFileURL(join(import.meta.dirname, "hook.ts")).href;
const maxSaidChars = 4_000;

export async function kill(
  killer: Killer,
  { mutant, deadlineMs }: KillingOptions,
  signal: AbortSignal,
): Promise<Killing> {
  const folder = mkdtempSync(join(tmpdir(), "foldlog-mutant-"));
  const [note, report] = [join(folder, "note"), join(folder, "report.json")];
  const env: NodeJS.ProcessEnv = { ...process.env, [noteVariable]: note };
  if (mutant !== null) env[mutantVariable] = mutant.name;
  if (killer.by === "simulation") env["NODE_OPTIONS"] = `--import=${hook}`;
  const since = performance.now();
  try {
    const { code, said } = await runWithin(
      argumentsOf(killer, report),
      { env, deadlineMs },
      signal,
    );
    return {
      end: code === null ? "late" : code === 0 ? "passed" : "failed",
      finding: killer.by === "simulation" ? seedIn(said) : failedTestIn(report),
      isUsed: existsSync(note),
      tookMs: performance.now() - since,
      said: said.slice(-maxSaidChars),
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Killers of one name are one and the same, and pass or fail alike without a mutant. */
export function nameOf(killer: Killer): string {
  return killer.by === "simulation"
    ? `simulation of ${killer.seeds} seeds from ${killer.from} on`
    : killer.file;
}

function argumentsOf(killer: Killer, report: string): readonly string[] {
  if (killer.by === "simulation") {
    const seeds = ["--from", String(killer.from), "--seeds", String(killer.seeds)];
    return ["test/simulation/main.ts", ...seeds, "--first", "--jobs", "1"];
  }
  const project = killer.by === "unit" ? "unit" : "integration";
  return [
    ...["node_modules/vitest/vitest.mjs", "run", killer.file, "--project", project],
    ...[
      "--config",
      "test/mutants/vitest.config.ts",
      "--bail=1",
      "--maxWorkers=1",
      "--teardownTimeout=1000",
    ],
    ...["--reporter=json", `--outputFile=${report}`],
  ];
}

interface Ended {
  /** `null` where it was killed at its deadline. */
  readonly code: number | null;
  readonly said: string;
}

/** Node with these arguments, in a process group of its own: what it starts dies with it. */
async function runWithin(
  args: readonly string[],
  { env, deadlineMs }: { readonly env: NodeJS.ProcessEnv; readonly deadlineMs: number },
  signal: AbortSignal,
): Promise<Ended> {
  const child = spawn(process.execPath, args, {
    cwd: root,
    env,
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
  });
  let said = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      said = (said + text).slice(-4 * maxSaidChars);
    });
  }
  const late = AbortSignal.timeout(deadlineMs);
  const end = () => {
    endGroup(child.pid);
  };
  late.addEventListener("abort", end);
  signal.addEventListener("abort", end);
  if (signal.aborted) end();
  const code = await new Promise<number>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (exitCode) => {
      resolve(exitCode ?? 1);
    });
  });
  late.removeEventListener("abort", end);
  signal.removeEventListener("abort", end);
  signal.throwIfAborted();
  endGroup(child.pid); // A worker that hangs outlives the one that started it.
  return { code: late.aborted ? null : code, said };
}

function endGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, "SIGKILL");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error; // Gone already.
  }
}

interface Report {
  readonly testResults: readonly {
    readonly assertionResults: readonly { readonly status: string; readonly fullName: string }[];
  }[];
}

function failedTestIn(file: string): string | null {
  if (!existsSync(file)) return null;
  const { testResults } = JSON.parse(readFileSync(file, "utf8")) as Report;
  const all = testResults.flatMap(({ assertionResults }) => assertionResults);
  return all.find(({ status }) => status === "failed")?.fullName ?? null;
}

/** The first seed that fails, with what it says. */
function seedIn(said: string): string | null {
  return /^SEED=\d+ .*$/m.exec(said)?.[0] ?? null;
}
