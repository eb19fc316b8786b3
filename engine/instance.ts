import { randomUUID } from "node:crypto";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { type Claim, claimFile } from "./commands/sqlite-store.ts";

/** So many processes can share one state folder and one group, and each keep its name. */
const maxProcesses = 64;

/**
 * The name of this process in a consumer group: the one of a process that had the same state folder and is no
 * more, else a new one. No two processes on one machine have the same. `null` where the folder cannot be used:
 * a process without a name works as well, and waits for its dead predecessor's session to end.
 */
export function claimInstance(stateDir: string, group: string): Claim | null {
  const folder = join(stateDir, "members");
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    for (let i = 0; i < maxProcesses; i++) {
      const file = join(folder, `${encodeURIComponent(group)}-${i}.db`);
      const claim = claimFile(file, randomUUID);
      if (claim !== null) return claim;
    }
  } catch {
    // A full disk, a read-only image: costs no more than those seconds.
  }
  return null;
}
