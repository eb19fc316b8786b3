import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Failpoint } from "../plan.ts";

/** Death at a point of a worker's own code: told by a file among its local stores, which whoever comes there reads. */

/** The points of a worker's own code; all others are seen by its proxies. */
export const innerPoints: readonly Failpoint[] = ["before:store", "after:store", "after:restore"];

interface Armed {
  readonly point: Failpoint;
  readonly times: number;
}

const fileIn = (stateDir: string) => join(stateDir, "failpoint.json");

/** The next process of the worker that keeps its stores here dies at this point, `times` times in all. */
export function arm(stateDir: string, armed: Armed): void {
  writeFileSync(fileIn(stateDir), JSON.stringify(armed));
}

/** Tells how many deaths were still to come. */
export function disarm(stateDir: string): number {
  const left = armedIn(stateDir)?.times ?? 0;
  rmSync(fileIn(stateDir), { force: true });
  return left;
}

let watched: string | null = null;

/** Called by a worker: this is where its stores are. */
export function watchFailpoints(stateDir: string): void {
  watched = stateDir;
}

/** Called by a worker that has come to a point: does not return where it is to die there. */
export function comeTo(point: Failpoint): void {
  if (watched === null) return;
  const armed = armedIn(watched);
  if (armed === null || armed.point !== point || armed.times < 1) return;
  arm(watched, { point, times: armed.times - 1 });
  process.kill(process.pid, "SIGKILL");
}

function armedIn(stateDir: string): Armed | null {
  try {
    return JSON.parse(readFileSync(fileIn(stateDir), "utf8")) as Armed;
  } catch {
    return null; // Nothing is armed, as nearly always.
  }
}
