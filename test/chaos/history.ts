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
      readonly result?: {
        readonly outcome: "accepted" | "rejected" | "conflict" | "failed";
        readonly version: number;
        readonly commandOffset: string;
        readonly partition: number;
        readonly reason: string | null;
        readonly duplicate: boolean;
      };
      readonly token?: string;
    };

/** A view's row, or an aggregate, was read; `token` is what the reader asked for. */
export type QueryEntry =
  | { readonly f: "query"; readonly type: "invoke"; readonly token: string | null }
  | {
      readonly f: "query";
      /** `fail`: refused (409, or a time-out of the wait), which is always allowed. */
      readonly type: "ok" | "fail" | "info";
      readonly token: string | null;
      /** Of the aggregate, as the view has it; 0 where there is no row. */
      readonly version?: number;
    };
