import { statfs } from "node:fs/promises";
import type { Checklist } from "./checklist.ts";
import { SetupError } from "./setup-error.ts";

/**
 * Checks that `neededBytes` are free where the folder is, and says both figures.
 * @throws SetupError where they are not
 */
export async function requireDisk(
  dir: string,
  neededBytes: number,
  checklist: Checklist,
): Promise<void> {
  await checklist.step("Disk", async (say) => {
    const { bavail, bsize } = await statfs(dir);
    const freeBytes = bavail * bsize;
    say(`${inWords(neededBytes)} needed, ${inWords(freeBytes)} free`);
    if (freeBytes >= neededBytes) return;
    throw new SetupError(
      `${inWords(neededBytes)} of disk are needed and ${inWords(freeBytes)} are free in ${dir}.`,
      { next: "Make room there, or set FOLDLOG_DIR to a folder on another disk." },
    );
  });
}

export function inWords(bytes: number): string {
  return bytes < 1e9 ? `${Math.round(bytes / 1e6)} MB` : `${(bytes / 1e9).toFixed(1)} GB`;
}
