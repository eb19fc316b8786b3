import type { TopicKind } from "../../../engine/topic.ts";
import { account } from "../../../processors/aggregates/account.ts";
import { auditPartitions, type AuditReport } from "../audit-partitions.ts";
import type { AuditedPartition, AuditedTopic } from "../audited-log.ts";
import { noMovements, withMovement } from "../bank-fold.ts";
import type { BankViews, Statement } from "../bank-views.ts";
import { bankCheck } from "../bank.ts";
import { ClientHistory } from "../clients.ts";
import type { Invariant, Violation } from "../findings.ts";
import type { PartitionCounts } from "../partition-audit.ts";
import type { History } from "./history.ts";

/** The whole audit over a made history. */

export interface Audited {
  readonly report: AuditReport;
  readonly counts: PartitionCounts;
  /** How often each is violated. */
  readonly violated: (id: Invariant) => number;
  readonly violations: readonly Violation[];
}

/** What the audit finds in it. */
export async function auditHistory(
  history: History,
  { decidedSince = 0 }: { readonly decidedSince?: number } = {},
): Promise<Audited> {
  const { topics, codec, samples, hanging } = history;
  const { signal } = new AbortController();
  const clients = new ClientHistory(topics.aggregate);
  for (const entry of history.clients) clients.take(entry);
  const movements = async (accountId: string) => history.statements.get(accountId) ?? [];
  const known = { topics, codec, views: viewsOf(history), movements, expected: null, signal };
  const report = await auditPartitions(
    {
      ...{ topics, codec, decider: account, decidedSince, clients, samples },
      partitions: [sourceOf(history)],
      domain: ({ source, findings, snapshots }) =>
        bankCheck({ ...known, source, findings }, snapshots),
      hanging: async () => hanging,
    },
    signal,
  );
  return {
    ...{ report, counts: report.counts },
    violated: (id) => report.invariants.find((it) => it.id === id)?.violated ?? 0,
    violations: report.invariants.flatMap((it) => it.violations),
  };
}

function sourceOf(history: History): AuditedPartition {
  const topicOf = (kind: TopicKind, end = history.ends[kind]): AuditedTopic => {
    const { topics, log, starts, random, aborted } = history;
    const start = starts[kind];
    return {
      ...{ topic: topics[kind].name, partition: 0, start, end },
      async *read() {
        const left = log[kind].filter(({ offset }) => offset >= start && offset < end);
        let isAfterGap = start > 0n;
        let at = 0;
        do {
          const size = 1 + Math.floor(random() * 20);
          // The first slice has them all: sooner than a broker gives them, and never later.
          const undone = at === 0 ? aborted[kind] : [];
          yield { records: left.slice(at, at + size), isAfterGap, aborted: undone };
          isAfterGap = false;
          at += size;
        } while (at < left.length);
      },
    };
  };
  return {
    partition: 0,
    commands: topicOf("commands"),
    events: topicOf("events"),
    snapshots: topicOf("snapshots"),
    replies: topicOf("replies"),
    dlq: topicOf("dlq"),
    snapshotsNow: async () => topicOf("snapshots", history.snapshotsEndNow),
  };
}

function viewsOf({ topics, checkpoints, ...history }: History): BankViews {
  const state = (projection: "balances" | "statements") => ({
    projection,
    version: 1,
    topic: topics.events.name,
    checkpoints: new Map([[0, checkpoints[projection]]]),
  });
  const statements = new Map<string, Statement>();
  for (const [accountId, rows] of history.statements) {
    statements.set(accountId, {
      movements: rows.reduce(withMovement, noMovements),
      sumCents: rows.reduce((sum, { amountCents }) => sum + BigInt(amountCents), 0n),
    });
  }
  return {
    balances: {
      ...state("balances"),
      rows: [new Map(history.balances)],
      count: history.balances.size,
    },
    statements: { ...state("statements"), rows: [statements], count: statements.size },
  };
}
