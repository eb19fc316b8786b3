import type { BatchLimits } from "../../engine/read-ahead.ts";
import { type CommandLimits, commandLimits } from "../../engine/commands/command-processor.ts";
import { projectionLimits } from "../../engine/projections/projector.ts";
import type { Kernel } from "./kernel.ts";

/** What a simulated bank is like where a plan does not say it: drawn from the plan's seed. */
export interface Shape {
  readonly partitions: number;
  readonly brokers: number;
  readonly clients: number;
  readonly latencyMs: number;
  /** The most that a marker of a transaction takes, in milliseconds. */
  readonly markerMs: number;
  /** How far a process's clock is ahead of the broker's at most, and behind it, in milliseconds. */
  readonly skewMs: number;
  /** Whether a process joins its group by a name that it keeps when it is started again. */
  readonly areMembersNamed: boolean;
  /** How many folds there are: of more than one, each start of a process draws its own, as in a deploy and a rollback. */
  readonly folds: number;
  readonly commands: CommandLimits;
  readonly projections: BatchLimits;
}

const hourMs = 60 * 60 * 1000;

/** Small limits, so that few commands reach them. */
export function shapeOf(kernel: Kernel): Shape {
  const drawing =
    (random: () => number) =>
    <T>(...choices: readonly T[]) =>
      choices[Math.floor(random() * choices.length)] as T;
  const random = kernel.fork("shape");
  const oneOf = drawing(random);
  const oneOfLater = drawing(kernel.fork("shape, what came later")); // So that older seeds keep their shapes.
  const upTo = (most: number) => Math.floor(random() * (most + 1));
  const maxCount = oneOf(100_000, 100_000, 10 + upTo(20));
  const maxRecords = oneOf(1, 3, 10, 500);
  return {
    partitions: oneOf(2, 2, 3),
    brokers: oneOf(1, 1, 3),
    clients: oneOf(1, 1, 2),
    latencyMs: oneOf(1, 2, 10),
    markerMs: oneOf(0, 5, 50, 50, 500),
    skewMs: oneOf(0, 0, 0, 5_000),
    areMembersNamed: oneOf(true, true, false),
    folds: oneOfLater(1, 1, 2),
    commands: {
      ...commandLimits,
      // Not more at once than a worker remembers, as it is where nobody chose small limits.
      maxRecords: Math.min(maxRecords, maxCount),
      maxWaitMs: 5_000,
      maxBytes: oneOf(200, 1 << 18),
      window: { maxAgeMs: oneOf(7 * 24 * hourMs, 7 * 24 * hourMs, hourMs), maxCount },
      snapshots: {
        maxEventsBehind: oneOf(100_000, upTo(20), upTo(5)),
        maxAgeMs: oneOf(300_000, 3_000),
        maxPerTransaction: oneOf(1_000, 1, 2),
      },
      maxCached: oneOf(10_000, 1, 2),
      storeDelayMs: oneOf(200, 0, 3_000),
      maxUnwritten: oneOfLater(commandLimits.maxUnwritten, 0, 5),
    },
    projections: {
      ...projectionLimits,
      maxRecords: oneOf(1, 3, 10, 5_000),
      maxBytes: oneOf(200, 1 << 20),
      maxWaitMs: 5_000,
    },
  };
}
