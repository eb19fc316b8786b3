import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Disk, openDisk, whyNoDisk } from "./disk.ts";

const why = whyNoDisk();

describe.skipIf(why !== null)(`A disk of a size${why === null ? "" : ` (skipped: ${why})`}`, () => {
  const folder = mkdtempSync(join(tmpdir(), "foldlog disk-"));
  let disk: Disk;
  beforeAll(async () => {
    disk = await openDisk(folder, 8);
  });
  afterAll(async () => {
    await disk.close();
    rmSync(folder, { recursive: true });
  });

  test("has that much room", () => {
    expect(disk.freeBytes()).toBeGreaterThan(7 << 20);
    expect(disk.freeBytes()).toBeLessThanOrEqual(8 << 20);
  });

  test("takes nothing more when it is full, and goes on when room is given back", () => {
    const file = join(folder, "log");
    writeFileSync(file, "before");
    disk.fill();
    expect(() => {
      writeFileSync(join(folder, "more"), Buffer.alloc(8_192));
    }).toThrow("ENOSPC");
    disk.release();
    writeFileSync(file, "after");
    expect(readFileSync(file, "utf8")).toBe("after");
  });

  test("leaves as much room as it is told to", () => {
    disk.fill(64);
    expect(disk.freeBytes()).toBeGreaterThan(0);
    expect(disk.freeBytes()).toBeLessThanOrEqual(64 * 1024);
    disk.release();
  });

  test("is gone with everything on it when it is closed", async () => {
    const other = mkdtempSync(join(tmpdir(), "foldlog-disk-"));
    const passing = await openDisk(other, 1);
    writeFileSync(join(other, "kept"), "");
    await passing.close();
    expect(existsSync(join(other, "kept"))).toBe(false);
    rmSync(other, { recursive: true });
  });
});
