import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { isRunning, type ProcessId } from "./process-id.ts";

/** What a stack runs, in the order in which it starts; it is ended in the opposite order. */
export const stages = ["postgres", "kafka", "registry", "worker"] as const;
export type Stage = (typeof stages)[number];

/**
 * A process of ours as its pid file tells of it. The file outlives a starter that was killed, so that the
 * next one finds what was left behind; the start in it keeps a stranger with the same pid from harm.
 */
export interface Running extends ProcessId {
  readonly name: string;
  readonly stage: Stage;
  readonly stopSignal: NodeJS.Signals;
}

export interface Ended {
  readonly name: string;
  readonly how: "stopped" | "killed";
}

/** Each later stage keeps this much of the time, however long the earlier ones take. */
const reserveMs = 1_000;

export function recordRunning(runDir: string, running: Running): void {
  mkdirSync(runDir, { recursive: true });
  const file = pidFile(runDir, running.name);
  writeFileSync(`${file}.new`, JSON.stringify(running));
  renameSync(`${file}.new`, file);
}

export function forgetRunning(runDir: string, { name, pid }: Running): void {
  if (recorded(runDir).some((other) => other.name === name && other.pid === pid)) {
    rmSync(pidFile(runDir, name), { force: true });
  }
}

/** The processes of this folder that still run. */
export function runningIn(runDir: string): readonly Running[] {
  return recorded(runDir).filter((process) => isRunning(process));
}

/**
 * Ends every process of this folder, ours or left behind by another starter: workers first, then the
 * registry, Kafka and Postgres. Asks each to stop, and kills what has not within its share of `budgetMs`.
 */
export async function endRunning(runDir: string, budgetMs: number): Promise<readonly Ended[]> {
  const deadline = Date.now() + budgetMs;
  const ended: Ended[] = [];
  for (const stage of stages.toReversed()) {
    const due = runningIn(runDir).filter((process) => process.stage === stage);
    const graceMs = graceOf(stage, deadline - Date.now());
    ended.push(...(await Promise.all(due.map((process) => end(process, graceMs)))));
  }
  for (const process of recorded(runDir)) if (!isRunning(process)) forgetRunning(runDir, process);
  return ended;
}

/** Kills every process of this folder, without a chance to drain. */
export function killRunning(runDir: string): readonly Ended[] {
  return runningIn(runDir).map((process) => {
    signalGroup(process, "SIGKILL");
    return { name: process.name, how: "killed" as const };
  });
}

/** How long a stage may take to stop when `leftMs` remain, in milliseconds. */
export function graceOf(stage: Stage, leftMs: number): number {
  return Math.max(0, leftMs - stages.indexOf(stage) * reserveMs);
}

async function end(process: Running, graceMs: number): Promise<Ended> {
  signalGroup(process, process.stopSignal);
  if (await endsWithin(process, graceMs)) return { name: process.name, how: "stopped" };
  signalGroup(process, "SIGKILL");
  await endsWithin(process, reserveMs);
  return { name: process.name, how: "killed" };
}

/** Whether it has ended, asked again until `ms` have passed. */
export async function endsWithin(process: ProcessId, ms: number): Promise<boolean> {
  const deadline = Date.now() + ms;
  while (isRunning(process)) {
    if (Date.now() >= deadline) return false;
    await delay(20);
  }
  return true;
}

/** Every child leads a process group of its own, so what it started goes with it. */
function signalGroup(running: Running, signal: NodeJS.Signals): void {
  if (!isRunning(running)) return;
  try {
    process.kill(-running.pid, signal);
  } catch {
    // It ended between the look and the signal.
  }
}

function recorded(runDir: string): readonly Running[] {
  return pidFiles(runDir).flatMap((file) => {
    try {
      return [JSON.parse(readFileSync(join(runDir, file), "utf8")) as Running];
    } catch {
      return []; // Forgotten by another starter in this moment.
    }
  });
}

function pidFiles(runDir: string): readonly string[] {
  try {
    return readdirSync(runDir).filter((file) => file.endsWith(".pid"));
  } catch {
    return []; // Nothing was ever started here.
  }
}

function pidFile(runDir: string, name: string): string {
  return join(runDir, `${name}.pid`);
}
