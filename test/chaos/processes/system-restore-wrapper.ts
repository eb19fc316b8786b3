import * as real from "../../../engine/commands/restore.ts";
import type { Restore } from "../../../engine/commands/restore-reads.ts";
import { comeTo } from "./system-failpoint.ts";

/** `engine/commands/restore.ts`, with the failpoint `after:restore`. */
export * from "../../../engine/commands/restore.ts";

export async function restore<S>(run: Restore<S>, signal: AbortSignal): Promise<real.Restored<S>> {
  const restored = await real.restore(run, signal);
  comeTo("after:restore");
  return restored;
}
