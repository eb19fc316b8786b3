import { expect, test } from "vitest";
import type { LogOffsets, Reader } from "../../engine/log.ts";
import { jumpingClock } from "../../engine/testing/jumping-clock.ts";
import { untilDecided } from "./scan.ts";

const of = { topic: "events", partition: 0 };

/** A reader of a partition that ends at 10, and is decided up to what `stable` says at each look. */
function readerOf(stable: () => bigint): Reader {
  const offsets = async (): Promise<LogOffsets> => ({ start: 0n, stable: stable(), end: 10n });
  return { offsets } as Partial<Reader> as Reader;
}

test("a transaction that is being committed is waited for", async () => {
  const decided = [7n, 7n, 8n, 10n];
  const reader = readerOf(() => decided.shift() ?? 12n);
  expect(await untilDecided(reader, of, jumpingClock())).toBeNull();
  expect(decided).toEqual([]);
});

test("one that stays open is waited for no longer than it can live, and told", async () => {
  const clock = jumpingClock();
  const startedAt = clock.now();
  expect(
    await untilDecided(
      readerOf(() => 7n),
      of,
      clock,
    ),
  ).toBe(7n);
  expect(clock.now() - startedAt).toBeGreaterThanOrEqual(25_000);
  expect(clock.now() - startedAt).toBeLessThan(60_000);
});
