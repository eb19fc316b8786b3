/**
 * Generated from the .avsc files by `npm run schemas`. Never edited: a test holds it fresh.
 */
import type { RecordType } from "./topic.ts";

/**
 * How far a command processor has come in one partition. Kept under the reserved key @position of
 * the snapshots topic, written in every transaction.
 */
export interface Position {
  /** The next offset to consume from the commands topic, control records counted. */
  readonly nextOffset: number;
  /** The fold that wrote it. */
  readonly foldVersion: string;
  /** F: each event below this offset is reflected in a snapshot of that fold. */
  readonly coveredFrom: number;
  /**
   * H: the greatest issue time of a command id that has been forgotten. Milliseconds since the
   * epoch.
   */
  readonly horizon: number | null;
  /**
   * The greatest issue time of any command id ever remembered: becomes H where the replies
   * themselves are lost. Milliseconds since the epoch.
   */
  readonly latestIssueTime: number | null;
  /** The replies offset of the oldest answer still remembered. */
  readonly oldestReply: number;
}

/** The answer to one consumed command record. */
export interface Reply {
  /** Null where the record had no readable one. */
  readonly commandId: string | null;
  /** The record type of the command; null where it could not be told. */
  readonly commandType: string | null;
  /** Null where the record had no valid one. */
  readonly aggregateId: string | null;
  /** The offset of the consumed record in the commands topic, in the partition of this reply. */
  readonly commandOffset: number;
  /**
   * The offset at which this command id was handled first; differs from commandOffset on a
   * duplicate.
   */
  readonly firstOffset: number;
  /** accepted, rejected and conflict are final; failed is not. */
  readonly outcome: Outcome;
  /**
   * The aggregate's version: after its events where accepted, else the one that the command met.
   */
  readonly version: number | null;
  /** Why it was rejected, or the code of the failure. */
  readonly reason: string | null;
  /** This answer was given before, at firstOffset. */
  readonly duplicate: boolean;
  /**
   * Of the command's fields without its id and issue time; null where the record was not read.
   */
  readonly payloadHash: Buffer | null;
  /** When the command id was issued, as far as known. Milliseconds since the epoch. */
  readonly issuedAt: number | null;
}

export type Outcome = "accepted" | "rejected" | "conflict" | "failed";

export const Position: RecordType = {
  name: "Position",
  fullName: "foldlog.Position",
  versions: [
    {
      version: 1,
      fingerprint: "1191eb582a534efec1b6b4d9eb90dd7c393179c9de358c702b9cd369ab59929c",
      schema: {
        type: "record",
        name: "Position",
        namespace: "foldlog",
        kind: "state",
        doc: "How far a command processor has come in one partition. Kept under the reserved key @position of the snapshots topic, written in every transaction.",
        fields: [
          {
            name: "nextOffset",
            type: "long",
            doc: "The next offset to consume from the commands topic, control records counted.",
          },
          { name: "foldVersion", type: "string", doc: "The fold that wrote it." },
          {
            name: "coveredFrom",
            type: "long",
            doc: "F: each event below this offset is reflected in a snapshot of that fold.",
          },
          {
            name: "horizon",
            type: ["null", { type: "long", logicalType: "timestamp-millis" }],
            default: null,
            doc: "H: the greatest issue time of a command id that has been forgotten.",
          },
          {
            name: "latestIssueTime",
            type: ["null", { type: "long", logicalType: "timestamp-millis" }],
            default: null,
            doc: "The greatest issue time of any command id ever remembered: becomes H where the replies themselves are lost.",
          },
          {
            name: "oldestReply",
            type: "long",
            doc: "The replies offset of the oldest answer still remembered.",
          },
        ],
      },
    },
  ],
};

export const Reply: RecordType = {
  name: "Reply",
  fullName: "foldlog.Reply",
  versions: [
    {
      version: 1,
      fingerprint: "162cd0b095c6211f7b772b3b74a897f28938badf4eb8e6e581d8d49bf94fa9dd",
      schema: {
        type: "record",
        name: "Reply",
        namespace: "foldlog",
        kind: "reply",
        doc: "The answer to one consumed command record.",
        fields: [
          {
            name: "commandId",
            type: ["null", "string"],
            default: null,
            doc: "Null where the record had no readable one.",
          },
          {
            name: "commandType",
            type: ["null", "string"],
            default: null,
            doc: "The record type of the command; null where it could not be told.",
          },
          {
            name: "aggregateId",
            type: ["null", "string"],
            default: null,
            doc: "Null where the record had no valid one.",
          },
          {
            name: "commandOffset",
            type: "long",
            doc: "The offset of the consumed record in the commands topic, in the partition of this reply.",
          },
          {
            name: "firstOffset",
            type: "long",
            doc: "The offset at which this command id was handled first; differs from commandOffset on a duplicate.",
          },
          {
            name: "outcome",
            type: {
              type: "enum",
              name: "Outcome",
              symbols: ["accepted", "rejected", "conflict", "failed"],
              default: "failed",
            },
            doc: "accepted, rejected and conflict are final; failed is not.",
          },
          {
            name: "version",
            type: ["null", "long"],
            default: null,
            doc: "The aggregate's version: after its events where accepted, else the one that the command met.",
          },
          {
            name: "reason",
            type: ["null", "string"],
            default: null,
            doc: "Why it was rejected, or the code of the failure.",
          },
          {
            name: "duplicate",
            type: "boolean",
            default: false,
            doc: "This answer was given before, at firstOffset.",
          },
          {
            name: "payloadHash",
            type: ["null", { type: "fixed", name: "PayloadHash", size: 16 }],
            default: null,
            doc: "Of the command's fields without its id and issue time; null where the record was not read.",
          },
          {
            name: "issuedAt",
            type: ["null", { type: "long", logicalType: "timestamp-millis" }],
            default: null,
            doc: "When the command id was issued, as far as known.",
          },
        ],
      },
    },
  ],
};
