import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import type { Folder } from "./folder.ts";
import { isRunning, ownProcess, type ProcessId } from "./process-id.ts";
import { SetupError } from "./setup-error.ts";

/** Who has a folder, and since when. */
export interface Holder extends ProcessId {
  /** What it does there, for people: "npm start". */
  readonly doing: string;
  readonly since: string;
}

/**
 * Takes the folder for this process, and gives the function that lets go of it. A holder that was killed
 * has let go.
 * @throws SetupError that says who has it
 */
export function takeLock(folder: Folder, doing: string): () => void {
  const own: Holder = { ...ownProcess(), doing, since: new Date().toISOString() };
  const draft = `${folder.lock}.${process.pid}`;
  writeFileSync(draft, JSON.stringify(own));
  try {
    while (!linked(draft, folder.lock)) {
      const holder = lockHolder(folder);
      if (holder !== undefined) throw held(folder, holder);
      breakLock(folder);
    }
  } finally {
    rmSync(draft, { force: true });
  }
  return () => {
    if (lockHolder(folder)?.pid === process.pid) rmSync(folder.lock, { force: true });
  };
}

/** The process that has the folder; undefined where nobody does. */
export function lockHolder(folder: Folder): Holder | undefined {
  const holder = readHolder(folder.lock);
  return holder !== undefined && isRunning(holder) ? holder : undefined;
}

/** A link is made whole or not at all, unlike a file that is created and then written. */
function linked(draft: string, lock: string): boolean {
  try {
    linkSync(draft, lock);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
}

/**
 * Takes away the lock of a process that has ended. Another starter may do the same in this moment, and have
 * its own lock in place already: what was taken away is looked at again, and put back if its holder lives.
 */
export function breakLock(folder: Folder): void {
  const broken = `${folder.lock}.broken-${process.pid}`;
  try {
    renameSync(folder.lock, broken);
  } catch {
    return; // The other one was quicker.
  }
  const holder = readHolder(broken);
  if (holder !== undefined && isRunning(holder)) linked(broken, folder.lock);
  rmSync(broken, { force: true });
}

function readHolder(file: string): Holder | undefined {
  try {
    return JSON.parse(readFileSync(file, "utf8")) as Holder;
  } catch {
    return undefined;
  }
}

function held(folder: Folder, { doing, pid, since }: Holder): SetupError {
  return new SetupError(
    `The folder ${folder.dir} is in use by \`${doing}\` (pid ${pid}, since ${since}).`,
    {
      next:
        `Stop that one first (Ctrl-C where it runs, or \`kill ${pid}\`), or set FOLDLOG_DIR to another ` +
        "folder, and other ports, to run a second stack.",
    },
  );
}
