import type { Plan } from "../chaos/plan.ts";
import { loadOf } from "./load.ts";
import { Kernel } from "./kernel.ts";
import { shapeOf } from "./shape.ts";
import { simulate } from "./simulate.ts";

/** Makes a plan that fails small: without faults and commands that it fails without. */

/** So many runs are spent on it at most. */
const mostRuns = 400;

/** @returns the smallest plan that was found to fail, and how */
export async function shrink(
  plan: Plan,
  violations: readonly string[],
): Promise<{ readonly plan: Plan; readonly violations: readonly string[] }> {
  let best = { plan, violations };
  let runs = 0;
  const kind = kindOf(violations);
  const fails = async (tried: Plan): Promise<boolean> => {
    if (runs++ >= mostRuns) return false;
    const found = await violationsOf(tried);
    if (kindOf(found) !== kind) return false;
    best = { plan: tried, violations: found };
    return true;
  };
  await fewer(plan.faults, (faults) => fails({ ...best.plan, faults: [...faults] }));
  const kernel = new Kernel(plan.seed);
  const all = loadOf(plan, kernel, shapeOf(kernel).clients).map(({ number }) => number);
  await fewer(all, (kept) => {
    const keep = new Set(kept);
    const left = [...(plan.without ?? []), ...all.filter((number) => !keep.has(number))];
    return fails({ ...best.plan, without: left });
  });
  await fewer(best.plan.faults, (faults) => fails({ ...best.plan, faults: [...faults] }));
  return best;
}

async function violationsOf(plan: Plan): Promise<readonly string[]> {
  try {
    return (await simulate(plan)).violations;
  } catch {
    return []; // Another failure than the one that is looked for.
  }
}

/** What is violated first: a smaller plan must fail in the same way. */
function kindOf([first]: readonly string[]): string | null {
  return first?.split(":")[0] ?? null;
}

/** Leaves out halves, quarters, and so on, as long as it still fails (Zeller's ddmin, without its complements). */
async function fewer<T>(items: readonly T[], fails: (kept: readonly T[]) => Promise<boolean>) {
  let kept = items;
  for (let size = Math.ceil(items.length / 2); size >= 1; size = Math.floor(size / 2)) {
    for (let at = 0; at < kept.length;) {
      const without = [...kept.slice(0, at), ...kept.slice(at + size)];
      if (await fails(without)) kept = without;
      else at += size;
    }
  }
}
