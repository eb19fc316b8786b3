import type { AggregateApi } from "./api.ts";
import { eventsAt, type Place, type Placed } from "./placed-events.ts";

/** An aggregate's state after its event of that version; version 0 is before the first. */
export interface Fold {
  readonly version: number;
  readonly state: object;
}

/**
 * Folds on over the events at these places, as the command processor does. Only one page of places and one
 * read's events are in memory. `keep` is given what was reached, be it the end or not, where it was a long way.
 */
export async function foldOn(
  {
    decider,
    placed,
    keep,
  }: Pick<AggregateApi, "decider"> & { placed: Placed; keep: (fold: Fold) => void },
  from: Fold,
  pages: AsyncIterable<readonly Place[]>,
  signal: AbortSignal,
): Promise<Fold> {
  let fold = from;
  try {
    for await (const places of pages) {
      for await (const events of eventsAt(placed, places, signal)) {
        for (const { version, type, data } of events) {
          fold = { version, state: decider.evolve(fold.state, { type, data }) };
        }
      }
    }
  } finally {
    if (fold.version - from.version >= longWay) keep(fold);
  }
  return fold;
}

/** So many events take a while to read. */
const longWay = 500;
/** A state is some hundred bytes, seldom more: its record is under a megabyte. */
const mostFolds = 64;

/**
 * States of aggregates of many events, those used last: a later read goes on from there, and so does one after a
 * read that ran out of time. What an event says never changes, so a state is right for ever.
 */
export interface FoldMemory {
  /** The latest state that was kept of this aggregate, among those not after `version`. */
  upTo(key: readonly string[], version: number): Fold | null;
  keep(key: readonly string[], fold: Fold): void;
}

export function foldMemory(): FoldMemory {
  /** The one used last is last. */
  let folds: readonly { readonly id: string; readonly fold: Fold }[] = [];
  const use = (id: string, fold: Fold) => {
    const others = folds.filter((it) => it.id !== id || it.fold.version !== fold.version);
    folds = [...others, { id, fold }].slice(-mostFolds);
  };
  return {
    upTo(key, version) {
      const id = JSON.stringify(key);
      const nearest = folds
        .filter((it) => it.id === id && it.fold.version <= version)
        .reduce<Fold | null>(
          (best, { fold }) => (best === null || fold.version > best.version ? fold : best),
          null,
        );
      if (nearest !== null) use(id, nearest);
      return nearest;
    },
    keep(key, fold) {
      use(JSON.stringify(key), fold);
    },
  };
}
