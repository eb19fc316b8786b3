import { execFileSync } from "node:child_process";
import { closeSync, openSync, rmSync, statfsSync, writeSync } from "node:fs";
import { join } from "node:path";
import { guard } from "./guard.ts";
import { newRunName, sweepLeftovers } from "./leftovers.ts";

/** A disk of a given size, in memory, to put a broker's log or Postgres' data on. */
export interface Disk {
  readonly folder: string;
  /** Leaves so little room: from now on writes fail as on a disk that is full. */
  fill(leaveKiB?: number): void;
  /** Gives the room back. */
  release(): void;
  freeBytes(): number;
  /** Takes the disk away with all that is on it. */
  close(): Promise<void>;
}

/** What `fill` took the room with; no program of ours gives a file this name. */
const ballastName = ".ballast";

/** Why no disk can be made on this machine; `null` where one can. */
export function whyNoDisk(): string | null {
  if (process.platform !== "linux") return "a tmpfs is of Linux";
  return process.getuid?.() === 0 ? null : "mounting needs root";
}

/**
 * Puts a disk of this size at `folder`, which is there and empty. A guardian takes it away when it is closed,
 * and also when this process ends without that.
 */
export async function openDisk(folder: string, sizeMiB: number): Promise<Disk> {
  const why = whyNoDisk();
  if (why !== null) throw new Error(`There can be no disk of a size: ${why}.`);
  await sweepLeftovers();
  const runName = newRunName();
  const guardian = guard(runName);
  const ballast = join(folder, ballastName);
  const freeBytes = () => {
    const { bavail, bsize } = statfsSync(folder);
    return bavail * bsize;
  };
  try {
    const options = `size=${sizeMiB}m,mode=0700`;
    execFileSync("mount", ["-t", "tmpfs", "-o", options, runName, folder], { stdio: "pipe" });
  } catch (error) {
    await guardian.release();
    throw error;
  }
  return {
    folder,
    fill: (leaveKiB = 0) => {
      take(ballast, () => freeBytes() - leaveKiB * 1024);
    },
    release: () => {
      rmSync(ballast, { force: true });
    },
    freeBytes,
    close: () => guardian.release(),
  };
}

const chunk = Buffer.alloc(1 << 20);

/** Appends to a file until there is nothing left to take. */
function take(file: string, leftBytes: () => number): void {
  const ballast = openSync(file, "a");
  try {
    for (let left = leftBytes(); left > 0; left = leftBytes()) {
      writeSync(ballast, chunk, 0, Math.min(left, chunk.length));
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOSPC") throw error; // Somebody else took the last.
  } finally {
    closeSync(ballast);
  }
}
