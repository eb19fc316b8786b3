import type { TopicPartition } from "../log.ts";
import type { Changes } from "./rows.ts";

/**
 * The port: the little that the projector asks of a database, for one version of one projection.
 * `postgres-views.ts` implements it over Postgres and `testing/memory-views.ts` in memory.
 */

/** How far a view has come on one partition. It moves in the transaction that changes the view's rows. */
export interface Checkpoint {
  /** The offset to read next: every event before it is in the view, none after. */
  readonly nextOffset: bigint;
  /** The `command-offset` of the last event in the view; `null` before the first. */
  readonly commandOffset: bigint | null;
  /** The version that the last event in the view gave its aggregate; `null` before the first. */
  readonly version: number | null;
}

/** One batch: what it changes, and the checkpoint before and after it. */
export interface ViewCommit {
  readonly topicPartition: TopicPartition;
  /** `null` where the view has not seen this partition yet. */
  readonly expected: Checkpoint | null;
  readonly next: Checkpoint;
  readonly changes: Changes;
}

export interface Views {
  /** @throws TransientError where the database does not answer or refuses for now */
  checkpoint(of: TopicPartition, signal: AbortSignal): Promise<Checkpoint | null>;
  /**
   * Writes the rows and the checkpoint, all or nothing. An aborted `signal` drops the batch (the call rejects
   * with its reason), unless the commit itself is under way: that is finished, within a bounded time.
   * @throws WriterLostError `fenced` where the stored checkpoint is not `expected`: another worker has moved
   *   it, or a failover has lost its end; `indefinite` where nobody can tell whether the batch was committed.
   *   Read the checkpoint again and go on from there
   * @throws TransientError where nothing was written and a later try may work
   * @throws UnapplicableError where nothing was written and no later try of this batch will work
   */
  commit(commit: ViewCommit, signal: AbortSignal): Promise<void>;
  close(): Promise<void>;
}

export function sameCheckpoint(a: Checkpoint | null, b: Checkpoint | null): boolean {
  if (a === null || b === null) return a === b;
  return (
    a.nextOffset === b.nextOffset && a.commandOffset === b.commandOffset && a.version === b.version
  );
}
