import type { Clock } from "../clock.ts";

/**
 * A clock whose time passes only when everything else waits for it: it then jumps to the next sleeper's time.
 * Sleepers of one time wake in the order in which they went to sleep, and chance comes from `seed`, so that a
 * run over memory alone is the same each time.
 *
 * Everything else is thought to be waiting when the event loop has turned once without waking anybody; so it
 * is not for work that waits for a network.
 */
export function jumpingClock(seed = 1): Clock {
  let now = Date.UTC(2020, 0, 1);
  let order = 0;
  let turning = false;
  const chance = randomFrom(seed);
  const sleepers = new Set<{ readonly due: number; readonly order: number; wake: () => void }>();

  const turn = () => {
    const [next] = [...sleepers].sort((a, b) => a.due - b.due || a.order - b.order);
    turning = next !== undefined;
    if (next === undefined) return;
    now = Math.max(now, next.due);
    next.wake();
    setImmediate(turn);
  };

  return {
    now: () => now,
    random: chance,
    sleep: async (durationMs, ...signals) =>
      new Promise((resolve) => {
        if (signals.some(({ aborted }) => aborted)) {
          resolve();
          return;
        }
        const sleeper = {
          due: now + durationMs,
          order: order++,
          wake: () => {
            sleepers.delete(sleeper);
            for (const signal of signals) signal.removeEventListener("abort", sleeper.wake);
            resolve();
          },
        };
        sleepers.add(sleeper);
        for (const signal of signals) signal.addEventListener("abort", sleeper.wake);
        if (!turning) {
          turning = true;
          setImmediate(turn);
        }
      }),
  };
}

/** Numbers in [0, 1), the same for the same seed (mulberry32). */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
