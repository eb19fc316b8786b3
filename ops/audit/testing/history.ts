import type { Codec } from "../../../engine/codec.ts";
import type { AggregateTopics, TopicKind } from "../../../engine/topic.ts";
import type { AuditRecord, HangingTransaction } from "../audited-log.ts";
import type { Movement } from "../bank-fold.ts";
import type { BalanceRow } from "../bank-views.ts";
import type { ClientEntry } from "../client-entry.ts";
import type { PositionSample } from "../samples.ts";
import type { ViewCheckpoint } from "../views.ts";

/** A history of one partition, made by the real processor and the real projections; a test may damage it. */
export interface History {
  readonly topics: AggregateTopics;
  readonly codec: Codec;
  readonly random: () => number;
  readonly log: Record<TopicKind, AuditRecord[]>;
  /** Where each log begins; raised by what plays retention. */
  readonly starts: Record<TopicKind, bigint>;
  readonly ends: Record<TopicKind, bigint>;
  /** Where the snapshots end when they are looked at again, at the end of the audit. */
  snapshotsEndNow: bigint;
  readonly balances: Map<string, BalanceRow>;
  readonly statements: Map<string, Movement[]>;
  readonly checkpoints: Record<"balances" | "statements", ViewCheckpoint>;
  /** What was written by transactions that were aborted. */
  readonly aborted: Record<TopicKind, AuditRecord[]>;
  readonly hanging: HangingTransaction[];
  /** What clients saw, and what somebody saw of positions. */
  readonly clients: ClientEntry[];
  readonly samples: PositionSample[];
}

/** The same history again, to be damaged without harm to the first; with places for damage of its own. */
export function copyOf(history: History, random = history.random): History {
  const { log } = history;
  return {
    ...history,
    random,
    log: {
      commands: [...log.commands],
      events: [...log.events],
      snapshots: [...log.snapshots],
      replies: [...log.replies],
      dlq: [...log.dlq],
    },
    starts: { ...history.starts },
    ends: { ...history.ends },
    balances: new Map(history.balances),
    statements: new Map([...history.statements].map(([id, rows]) => [id, [...rows]])),
    checkpoints: { ...history.checkpoints },
    aborted: { commands: [], events: [], snapshots: [], replies: [], dlq: [] },
    hanging: [],
    clients: [...history.clients],
    samples: [...history.samples],
  };
}
