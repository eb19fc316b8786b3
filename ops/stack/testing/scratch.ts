import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { type Folder, openFolder } from "../folder.ts";
import { killRunning } from "../running.ts";

/** An empty folder that goes when the test does. */
export function scratch(): string {
  const dir = mkdtempSync(join(tmpdir(), "foldlog-test-"));
  onTestFinished(() => {
    rmSync(dir, { recursive: true, force: true, maxRetries: 5 });
  });
  return dir;
}

/** A stack's folder, without a stack; whatever a test starts in it ends with the test. */
export function scratchFolder(): Folder {
  const folder = openFolder(join(scratch(), "stack"));
  onTestFinished(() => {
    killRunning(folder.run);
  });
  return folder;
}
