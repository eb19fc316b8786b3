import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { messageOf } from "../../engine/errors.ts";
import { durationMs } from "../../ops/verbs/duration.ts";
import { parsePlan, type Plan } from "../chaos/plan.ts";
import { runSeeds } from "./pool.ts";
import { shrink } from "./shrink.ts";
import { simulate } from "./simulate.ts";
import { planOf } from "./swarm.ts";
import { Tally } from "./tally.ts";

/** `npm run simulate`: the bank under seeded faults, in memory and in simulated time. */

const help = `npm run simulate -- [options]

Runs the engine's own loops on a log, views and stores in memory, under faults that a seed draws, and holds
what they leave behind against every invariant. The same seed is the same run.

  --seeds N      how many seeds (default 1000)
  --from S       the first one (default: at random; with --tally, after the last one tallied)
  --for 1h       goes on for so long, instead of a number of seeds
  --first        stops at the first violation, and does not look for a smaller plan
  --seed N       one seed, with its plan; where it fails, a smaller plan that fails likewise
  --plan FILE    one plan, see test/chaos/plan.ts
  --jobs J       how many processes (default: one for each core)
  --tally FILE   a line of JSON for every 25 seeds, written as they are run; counts go on where it ends

Ends with 0 where all held, 1 where not, 2 where it was called wrongly.`;

class WrongUsage extends Error {}

interface Options {
  readonly seeds: number;
  readonly from: number | null;
  readonly forMs: number | null;
  readonly isFirstOnly: boolean;
  readonly plan: Plan | null;
  readonly jobs: number;
  readonly tally: string | null;
}

function optionsFrom(args: readonly string[]): Options | "help" {
  const text = { type: "string" } as const;
  const { values } = parseArgs({
    args: [...args],
    options: {
      ...{ seeds: text, from: text, for: text, seed: text, plan: text, jobs: text, tally: text },
      ...{ first: { type: "boolean" }, help: { type: "boolean", short: "h" } },
    },
  });
  if (values.help === true) return "help";
  if (values.seed !== undefined && values.plan !== undefined) {
    throw new WrongUsage("--seed and --plan exclude each other: a seed draws its own plan");
  }
  const seed = whole("--seed", values.seed, 0);
  return {
    seeds: whole("--seeds", values.seeds, 1) ?? 1_000,
    from: whole("--from", values.from, 0),
    forMs: values.for === undefined ? null : lasting(values.for),
    isFirstOnly: values.first === true,
    plan: seed !== null ? planOf(seed) : values.plan === undefined ? null : planIn(values.plan),
    jobs: whole("--jobs", values.jobs, 1) ?? availableParallelism(),
    tally: values.tally ?? null,
  };
}

function whole(name: string, value: string | undefined, least: number): number | null {
  if (value === undefined) return null;
  if (/^\d{1,9}$/.test(value) && Number(value) >= least) return Number(value);
  throw new WrongUsage(`${name} takes a whole number from ${least} on, not ${value}`);
}

function lasting(value: string): number {
  const ms = durationMs(value);
  if (ms === null || ms === 0)
    throw new WrongUsage(`--for takes a time, for example 30s or 1h, not ${value}`);
  return ms;
}

function planIn(file: string): Plan {
  try {
    return parsePlan(JSON.parse(readFileSync(file, "utf8")));
  } catch (error) {
    throw new WrongUsage(`${file}: ${messageOf(error)}`);
  }
}

/** One plan, told in full. */
async function runPlan(plan: Plan): Promise<boolean> {
  const { violations, trace, virtualMs, events, commands, hits } = await simulate(plan);
  const faults = [...hits.byFault()].map(([fault, times]) => `${fault} ${times}`).join(", ");
  console.log(
    `${plan.name}: ${commands} commands, ${events} events, ${Math.round(virtualMs)} ms, trace ${trace}; ${faults}`,
  );
  if (violations.length === 0) return true;
  for (const line of violations) console.log(line);
  await tellSmaller(plan, violations);
  return false;
}

async function tellSmaller(plan: Plan, violations: readonly string[]): Promise<void> {
  console.error("Looking for a smaller plan that fails likewise");
  const small = await shrink(plan, violations);
  const left = small.plan.faults.length;
  console.log(`It takes ${left} faults to see: ${small.violations[0] ?? ""}`);
  console.log(JSON.stringify(small.plan));
}

async function runAll(options: Options): Promise<boolean> {
  const tally = new Tally(options.tally);
  const isResumed = options.tally !== null && tally.seeds > 0;
  const from = options.from ?? (isResumed ? tally.next : Math.floor(Math.random() * 1e9));
  const count = options.forMs === null ? options.seeds : 1e9;
  const startedAt = performance.now();
  const before = tally.seeds;
  console.error(`Seeds from ${from} on, ${options.jobs} at a time`);
  let toldAt = startedAt;
  await runSeeds({ from, count, jobs: options.jobs }, (batch) => {
    tally.add(batch);
    for (const { seed, violations } of batch.failed) {
      console.log(
        `SEED=${seed} ${violations[0] ?? ""}\n  again: npm run simulate -- --seed ${seed}`,
      );
    }
    const now = performance.now();
    if (now - toldAt > 5_000) {
      console.error(`${tally.seeds - before} seeds, ${tally.failed.length} with violations`);
      toldAt = now;
    }
    const isLate = options.forMs !== null && now - startedAt >= options.forMs;
    return isLate || (options.isFirstOnly && batch.failed.length > 0) ? "stop" : "go on";
  });
  const [first] = tally.failed;
  const tookMs = performance.now() - startedAt;
  console.log(tally.summary({ tookMs, seeds: tally.seeds - before }));
  if (first === undefined) return true;
  if (!options.isFirstOnly) await tellSmaller(planOf(first.seed), first.violations);
  return false;
}

try {
  const options = optionsFrom(process.argv.slice(2));
  if (options === "help") console.log(help);
  else {
    const { plan } = options;
    const isSound = plan === null ? await runAll(options) : await runPlan(plan);
    process.exitCode = isSound ? 0 : 1;
  }
} catch (error) {
  const isUsage =
    error instanceof WrongUsage ||
    (error instanceof Error && ("code" in error || error.name === "CannotSimulate"));
  console.error(messageOf(error));
  if (isUsage) console.error("See: npm run simulate -- --help");
  process.exitCode = isUsage ? 2 : 1;
}
