import type { TopicPartition } from "../log.ts";
import type { Changes } from "./rows.ts";

/**
 * The port: the little that the projector asks of a database, for one version of one projection.
 * `postgres/postgres-views.ts` implements it over Postgres and `testing/memory-views.ts` in memory.
 */

/** How far a view has come on one partition. It moves in the transaction that changes the view's rows. */
export interface Checkpoint {
  /** The offset to read next: every event before it is in the view, none after. */
  readonly nextOffset: bigint;
  /**
   * The `command-offset` of the last event in the view, or the offset of the command that the last reply
   * answers; `null` before the first. Within a partition it never goes back.
   */
  readonly commandOffset: bigint | null;
  /**
   * The version that the last event in the view gave its aggregate; of a reply the version that it names,
   * `null` where it names none. `null` before the first.
   */
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

/** The rows of a table whose instant in column `since` is before `before`, at most so many of them. */
export interface OldRows {
  readonly table: string;
  readonly since: string;
  readonly before: Date;
  readonly most: number;
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
  /**
   * Deletes old rows, but none that a commit is about to change; resolves to how many.
   * @throws TransientError or WriterLostError, of no more consequence: the rows are deleted, or still there
   */
  expire(old: OldRows, signal: AbortSignal): Promise<number>;
  close(): Promise<void>;
}

export function sameCheckpoint(a: Checkpoint | null, b: Checkpoint | null): boolean {
  if (a === null || b === null) return a === b;
  return (
    a.nextOffset === b.nextOffset && a.commandOffset === b.commandOffset && a.version === b.version
  );
}
