import { createHash, randomUUID } from "node:crypto";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { type Claim, claimFile } from "./commands/sqlite-store.ts";

/** So many processes can share one state folder and one group, and each keep its name. */
const maxProcesses = 64;

/**
 * The name of this process in a consumer group: the one of a process that had the same state folder, read the same
 * topics and is no more, else a new one. No two processes on one machine have the same. `null` where the folder
 * cannot be used: a process without a name works as well, and waits for its dead predecessor's session to end.
 *
 * By the name of one that read other topics it would be handed the partitions of those: the broker does not ask
 * what a member with a name wants to read, and does not have the partitions dealt out anew.
 */
export function claimInstance(
  stateDir: string,
  group: string,
  topics: readonly string[],
): Claim | null {
  const folder = join(stateDir, "members");
  const read = createHash("sha256")
    .update([...topics].sort().join("\n"))
    .digest("hex");
  const prefix = `${encodeURIComponent(group)}-${read.slice(0, 8)}`;
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    for (let i = 0; i < maxProcesses; i++) {
      const file = join(folder, `${prefix}-${i}.db`);
      const claim = claimFile(file, randomUUID);
      if (claim !== null) return claim;
    }
  } catch {
    // A full disk, a read-only image: costs no more than those seconds.
  }
  return null;
}
