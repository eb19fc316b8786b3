import fc from "fast-check";
import { expect, test } from "vitest";
import {
  type Backoff,
  backOff,
  brokerBackoff,
  coordinatorBackoff,
  delayMs,
  dependencyBackoff,
} from "./backoff.ts";

/** fast-check prints the seed of a failure; `SEED=…` repeats it. */
const seed = Number(process.env["SEED"] ?? Date.now() % 2 ** 31);

const backoff: Backoff = { firstMs: 100, factor: 2, maxMs: 1_000 };
const least = () => 0;
const most = () => 1 - Number.EPSILON;

test("the wait doubles from attempt to attempt until it has reached its bound", () => {
  const ceilings = [0, 1, 2, 3, 4, 5].map((attempt) => Math.round(delayMs(backoff, attempt, most)));
  expect(ceilings).toEqual([100, 200, 400, 800, 1_000, 1_000]);
});

test("chance decides over half of the wait, so that workers that failed together come back apart", () => {
  const floors = [0, 1, 2].map((attempt) => delayMs(backoff, attempt, least));
  expect(floors).toEqual([50, 100, 200]);
});

test("the wait stays within its bounds for any number of attempts, however great", () => {
  const chance = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
  const any = fc.constantFrom(dependencyBackoff, brokerBackoff, coordinatorBackoff);
  fc.assert(
    fc.property(any, fc.nat(), chance, (of, attempt, random) => {
      const delay = delayMs(of, attempt, () => random);
      expect(delay).toBeGreaterThanOrEqual(of.firstMs / 2);
      expect(delay).toBeLessThanOrEqual(of.maxMs);
    }),
    { seed },
  );
});

test("a coordinator is asked for about ten seconds before it is given up, and no longer than twelve", () => {
  let total = 0;
  for (let attempt = 0; attempt < 60; attempt++)
    total += delayMs(coordinatorBackoff, attempt, most);
  expect(total).toBeLessThan(12_000);
  expect(total).toBeGreaterThan(8_000);
});

test("the clock passed in does the waiting and the chance, and the signal goes with it", async () => {
  const waits: [number, AbortSignal | undefined][] = [];
  const { signal } = new AbortController();
  const clock = {
    now: () => 0,
    random: () => 0.5,
    sleep: async (durationMs: number, until?: AbortSignal) => {
      waits.push([durationMs, until]);
    },
  };
  await backOff(backoff, 1, clock, signal);
  expect(waits).toEqual([[150, signal]]);
});
