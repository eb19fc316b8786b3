import type { LogRecord } from "../../engine/log.ts";

/** The log as the checks see it: what a reader gives them, be it over a broker or made up by a test. */

/** A committed data record. */
export interface AuditRecord extends LogRecord {
  /** Who wrote it, by producer id and epoch, where it was written in a transaction; else `null`. */
  readonly writer: string | null;
}

/** Some records, in the order of the log. */
export interface AuditSlice {
  readonly records: readonly AuditRecord[];
  /** Whether retention has removed records between these and the ones before. */
  readonly isAfterGap: boolean;
  /** Records of aborted transactions that stood among these; left out by a reader that cannot tell. */
  readonly aborted?: readonly AuditRecord[];
}

/**
 * Which transactions count that began before the end: those that ended there too, or also those that end
 * later, for which the reader waits.
 */
export type Until = "the end" | "all is decided";

/** One partition of a topic, up to where it ended when the audit looked. */
export interface AuditedTopic {
  readonly topic: string;
  readonly partition: number;
  /** Where the log began. */
  readonly start: bigint;
  /** The high watermark: nothing at or after it is part of the audit. */
  readonly end: bigint;
  /** Every committed data record below `end`; each call reads anew. */
  read(until: Until): AsyncIterable<AuditSlice>;
}

/** The topics of one aggregate in one partition. */
export interface AuditedPartition {
  readonly partition: number;
  readonly commands: AuditedTopic;
  readonly events: AuditedTopic;
  readonly snapshots: AuditedTopic;
  readonly replies: AuditedTopic;
  readonly dlq: AuditedTopic;
  /** The snapshots as they are by now: what was committed since is in them. */
  snapshotsNow(): Promise<AuditedTopic>;
}

/** A transaction that has no end yet. */
export interface HangingTransaction {
  readonly topic: string;
  readonly partition: number;
  /** The last stable offset: readers of committed records come no further. */
  readonly stable: bigint;
  readonly end: bigint;
}

/** `topic/partition/offset`, as violations name a record. */
export function coordinatesOf(
  { topic, partition }: Pick<AuditedTopic, "topic" | "partition">,
  offset: bigint | number,
): string {
  return `${topic}/${partition}/${offset}`;
}
