import { readdirSync, rmdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Folder } from "./folder.ts";
import { endRunning } from "./running.ts";

/** What a reset takes away: "data" leaves the downloaded parts, "all" leaves nothing. */
export type Extent = "data" | "all";

/** The paths of this folder that a reset would remove, those that are there. */
export function dueForWipe(folder: Folder, extent: Extent): readonly string[] {
  const { data, state, logs, run, passwords, env, schemaIds, parts, dir } = folder;
  const downloads = extent === "all" ? [parts] : [];
  const due = [data, state, logs, run, passwords, env, schemaIds, ...downloads];
  const there = new Set(readdirSync(dir).map((name) => join(dir, name)));
  return due.filter((path) => there.has(path));
}

/**
 * Removes them, and only them: by name, so that a folder set by mistake loses nothing else. Ends first what
 * a killed starter left running there. The caller holds the folder's lock.
 */
export async function wipe(folder: Folder, extent: Extent): Promise<void> {
  await endRunning(folder.run, 14_000);
  for (const path of dueForWipe(folder, extent)) {
    rmSync(path, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** Removes the folder itself where nothing is left in it but its mark and its lock, which the caller holds. */
export function removeIfEmpty({ dir, lock, claim }: Folder): void {
  const own = [join(dir, "foldlog.json"), lock, claim, `${claim}-journal`];
  const left = readdirSync(dir).map((name) => join(dir, name));
  if (left.some((path) => !own.includes(path))) return;
  for (const path of left) rmSync(path);
  rmdirSync(dir);
}
