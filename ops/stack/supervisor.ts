import { type Backoff, delayMs } from "../../engine/backoff.ts";
import { systemClock } from "../../engine/clock.ts";
import { type Child, type ChildSpec, type Exit, lastLines, startChild } from "./child.ts";
import type { Folder } from "./folder.ts";

/** Between two starts of a process that keeps ending: quick at first, then bearable to watch. */
const restartBackoff: Backoff = { firstMs: 1_000, factor: 2, maxMs: 30_000 };
/** One that ran for this long did well: its next end counts as the first. */
const steadyMs = 60_000;

export interface Supervision {
  /** How to start it the next time. */
  readonly next: () => ChildSpec;
  /** Ends that are no failure: the process is started again without a word. */
  readonly isExpected: (exit: Exit) => boolean;
  /** Told of every other end. */
  readonly report: (text: string) => void;
}

/**
 * Keeps a process running until `signal` aborts: each time it ends it is started again, after a pause that
 * grows up to half a minute. Begins with `child` where it runs already. Does not stop the last one.
 */
export async function keepRunning(
  folder: Folder,
  { next, isExpected, report }: Supervision,
  signal: AbortSignal,
  first?: Child,
): Promise<void> {
  const isOver = () => signal.aborted;
  let failures = 0;
  let child = first;
  while (!isOver()) {
    child ??= await startChild(folder, next());
    const startedMs = Date.now();
    const exit = await child.ended;
    if (isOver()) return;

    failures = Date.now() - startedMs > steadyMs ? 1 : failures + 1;
    const pauseMs = delayMs(restartBackoff, failures - 1, Math.random);
    if (!isExpected(exit)) report(obituary(child, exit, pauseMs));
    child = undefined;
    await systemClock.sleep(pauseMs, signal);
  }
}

function obituary(child: Child, { how }: Exit, pauseMs: number): string {
  const seconds = (pauseMs / 1000).toFixed(1);
  return [
    `${child.name} ended (${how}) and is started again in ${seconds} s. Its last lines:`,
    ...lastLines(child.output()).map((line) => `  | ${line}`),
    `  The whole log: ${child.logFile}`,
  ].join("\n");
}
