import { messageOf } from "../../engine/errors.ts";
import { Hits } from "./hits.ts";
import { simulate } from "./simulate.ts";
import { planOf } from "./swarm.ts";

/** Some seeds in a row, as one process runs them for another. Plain data. */

export interface Failed {
  readonly seed: number;
  readonly violations: readonly string[];
}

export interface Batch {
  readonly from: number;
  readonly seeds: number;
  readonly commands: number;
  readonly events: number;
  readonly virtualMs: number;
  readonly cpuMs: number;
  readonly failed: readonly Failed[];
  readonly hits: readonly (readonly [pair: string, times: number])[];
}

/** Runs the seeds from `from` on, and never throws: an error of the simulation is a violation. */
export async function runBatch(from: number, seeds: number): Promise<Batch> {
  const before = process.cpuUsage();
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0; // Nobody reads them here, and there are many.
  const hits = new Hits();
  const failed: Failed[] = [];
  const sum = { commands: 0, events: 0, virtualMs: 0 };
  for (let seed = from; seed < from + seeds; seed++) {
    try {
      const run = await simulate(planOf(seed));
      hits.merge(run.hits.counts);
      sum.commands += run.commands;
      sum.events += run.events;
      sum.virtualMs += run.virtualMs;
      if (run.violations.length > 0) failed.push({ seed, violations: run.violations });
    } catch (error) {
      failed.push({ seed, violations: [`ERROR: ${messageOf(error)}`] });
    }
  }
  Error.stackTraceLimit = stackTraceLimit;
  const { user, system } = process.cpuUsage(before);
  const cpuMs = (user + system) / 1000;
  return { from, seeds, ...sum, cpuMs, failed, hits: [...hits.counts] };
}
