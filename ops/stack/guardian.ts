/**
 * Outlives a test run, however that ends, and clears up behind it: it waits for its standard input to close,
 * which the system does for a process that was killed too, then ends what runs in the folder and removes it.
 */
import { once } from "node:events";
import { rmSync } from "node:fs";
import { folderAt, isFoldlogFolder } from "./folder.ts";
import { endRunning } from "./running.ts";

const [dir] = process.argv.slice(2);
if (dir === undefined) throw new Error("Which folder?");
process.stdin.resume(); // Nothing is ever sent.
await once(process.stdin, "end");
await clearUp(dir);

async function clearUp(dir: string): Promise<void> {
  await endRunning(folderAt(dir).run, 8_000);
  if (isFoldlogFolder(dir)) rmSync(dir, { recursive: true, force: true, maxRetries: 5 });
}
