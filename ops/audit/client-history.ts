/**
 * What clients saw, one JSON object a line, in the order in which it happened. A checker holds it against the
 * log: `ok` and `fail` are facts, `info` (a timeout, a cut connection) may have happened or not.
 */

/** Something that a client did. */
export type HistoryEntry = {
  /** Milliseconds since the epoch, of one clock that never goes back. */
  readonly t: number;
  /** The client: it does one thing at a time, and its name is never used again after an `info`. */
  readonly process: string;
  readonly aggregate: string;
  readonly aggregateId: string;
} & (CommandEntry | QueryEntry);

/** A command was sent, and answered or not. */
export type CommandEntry =
  | {
      readonly f: "command";
      readonly type: "invoke";
      readonly commandId: string;
      readonly expectedVersion: number | null;
    }
  | {
      readonly f: "command";
      /** `ok`: a final answer came. `fail`: it certainly never got to the log. `info`: nobody knows. */
      readonly type: "ok" | "fail" | "info";
      readonly commandId: string;
      readonly result?: CommandResult;
      readonly token?: string;
    };

/** What the client was told. */
export interface CommandResult {
  readonly outcome: "accepted" | "rejected" | "conflict" | "failed";
  /** 0 where the answer was `failed`. */
  readonly version: number;
  /** Of the client's own record, or of the command's first handling; empty where the client was not told. */
  readonly commandOffset: string;
  readonly partition: number;
  readonly reason: string | null;
  readonly duplicate: boolean;
}

/** A view's row, or an aggregate, was read; `token` is what the reader asked for. */
export type QueryEntry = {
  readonly f: "query";
  readonly token: string | null;
  /** The projection that was read, or nothing for the aggregate itself. */
  readonly view?: string;
} & (
  | { readonly type: "invoke" }
  | {
      /** `fail`: refused (409, or a time-out of the wait), which is always allowed. */
      readonly type: "ok" | "fail" | "info";
      /** Of the aggregate, as a view shows it that has a row for each; 0 where there is no row. */
      readonly version?: number;
    }
);

/**
 * Bytes that no worker can process were sent to the commands of an aggregate. The record names its `id` in a header, so
 * that it is known again in the log and among the dead letters, whatever else is wrong with it.
 */
export interface PoisonEntry {
  readonly t: number;
  readonly process: string;
  readonly aggregate: string;
  readonly f: "poison";
  /** `ok`: it is in the log. `fail`: it certainly is not. */
  readonly type: "invoke" | "ok" | "fail" | "info";
  readonly id: string;
  /** The code that its dead letter is to have, where the sender knows. */
  readonly code?: string;
}

/** The header of a record that was sent as poison; its value is the `id`. */
export const poisonHeader = "sent-as-poison";
