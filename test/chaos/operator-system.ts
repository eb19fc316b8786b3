import type { Clock } from "../../engine/clock.ts";
import type { Fault } from "./plan.ts";
import type { NamedBank } from "./processes/system-bank.ts";
import type { Services } from "./processes/system-stack.ts";
import type { KeptWorker } from "./processes/system-workers.ts";
import type { Addresses } from "./system.ts";

/** The bank as an operator has it, and what all of an operator's deeds are made of. */

export interface OperatedSystem {
  readonly services: Services;
  readonly kept: readonly KeptWorker[];
  readonly clock: Clock;
  readonly bank: NamedBank;
  readonly addresses: Addresses;
}

export type Operation = Extract<Fault, { args: unknown }>;
/** Does it; gives what ends it. */
export type Operate = (system: OperatedSystem, fault: Operation) => Promise<() => Promise<void>>;

/** The workers that a target means: one by its number, or all of a kind. */
export function workersAt(system: OperatedSystem, target: string): readonly KeptWorker[] {
  const found = system.kept.filter(({ name, worker }) => name === target || worker === target);
  if (found.length > 0) return found;
  const names = system.kept.map(({ name }) => name).join(", ");
  throw new Error(`The plan's target "${target}" is none of the workers: ${names}.`);
}

/** Does something while these workers are down; they come back with what is returned. */
export async function whileDown(
  workers: readonly Pick<KeptWorker, "process">[],
  by: "SIGTERM" | "SIGKILL",
  work: () => Promise<void>,
): Promise<void> {
  for (const { process: it } of workers) {
    it.hold();
    it.signal(by, by === "SIGTERM" ? "alone" : "with its children");
  }
  try {
    for (const { process: it } of workers) await it.untilGone();
    await work();
  } finally {
    for (const { process: it } of workers) it.release();
  }
}
