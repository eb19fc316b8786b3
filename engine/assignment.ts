import { type Clock, isAborted } from "./clock.ts";
import type { Membership, TopicPartition } from "./log.ts";

/** Runs a loop for each partition that the group assigns, and ends it when the partition goes elsewhere. */

export interface Assigned {
  readonly membership: Membership;
  readonly clock: Clock;
  /** One partition's loop: until its signal aborts, or, `dropped`, until it finds that it is not the owner. */
  readonly run: (of: TopicPartition, signal: AbortSignal) => Promise<"aborted" | "dropped">;
  /** Told each new assignment. */
  readonly onAssigned: (partitions: readonly TopicPartition[]) => void;
}

/** How long a dropped partition that is still assigned waits before it asks for itself again. */
const retryMs = 1_000;

interface Runner {
  readonly stopping: AbortController;
  readonly done: Promise<void>;
}

/**
 * Resolves when `signal` aborts and every loop has ended. A partition that comes back while its old loop is
 * still ending waits for that. Rejects with the first error of any loop, after all the others have ended.
 */
export async function runAssigned(
  { membership, clock, run, onAssigned }: Assigned,
  signal: AbortSignal,
): Promise<void> {
  const runners = new Map<string, Runner>();
  const ending = new Set<Promise<void>>();
  const failed = new AbortController();
  const failures: unknown[] = [];
  const giveUp = () => {
    failed.abort();
  };
  signal.addEventListener("abort", giveUp);

  const start = (of: TopicPartition, before: readonly Promise<void>[]): Runner => {
    const stopping = new AbortController();
    const loop = async () => {
      await Promise.all(before);
      try {
        while (!isAborted(stopping.signal) && (await run(of, stopping.signal)) === "dropped") {
          await clock.sleep(retryMs, stopping.signal);
        }
      } catch (error) {
        failures.push(error);
        failed.abort();
      }
    };
    return { stopping, done: loop() };
  };
  const stop = (key: string, { stopping, done }: Runner) => {
    runners.delete(key);
    stopping.abort();
    ending.add(done);
    void done.then(() => ending.delete(done));
  };

  try {
    for (;;) {
      const partitions = await membership.next(failed.signal);
      if (partitions === null || isAborted(failed.signal)) break;
      onAssigned(partitions);
      const wanted = new Map(partitions.map((of) => [`${of.topic}/${of.partition}`, of]));
      for (const [key, runner] of runners) if (!wanted.has(key)) stop(key, runner);
      for (const [key, of] of wanted)
        if (!runners.has(key)) runners.set(key, start(of, [...ending]));
    }
  } finally {
    signal.removeEventListener("abort", giveUp);
    for (const [key, runner] of runners) stop(key, runner);
    await Promise.all(ending);
  }
  if (failures.length > 0) throw failures[0];
}
