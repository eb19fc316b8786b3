import type { Clock } from "../clock.ts";
import type { Codec } from "../codec.ts";
import type { Reader, TopicPartition } from "../log.ts";
import type { AnyProjection } from "../projection.ts";
import {
  type Progress,
  type ProjectionEnd,
  projectionLimits,
  type ProjectionRun,
  runProjection,
  type Stop,
  type Trouble,
} from "../projections/projector.ts";
import type { Views } from "../projections/views.ts";

/** A projection's run under test: everything that it told, a way to wait for more, and to stop it. */
export interface RunningProjection {
  readonly progress: readonly Progress[];
  readonly troubles: readonly Trouble[];
  readonly stops: readonly Stop[];
  readonly ended: Promise<ProjectionEnd>;
  /** Resolves when `condition` holds after something was told; rejects with what the run threw. */
  until(condition: (run: RunningProjection) => boolean): Promise<void>;
  /** Until the view has all that is in the log. */
  caughtUp(): Promise<void>;
  stop(): Promise<ProjectionEnd>;
}

/** The parts that a projection's run takes, on one partition. */
export interface RunOf {
  readonly projection: AnyProjection;
  readonly topicPartition: TopicPartition;
  readonly reader: Reader;
  readonly codec: Codec;
  readonly views: Views;
  readonly clock: Clock;
}

/** Without a reason of its own each abort makes an exception. */
const stopped = new Error("the run was stopped");

/** Starts a run that owns its partition, with the usual limits; `changes` says what is otherwise. */
export function startProjection(
  of: RunOf,
  changes: Partial<ProjectionRun> = {},
): RunningProjection {
  const stopping = new AbortController();
  const waiting = new Set<() => void>();
  const note =
    <T>(list: T[]) =>
    (told: T) => {
      list.push(told);
      for (const look of waiting) look();
    };
  const progress: Progress[] = [];
  const troubles: Trouble[] = [];
  const stops: Stop[] = [];
  const hooks = { progress: note(progress), retrying: note(troubles), stopped: note(stops) };
  const run: ProjectionRun = {
    confirm: async () => true,
    limits: projectionLimits,
    hooks,
    ...of,
    ...changes,
  };
  const ended = runProjection(run, stopping.signal);
  void Promise.allSettled([ended]); // Whoever waits for it sees its error; nobody has to.

  const running: RunningProjection = {
    progress,
    troubles,
    stops,
    ended,
    async until(condition) {
      const met = new Promise<void>((resolve) => {
        const look = () => {
          if (!condition(running)) return;
          waiting.delete(look);
          resolve();
        };
        waiting.add(look);
        look();
      });
      await Promise.race([met, failureOf(ended)]);
    },
    caughtUp: async () => running.until((now) => now.progress.at(-1)?.lagEvents === 0),
    async stop() {
      stopping.abort(stopped);
      return ended;
    },
  };
  return running;
}

/** Rejects where the run does; never resolves. */
async function failureOf(ended: Promise<ProjectionEnd>): Promise<never> {
  await ended;
  return new Promise(() => undefined);
}
