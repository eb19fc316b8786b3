import { describe, expect, test } from "vitest";
import type { Plan } from "./chaos/plan.ts";
import { regressions } from "./simulation/regressions.ts";
import { simulate } from "./simulation/simulate.ts";
import { planOf } from "./simulation/swarm.ts";

/** The simulation in short: what ever failed, and some seeds. `seeds.test.ts` beside it runs thousands. */

const firstSeed = Number(process.env["SEED"] ?? Date.now() % 1_000_000_000);
const seeds = Number(process.env["SEEDS"] ?? (process.env["SEED"] === undefined ? 40 : 1));
const eachTest = 40;

describe("what broke once does not break again", () => {
  const known = regressions().map((entry) => [entry.why, entry.plan] as const);
  test.each(known)("%s", async (_, plan) => {
    expect((await simulate(plan)).violations).toEqual([]);
  });
});

describe("a bank under seeded faults keeps every promise and comes to rest", () => {
  const starts = Array.from(
    { length: Math.ceil(seeds / eachTest) },
    (_, i) => firstSeed + i * eachTest,
  );
  test.each(starts)("SEED=%i and on", { timeout: 120_000 }, async (from) => {
    const most = Math.min(eachTest, firstSeed + seeds - from);
    for (let seed = from; seed < from + most; seed++) {
      const { violations } = await simulate(planOf(seed));
      expect(violations, `again: npm run simulate -- --seed ${seed}`).toEqual([]);
    }
  });
});

test(`the same seed is the same run, event by event (SEED=${firstSeed})`, async () => {
  const { trace, events, virtualMs } = await simulate(planOf(firstSeed));
  expect(await simulate(planOf(firstSeed))).toMatchObject({ trace, events, virtualMs });
  expect((await simulate(planOf(firstSeed + 1))).trace).not.toBe(trace);
});

test("a seed without faults loses, fences and repeats nothing", async () => {
  const plan: Plan = { ...planOf(7), faults: [] };
  const { violations, hits } = await simulate(plan);
  expect(violations).toEqual([]);
  expect([...hits.byFault().keys()].filter((fault) => fault !== "lose-partition")).toEqual([]);
});

test("a plan whose workers must refuse to go on is held to that", async () => {
  const plan: Plan = { ...planOf(8), faults: [], expects: "OFFSETS_AHEAD" };
  expect((await simulate(plan)).violations).toEqual([
    "OFFSETS_AHEAD: no worker refused to go on with it",
  ]);
  const reset = { id: "F23", at: 4_000, for: 0, does: "reset-group", target: "account" } as const;
  const args = { to: "beyond" };
  const kill = { id: "F1", at: 4_000, for: 500, does: "kill" } as const;
  const workers = { ...plan.workers, account: 1 };
  const faults: Plan["faults"] = [
    { ...kill, target: "account/1" },
    { ...reset, args },
  ];
  expect((await simulate({ ...plan, workers, faults })).violations).toEqual([]);
});
