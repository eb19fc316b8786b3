/**
 * What the machine may do wrong, as four exceptions that say what to do about it. What the business
 * may answer ("no", "conflict") is never one of them: that is a value, see `decider.ts`.
 */

/** Why a record can never be processed, however often it is tried. Named in replies, dead letters and metrics. */
export type PoisonCode =
  | "BAD_WIRE_FORMAT" // Shorter than five bytes, or the first is not 0.
  | "UNKNOWN_SCHEMA" // The registry has said for long enough that it does not know the id.
  | "FOREIGN_RECORD_TYPE" // A record that the catalog does not list for this topic.
  | "TRUNCATED" // The bytes end before the value does.
  | "TRAILING_BYTES" // The value ends before the bytes do.
  | "INVALID_AVRO" // A union branch, enum symbol, boolean or varint that the schema does not have.
  | "INVALID_UTF8"
  | "LONG_OUT_OF_RANGE" // A long outside ±(2^53−2).
  | "TOO_MANY_ITEMS" // An array or map that claims more than the bytes can hold: an Avro bomb.
  | "TOO_DEEP"
  | "NULL_KEY"
  | "KEY_MISMATCH" // The key is not the aggregate id in the payload.
  | "INVALID_AGGREGATE_ID"
  | "INVALID_COMMAND_ID"
  | "WRONG_PARTITION" // A client with another hash than murmur2.
  | "DECIDER_THREW" // A fault in the author's decide or evolve.
  | "CRASHED_WORKER" // Two processes died while they handled it alone: see `commands/crash-breaker.ts`.
  | "INVALID_EVENT"; // The decider accepted with an event or a state that its schema cannot hold.

/** Why a command got neither yes nor no. Not final: the same id may be sent again once the cause is gone. */
export type FailureCode =
  | PoisonCode
  | "EXPIRED" // Issued before the dedupe horizon: it may have run already.
  | "CLOCK_AHEAD" // Issued more than five minutes after it was appended.
  | "COMMAND_ID_REUSED" // The id was used for another payload.
  | "TOO_LARGE"; // An event, the state or the reply would not fit into a record.

/** A broken promise of the log, of a store or of the set-up: this process must not go on. */
export type FatalCode =
  | "OFFSETS_AHEAD" // The group's committed offset would skip commands.
  | "COMMANDS_LOST" // Commands were deleted by retention before any worker saw them.
  | "LOG_TRUNCATED" // The log ends before what was already read from it: deleted, or recreated.
  | "OFFSET_OUT_OF_RANGE"
  | "VERSION_GAP" // An aggregate's events are not 1..n.
  | "UNREADABLE_LOG" // Our own topic holds what today's code cannot read.
  | "CORRUPT_BATCH" // A record batch fails its checksum.
  | "LOST_SEND" // The broker acknowledged an offset that was there before.
  | "TOPIC_MISSING"
  | "TOPIC_DRIFT" // A topic differs from the catalog.
  | "SCHEMA_UNREGISTERED"
  | "SCHEMA_DRIFT" // The registry holds another schema under an id than the repository does.
  | "UNSUPPORTED_CLIENT" // The Kafka client is not the version that was hardened.
  | "UNAUTHORIZED"
  | "PORT_UNAVAILABLE" // The port to listen at is taken, or not ours to take.
  | "PROJECTION_DRIFT" // A projection's tables differ from what its version declares.
  | "MIGRATION_CHANGED"
  | "BROKEN_INVARIANT";

/** This record never can be processed: dead-letter it, answer `failed`, go on. */
export class PoisonError extends Error {
  override readonly name = "PoisonError";
  readonly code: PoisonCode;
  constructor(code: PoisonCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** Later may work (network, registry, Postgres): try again with a bounded back-off, for ever. */
export class TransientError extends Error {
  override readonly name = "TransientError";
}

/**
 * Law P1: what became of the last write is unknown, or another writer has taken over. The writer that
 * threw it is of no more use. Prove the ownership, open a new one, read the log again, go on from there.
 */
export class WriterLostError extends Error {
  override readonly name = "WriterLostError";
  readonly reason: "fenced" | "indefinite";
  constructor(reason: "fenced" | "indefinite", message: string, options?: ErrorOptions) {
    super(message, options);
    this.reason = reason;
  }
}

/** This process must not go on: exit 1, and let a person read why. */
export class FatalError extends Error {
  override readonly name = "FatalError";
  readonly code: FatalCode;
  constructor(code: FatalCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** Ends the process where a claim of ours turns out false. */
export function invariant(holds: boolean, message: string): asserts holds {
  if (!holds) throw new FatalError("BROKEN_INVARIANT", message);
}

/** The text of anything thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
