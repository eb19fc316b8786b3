import { once } from "node:events";
import type { Folder } from "./folder.ts";
import { killRunning } from "./running.ts";

/** Somebody asked for a stop. */
export class StopRequest extends Error {
  override readonly name = "StopRequest";
  readonly by: NodeJS.Signals;
  constructor(by: NodeJS.Signals) {
    super(`Stopped by ${by}`);
    this.by = by;
  }
}

/** Why and whether a run is to end: the first reason holds. */
export interface Stop {
  /** Aborts with the reason. */
  readonly signal: AbortSignal;
  begin(reason: unknown): void;
  /** Comes back when a reason is there. */
  requested(): Promise<void>;
}

/** npm passes on the Ctrl-C that the terminal has sent here already: both are one. */
const sameKeyMs = 500;

/** The first Ctrl-C or SIGTERM asks for a stop in good order; a second one kills everything at once. */
export function stopOnSignals(folder: Folder, onRequest: () => void): Stop {
  const controller = new AbortController();
  const { signal } = controller;
  let firstMs: number | undefined;
  const onSignal = (by: NodeJS.Signals) => {
    if (firstMs === undefined) {
      firstMs = Date.now();
      onRequest();
      controller.abort(new StopRequest(by));
    } else if (Date.now() - firstMs > sameKeyMs) {
      killRunning(folder.run);
      process.exit(130);
    }
  };
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(name, onSignal);
  return {
    signal,
    begin(reason) {
      if (!signal.aborted) controller.abort(reason);
    },
    async requested() {
      if (!signal.aborted) await once(signal, "abort");
    },
  };
}
