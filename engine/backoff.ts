import type { Clock } from "./clock.ts";

export interface Backoff {
  readonly firstMs: number;
  readonly factor: number;
  readonly maxMs: number;
}

/** For a dependency that is away: long enough not to hurt it, short enough to notice its return. */
export const dependencyBackoff: Backoff = { firstMs: 100, factor: 2, maxMs: 10_000 };

/** For a leader election or a broker's restart: over within seconds, and work waits for it. */
export const brokerBackoff: Backoff = { firstMs: 50, factor: 2, maxMs: 1_000 };

/** For a transaction coordinator that is still writing the last markers (a few milliseconds). */
export const coordinatorBackoff: Backoff = { firstMs: 5, factor: 1.3, maxMs: 200 };

/**
 * The wait before attempt `attempt` + 1, in milliseconds; attempts count from 0. Exponential, bounded, with
 * full jitter over its upper half, so that workers that failed together do not come back together.
 */
export function delayMs(backoff: Backoff, attempt: number, random: () => number): number {
  const ceiling = Math.min(backoff.maxMs, backoff.firstMs * backoff.factor ** attempt);
  return ceiling / 2 + (random() * ceiling) / 2;
}

export async function backOff(
  backoff: Backoff,
  attempt: number,
  clock: Clock,
  signal?: AbortSignal,
): Promise<void> {
  const waitMs = delayMs(backoff, attempt, () => clock.random());
  await clock.sleep(waitMs, ...(signal ? [signal] : []));
}
