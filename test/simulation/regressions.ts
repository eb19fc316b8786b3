import { readFileSync } from "node:fs";
import { parsePlan, type Plan } from "../chaos/plan.ts";

/** A plan that broke something once, and must never again. */
export interface Regression {
  /** The seed that found it, and the commit at which it did: what a seed draws changes with the simulation. */
  readonly seed: number;
  readonly commit: string;
  readonly why: string;
  /** What it was made small to. */
  readonly plan: Plan;
}

/** Every one, from `regressions.json`. */
export function regressions(): readonly Regression[] {
  const file = new URL("regressions.json", import.meta.url);
  const entries = JSON.parse(readFileSync(file, "utf8")) as (Omit<Regression, "plan"> & {
    readonly plan: unknown;
  })[];
  return entries.map((entry) => ({ ...entry, plan: parsePlan(entry.plan) }));
}
