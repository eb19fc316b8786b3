import type { Clock } from "../clock.ts";
import { isAborted } from "../clock.ts";
import { TransientError, WriterLostError } from "../errors.ts";
import type { AnyProjection } from "../projection.ts";
import type { Views } from "./views.ts";

/** Deletes the rows of a view that it need not keep any more, as its projection's `keeps` says. */

export interface Expiry {
  readonly projection: AnyProjection;
  readonly views: Pick<Views, "expire">;
  readonly clock: Clock;
  /** Rows have been deleted. */
  readonly expired: (table: string, rows: number) => void;
  /** Nothing could be deleted for now; it is tried again with the next round. */
  readonly postponed: (error: TransientError | WriterLostError) => void;
}

const roundMs = 60 * 60 * 1000;
/** The start of a worker is when it has most to catch up. */
const firstRoundMs = 60 * 1000;
/** So few that the transactions of the batches of events hardly wait for their locks. */
export const mostAtOnce = 1_000;
const pauseMs = 50;

const dayMs = 24 * 60 * 60 * 1000;

/**
 * Deletes in rounds, an hour apart, until `signal` aborts; at once returns where nothing is to be deleted ever.
 * It needs no checkpoint: to delete an old row is right whoever does it, and how often. A row that an event has
 * made young again meanwhile stays.
 */
export async function expireRows(expiry: Expiry, signal: AbortSignal): Promise<void> {
  if (Object.keys(expiry.projection.keeps ?? {}).length === 0) return;
  for (let waitMs = firstRoundMs; ; waitMs = roundMs) {
    await expiry.clock.sleep(waitMs, signal);
    if (isAborted(signal)) return;
    try {
      await round(expiry, signal);
    } catch (error) {
      if (isAborted(signal)) return;
      if (!(error instanceof TransientError || error instanceof WriterLostError)) throw error;
      expiry.postponed(error);
    }
  }
}

async function round(
  { projection, views, clock, expired }: Expiry,
  signal: AbortSignal,
): Promise<void> {
  for (const [table, keeping] of Object.entries(projection.keeps ?? {})) {
    if (keeping === undefined) continue;
    const before = new Date(clock.now() - keeping.days * dayMs);
    const of = { table, since: keeping.since, before, most: mostAtOnce };
    let rows = 0;
    for (;;) {
      const deleted = await views.expire(of, signal);
      rows += deleted;
      if (deleted < mostAtOnce || isAborted(signal)) break;
      await clock.sleep(pauseMs, signal);
    }
    if (rows > 0) expired(table, rows);
  }
}
