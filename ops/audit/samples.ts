/**
 * What somebody beside the bank saw of its positions while it ran, one JSON object a line, in the order in which it
 * was seen. Offsets are decimal strings, for JSON's numbers do not hold them.
 */
export type PositionSample = PositionsSeen | OffsetsCommitted | PositionsAnnounced;

/**
 * One moment. `ends` are asked for after `views` and `groups` were answered, so that no position can be beyond them;
 * what could not be asked at that moment is left out.
 */
export interface PositionsSeen {
  readonly kind: "seen";
  /** Milliseconds since the epoch. */
  readonly t: number;
  /** Rows of `foldlog.checkpoints`. */
  readonly views: readonly ViewPosition[];
  /**
   * Committed offsets of consumer groups, as their coordinator told them. One that was replaced and does not know it
   * tells what it remembers, and its successor at first what is replicated: what they tell may go back for a moment.
   */
  readonly groups: readonly GroupPosition[];
  /** High watermarks of the topics that those positions are in. */
  readonly ends: readonly TopicEnd[];
}

/** One commit as it stands in the log of them, `__consumer_offsets`, in the order of that log. */
export interface OffsetsCommitted {
  readonly kind: "committed";
  /** When it was written, in milliseconds since the epoch. */
  readonly t: number;
  readonly groups: readonly GroupPosition[];
}

export interface ViewPosition {
  readonly projection: string;
  readonly version: number;
  readonly topic: string;
  readonly partition: number;
  readonly nextOffset: string;
}

export interface GroupPosition {
  readonly group: string;
  readonly topic: string;
  readonly partition: number;
  /** `null` where the group has none; a partition that was never committed may be left out. */
  readonly offset: string | null;
}

export interface TopicEnd {
  readonly topic: string;
  readonly partition: number;
  readonly end: string;
}

/**
 * Somebody is about to move positions back on purpose; written before it is done. Each position that it is about may
 * go back once after it.
 */
export interface PositionsAnnounced {
  readonly kind: "announced";
  readonly t: number;
  /** A projection filled anew, a database that lost its tail, a group's offsets set or deleted, a topic made anew. */
  readonly what: "rebuild" | "fail-over" | "reset" | "recreate";
  /** The projection, the group or the topic; `null` for everything of its kind. */
  readonly of: string | null;
}
