import type { MemoryRow } from "../../engine/testing/memory-views.ts";
import type { TopicPartition } from "../../engine/log.ts";
import { bankCheck } from "../../ops/audit/bank.ts";
import { type Movement, noMovements, withMovement } from "../../ops/audit/bank-fold.ts";
import type { BalanceRow, BankViews, Statement } from "../../ops/audit/bank-views.ts";
import type { AuditedPartition, AuditedTopic } from "../../ops/audit/audited-log.ts";
import { Findings, type Invariant, invariants } from "../../ops/audit/findings.ts";
import { auditPartition } from "../../ops/audit/partition-audit.ts";
import type { ViewCheckpoint } from "../../ops/audit/views.ts";
import { partitionOf } from "../../engine/message.ts";
import { account } from "../../processors/aggregates/account.ts";
import type { Bank } from "./bank.ts";

/** The audit of `foldlog audit`, over a simulated log and database. */
export async function audit(bank: Bank): Promise<string[]> {
  const { topics, codec } = bank;
  const { signal } = new AbortController();
  const findings = new Findings();
  const movements = movementsByAccount(bank.database.rows("statements"));
  for (let partition = 0; partition < bank.shape.partitions; partition++) {
    const source = sourceOf(bank, partition);
    const domain = {
      ...{ topics, codec, source, findings, expected: null, signal },
      views: viewsOf(bank, movements),
      movements: async (accountId: string) => movements.get(accountId) ?? [],
    };
    await auditPartition(
      {
        ...{ topics, codec, source, findings, decider: account },
        domain: (snapshots) => bankCheck(domain, snapshots),
        progress: () => undefined,
      },
      signal,
    );
  }
  return (Object.keys(invariants) as Invariant[]).flatMap((invariant) =>
    findings.of(invariant).map(({ at, expected, found, aggregateId, commandId }) => {
      const whose = `${aggregateId ?? ""} ${commandId ?? ""}`.trim();
      return `${invariant}: at ${at} (${whose}) expected ${expected}, found ${found}`;
    }),
  );
}

function sourceOf(bank: Bank, partition: number): AuditedPartition {
  const { topics, log } = bank;
  const topicOf = ({ name: topic }: { readonly name: string }): AuditedTopic => {
    const of: TopicPartition = { topic, partition };
    const { start, end } = log.bounds(of);
    return {
      ...{ topic, partition, start, end },
      async *read() {
        const { committed, aborted } = log.decided(of);
        yield { records: committed, aborted, isAfterGap: start > 0n };
      },
    };
  };
  return {
    partition,
    commands: topicOf(topics.commands),
    events: topicOf(topics.events),
    snapshots: topicOf(topics.snapshots),
    replies: topicOf(topics.replies),
    dlq: topicOf(topics.dlq),
    snapshotsNow: async () => topicOf(topics.snapshots),
  };
}

function viewsOf(bank: Bank, movements: ReadonlyMap<string, readonly Movement[]>): BankViews {
  const { shape, database, topics } = bank;
  const byPartition = <T>() => Array.from({ length: shape.partitions }, () => new Map<string, T>());
  const state = (projection: "balances" | "statements") => {
    const checkpoints = new Map<number, ViewCheckpoint>();
    for (const at of bank.partitionsOf(topics.events)) {
      const stored = database.checkpoint(projection, at);
      if (stored === null) continue;
      const { nextOffset, commandOffset, version } = stored;
      checkpoints.set(at.partition, {
        nextOffset,
        commandOffset: commandOffset === null ? null : Number(commandOffset),
        aggregateVersion: version,
      });
    }
    return { projection, version: 1, topic: topics.events.name, checkpoints };
  };
  const balances = byPartition<BalanceRow>();
  const rows = database.rows("balances");
  for (const row of rows) {
    const accountId = String(row.key[0]);
    balances[partitionOf(accountId, shape.partitions)]?.set(accountId, balanceOf(row));
  }
  const statements = byPartition<Statement>();
  let count = 0;
  for (const [accountId, of] of movements) {
    count += of.length;
    statements[partitionOf(accountId, shape.partitions)]?.set(accountId, {
      movements: of.reduce(withMovement, noMovements),
      sumCents: of.reduce((sum, { amountCents }) => sum + BigInt(amountCents), 0n),
    });
  }
  return {
    balances: { ...state("balances"), rows: balances, count: rows.length },
    statements: { ...state("statements"), rows: statements, count },
  };
}

function balanceOf(row: MemoryRow): BalanceRow {
  return {
    owner: String(row["owner"]),
    status: String(row["status"]),
    balanceCents: Number(row["balance_cents"]),
    version: Number(row["version"]),
    updatedAt: Number(row["updated_at"]),
  };
}

function movementsByAccount(rows: readonly MemoryRow[]): ReadonlyMap<string, Movement[]> {
  const byAccount = new Map<string, Movement[]>();
  for (const row of rows) {
    const [accountId, version] = row.key;
    const movements = byAccount.get(String(accountId)) ?? [];
    const reference = row["reference"];
    movements.push({
      version: Number(version),
      amountCents: Number(row["amount_cents"]),
      reference: typeof reference === "string" ? reference : null,
      commandId: String(row["command_id"]),
      bookedAt: Number(row["booked_at"]),
    });
    byAccount.set(String(accountId), movements);
  }
  return byAccount;
}
