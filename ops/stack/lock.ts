import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { type Claim, claimFile } from "../../engine/commands/sqlite-store.ts";
import type { Folder } from "./folder.ts";
import { isRunning, ownProcess, type ProcessId } from "./process-id.ts";
import { SetupError } from "./setup-error.ts";

/** Who has a folder, and since when. */
export interface Holder extends ProcessId {
  /** What it does there, for people: "npm start". */
  readonly doing: string;
  readonly since: string;
}

/** A process that was killed is gone a moment before the kernel has let go of all that it had. */
const withinMs = 5_000;
/** What this process has; a claim that nobody refers to is given up. */
const claims = new Set<Claim>();

/**
 * Takes the folder for this process, and gives the function that lets go of it. The lock is the kernel's, so that a
 * holder that was killed has let go; who has it stands in a file beside it.
 * @throws SetupError that says who has it
 */
export function takeLock(folder: Folder, doing: string): () => void {
  const claimed = (ms: number) => claimFile(folder.claim, () => "foldlog", ms);
  const claim = claimed(0) ?? (lockHolder(folder) === undefined ? claimed(withinMs) : null);
  if (claim === null) throw held(folder, lockHolder(folder));
  claims.add(claim);
  const own: Holder = { ...ownProcess(), doing, since: new Date().toISOString() };
  writeFileSync(folder.lock, JSON.stringify(own));
  return () => {
    if (!claims.delete(claim)) return;
    rmSync(folder.lock, { force: true });
    claim.release();
  };
}

/** The process that has the folder, as it says itself; undefined where nobody does. */
export function lockHolder(folder: Folder): Holder | undefined {
  try {
    const holder = JSON.parse(readFileSync(folder.lock, "utf8")) as Holder;
    return isRunning(holder) ? holder : undefined;
  } catch {
    return undefined;
  }
}

function held({ dir }: Folder, holder: Holder | undefined): SetupError {
  const { doing, pid, since } = holder ?? {};
  const by = doing === undefined ? "another process" : `\`${doing}\` (pid ${pid}, since ${since})`;
  const kill = pid === undefined ? "" : `, or \`kill ${pid}\``;
  return new SetupError(`The folder ${dir} is in use by ${by}.`, {
    next:
      `Stop that one first (Ctrl-C where it runs${kill}), or set FOLDLOG_DIR to another ` +
      "folder, and other ports, to run a second stack.",
  });
}
