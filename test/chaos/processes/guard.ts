import { spawn } from "node:child_process";
import { once } from "node:events";
import { Socket } from "node:net";
import { fileURLToPath } from "node:url";

const guardianFile = fileURLToPath(new URL("guardian.ts", import.meta.url));

/** Watches over what a run takes from the system. */
export interface Guardian {
  /** Comes back when all of it is removed. */
  release(): Promise<void>;
}

/** Starts the guardian of a run: it removes what has the run's name when this process ends, however it ends. */
export function guard(runName: string): Guardian {
  const guardian = spawn(process.execPath, [guardianFile, runName], {
    detached: true, // A Ctrl-C in the terminal must not reach it.
    stdio: ["pipe", "ignore", "inherit"],
  });
  guardian.unref();
  if (guardian.stdin instanceof Socket) guardian.stdin.unref();
  let released: Promise<unknown> | undefined;
  return {
    async release() {
      guardian.ref();
      released ??= once(guardian, "exit");
      guardian.stdin.end();
      await released;
    },
  };
}
