import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { describe, expect, inject, test } from "vitest";
import { newPartition, ourLog } from "./stock/log.ts";
import type { TimerCounts, TimerSubject } from "./stock/timers.ts";

const log = ourLog();
const sends = 500;
const script = fileURLToPath(new URL("stock/timers.ts", import.meta.url));

async function timersOf(subject: TimerSubject): Promise<TimerCounts> {
  const { topic } = await newPartition(log);
  const args = [script, subject, inject("kafkaBrokers"), topic, String(sends)];
  const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: 30_000 });
  return JSON.parse(stdout) as TimerCounts;
}

describe(`The timers of ${sends} sends`, () => {
  test("stock kafkajs asks for one with a negative delay after answer upon answer", async () => {
    const { created, negative } = await timersOf("stock");
    // One at a time a connection, each of a millisecond: an answer that comes sooner asks for none.
    expect(negative).toBeGreaterThan(sends / 4);
    expect(created).toBeGreaterThanOrEqual(negative);
  });

  test("kafkajs asks for none of these once our correction is loaded", async () => {
    expect(await timersOf("mended")).toMatchObject({ negative: 0 });
  });

  test("ours creates next to none at all", async () => {
    const { created, negative } = await timersOf("ours");
    expect(negative).toBe(0);
    expect(created).toBeLessThan(10);
  });
});
