import * as real from "../../../engine/commands/restore.ts";
import { comeTo } from "./system-failpoint.ts";

/** `engine/commands/restore.ts`, with the failpoint `after:restore`. */
export * from "../../../engine/commands/restore.ts";

export async function restore<S>(run: real.Restore<S>, signal: AbortSignal): Promise<bigint> {
  const resume = await real.restore(run, signal);
  comeTo("after:restore");
  return resume;
}
