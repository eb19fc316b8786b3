import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import {
  closeSync,
  existsSync,
  fstatSync,
  openSync,
  readSync,
  renameSync,
  statSync,
} from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { Folder } from "./folder.ts";
import { processWith } from "./process-id.ts";
import { forgetRunning, recordRunning, type Running, type Stage } from "./running.ts";
import { SetupError } from "./setup-error.ts";

export interface ChildSpec {
  /** Names the pid file and the log. */
  readonly name: string;
  readonly stage: Stage;
  readonly command: string;
  /** Seen by everybody on the machine: never a secret. */
  readonly args: readonly string[];
  /** The whole environment of the child. */
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  /** Written to its standard input, which is then closed. */
  readonly input?: string;
  readonly stopSignal?: NodeJS.Signals;
}

export interface Child {
  readonly name: string;
  readonly pid: number;
  readonly logFile: string;
  /** The end of what this process wrote to its log; earlier ones with its name wrote before it. */
  output(): string;
  /** Settles when it has ended, with its exit code or signal in words; never rejects. */
  readonly ended: Promise<Exit>;
}

export interface Exit {
  readonly code: number | null;
  /** For people: "exit code 1", "signal SIGKILL". */
  readonly how: string;
}

const secondMs = 1_000;

/**
 * Starts a process in a group of its own, so that a Ctrl-C in the terminal reaches the starter alone, which
 * stops all in order. Its output goes straight to a file: it can outlive the starter without a broken pipe.
 * @throws SetupError where the program cannot be started
 */
export async function startChild(folder: Folder, spec: ChildSpec): Promise<Child> {
  const logFile = join(folder.logs, `${spec.name}.log`);
  const log = openSync(logFile, "a", 0o600);
  const logStart = statSync(logFile).size;
  const process = spawn(spec.command, spec.args, {
    cwd: spec.cwd,
    env: spec.env,
    detached: true,
    stdio: [spec.input === undefined ? "ignore" : "pipe", log, log],
  });
  closeSync(log);
  const running = process.pid === undefined ? undefined : runningAs(process.pid, spec);
  if (running !== undefined) recordRunning(folder.run, running);
  const pid = await pidOf(process, spec);

  process.stdin?.on("error", () => undefined); // It ended without reading: its exit code tells why.
  process.stdin?.end(spec.input);
  return {
    name: spec.name,
    pid,
    logFile,
    output: () => endOf(logFile, logStart),
    ended: new Promise((resolve) => {
      const done = (code: number | null, signal: NodeJS.Signals | null) => {
        if (running !== undefined) forgetRunning(folder.run, running);
        resolve({ code, how: signal === null ? `exit code ${String(code)}` : `signal ${signal}` });
      };
      if (process.exitCode !== null || process.signalCode !== null) {
        done(process.exitCode, process.signalCode);
      } else process.once("exit", done);
    }),
  };
}

/**
 * Runs a program to its end and gives what it wrote. An aborted `signal` ends the wait, not the program:
 * it stays on record, and `endRunning` ends it with the others.
 * @throws SetupError with the last lines of its output where it fails
 */
export async function runToEnd(
  folder: Folder,
  spec: ChildSpec,
  failure: { readonly message: string; readonly next?: string },
  signal: AbortSignal,
): Promise<string> {
  const child = await startChild(folder, spec);
  const { code, how } = await endedOrAborted(child, signal);
  if (code === 0) return child.output();
  throw new SetupError(`${failure.message} (${how}).`, {
    next: [failure.next ?? [], `The whole log: ${child.logFile}`].flat().join("\n"),
    evidence: lastLines(child.output()),
  });
}

/**
 * Waits until `isReady`, asked again every few milliseconds.
 * @throws SetupError where the child ends first, or is not ready in time
 */
export async function waitUntilReady(
  child: Child,
  isReady: () => Promise<boolean> | boolean,
  options: { readonly label: string; readonly withinMs: number; readonly signal: AbortSignal },
): Promise<void> {
  const { label, withinMs, signal } = options;
  const deadline = Date.now() + withinMs;
  let exit: Exit | undefined;
  void child.ended.then((how) => (exit = how));
  while (!(await isReady())) {
    signal.throwIfAborted();
    if (exit !== undefined || Date.now() > deadline) {
      const seconds = Math.round(withinMs / secondMs);
      const what = exit === undefined ? `is not ready after ${seconds} s` : `ended (${exit.how})`;
      throw new SetupError(`${label} ${what}. Its last lines:`, {
        next: `The whole log: ${child.logFile}`,
        evidence: lastLines(child.output()),
      });
    }
    await delay(25);
  }
}

const outputBytes = 256 * 1024;

function endOf(logFile: string, logStart: number): string {
  const log = openSync(logFile, "r");
  try {
    const from = Math.max(logStart, fstatSync(log).size - outputBytes);
    const end = Buffer.alloc(outputBytes);
    return end.toString("utf8", 0, readSync(log, end, 0, outputBytes, from));
  } finally {
    closeSync(log);
  }
}

/** The last lines of a log, cut where they are very long. */
export function lastLines(output: string, count = 12): readonly string[] {
  const lines = output.trimEnd().split("\n").slice(-count);
  return lines.map((line) => (line.length > 300 ? `${line.slice(0, 300)}…` : line));
}

/** Keeps the log of the run before, and begins a new one. */
export function rotateLogs(folder: Folder, names: readonly string[]): void {
  for (const name of names) {
    const file = join(folder.logs, `${name}.log`);
    if (existsSync(file)) renameSync(file, join(folder.logs, `${name}.previous.log`));
  }
}

/** Nothing of the user's environment that could change how a program of ours runs. */
export function plainEnvironment(env: NodeJS.ProcessEnv): Record<string, string> {
  const kept = ["PATH", "HOME", "USER", "LANG", "TERM", "http_proxy", "https_proxy", "no_proxy"];
  const pairs = kept.flatMap((name) =>
    env[name] === undefined ? [] : [[name, env[name]] as const],
  );
  return Object.fromEntries(pairs);
}

function runningAs(pid: number, spec: ChildSpec): Running {
  return {
    pid,
    // It may have ended already: then no start is known, and nothing will ever match.
    startedAt: processWith(pid)?.startedAt ?? "ended",
    name: spec.name,
    stage: spec.stage,
    stopSignal: spec.stopSignal ?? "SIGTERM",
  };
}

async function pidOf(process: ChildProcess, spec: ChildSpec): Promise<number> {
  if (process.pid !== undefined) return process.pid;
  const [reason] = (await once(process, "error")) as [Error];
  throw new SetupError(`${spec.command} cannot be started: ${reason.message}`, {
    next: "Check that it is there and may be run by you.",
    cause: reason,
  });
}

async function endedOrAborted(child: Child, signal: AbortSignal): Promise<Exit> {
  signal.throwIfAborted();
  const settled = new AbortController();
  try {
    return await Promise.race([child.ended, abortOf(signal, settled.signal)]);
  } finally {
    settled.abort();
  }
}

async function abortOf(signal: AbortSignal, settled: AbortSignal): Promise<never> {
  await once(signal, "abort", { signal: settled });
  throw signal.reason as Error;
}
