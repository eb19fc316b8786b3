import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { SetupError } from "./setup-error.ts";

/** Where one stack keeps what it has. All paths are absolute. */
export interface Folder {
  readonly dir: string;
  /** Downloaded programs, kept by `npm run reset`. */
  readonly parts: string;
  readonly data: string;
  /** The workers' local stores. */
  readonly state: string;
  readonly logs: string;
  /** Pid files, generated configuration and temporary files; nothing in it outlives a stop. */
  readonly run: string;
  readonly passwords: string;
  readonly env: string;
  /** Which schema each id of the registry means. */
  readonly schemaIds: string;
  /** Who has the folder, for people. */
  readonly lock: string;
  /** What the kernel locks for that one. */
  readonly claim: string;
}

const marker = "foldlog.json";
const format = 1;

export function folderAt(path: string): Folder {
  const dir = resolve(path);
  return {
    dir,
    parts: join(dir, "parts"),
    data: join(dir, "data"),
    state: join(dir, "state"),
    logs: join(dir, "logs"),
    run: join(dir, "run"),
    passwords: join(dir, "passwords.json"),
    env: join(dir, "env"),
    schemaIds: join(dir, "schema-ids.json"),
    lock: join(dir, "lock"),
    claim: join(dir, "claim.db"),
  };
}

/**
 * Makes the folder, readable by its owner only, or finds it as an earlier run left it.
 * @throws SetupError where the folder is another user's, or holds things that are not Foldlog's
 */
export function openFolder(path: string): Folder {
  const folder = folderAt(path);
  try {
    mkdirSync(folder.dir, { recursive: true, mode: 0o700 });
    requireOwn(folder.dir);
    mark(folder.dir);
    for (const dir of [folder.data, folder.state, folder.logs, folder.run]) {
      mkdirSync(dir, { recursive: true, mode: 0o700 });
    }
  } catch (error) {
    if (error instanceof SetupError) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    throw new SetupError(`The folder ${folder.dir} cannot be used: ${reason}`, {
      next: "Set FOLDLOG_DIR to a folder that you may write to.",
      cause: error,
    });
  }
  return folder;
}

/** Whether a stack was ever kept here: only such a folder may be wiped. */
export function isFoldlogFolder(dir: string): boolean {
  try {
    return readFileSync(join(dir, marker), "utf8").includes('"foldlog"');
  } catch {
    return false; // Not there, or not readable: not known to be ours.
  }
}

function requireOwn(dir: string): void {
  const owner = statSync(dir).uid;
  const user = process.getuid?.();
  if (user === undefined || owner === user) return;
  throw new SetupError(
    `The folder ${dir} belongs to the user with id ${owner}, and you are ${user}.`,
    {
      next: "Work as that user, give yourself the folder (chown -R), or set FOLDLOG_DIR to another.",
    },
  );
}

function mark(dir: string): void {
  if (isFoldlogFolder(dir)) return;
  const found = readdirSync(dir);
  if (found.length > 0) {
    throw new SetupError(
      `The folder ${dir} holds other things (${found.slice(0, 3).join(", ")}) and no ${marker}.`,
      { next: "Set FOLDLOG_DIR to a folder of Foldlog's own: an empty or a new one." },
    );
  }
  writeFileSync(join(dir, marker), `${JSON.stringify({ foldlog: "stack", format })}\n`);
}
