import type { Codec } from "../../engine/codec.ts";
import { FatalError } from "../../engine/errors.ts";
import type { AggregateTopics } from "../../engine/topic.ts";
import type { AuditedPartition, HangingTransaction } from "./audited-log.ts";
import { SampleCheck } from "./check-samples.ts";
import { ClientChecks } from "./client-checks.ts";
import type { ClientHistory } from "./clients.ts";
import type { Comparison } from "./expected.ts";
import { Findings, type Invariant, invariants, type Violation } from "./findings.ts";
import type { AnyDecider } from "./oracle.ts";
import { auditPartition, type DomainCheck, type PartitionCounts } from "./partition-audit.ts";
import type { PositionSample } from "./samples.ts";
import type { Snapshots } from "./snapshots.ts";

/**
 * The audit of a log wherever it is: over a broker, in the memory of a simulation, made up by a test. Nothing here
 * does any I/O but by what it is given.
 */
export interface PartitionsAudit {
  readonly topics: AggregateTopics;
  readonly codec: Codec;
  readonly partitions: Iterable<AuditedPartition>;
  /** Whom the oracle asks. */
  readonly decider?: AnyDecider;
  /** Milliseconds since the epoch: the oracle is asked of what was decided since. */
  readonly decidedSince?: number;
  /** What the application knows of its events, for one partition. */
  readonly domain?: (part: PartOfLog) => DomainCheck;
  /** What clients saw, whole. */
  readonly clients?: ClientHistory;
  /** Positions as they were seen, in that order. */
  readonly samples?: Iterable<PositionSample> | AsyncIterable<PositionSample>;
  /** Looked for when all partitions are read, by who can. */
  readonly hanging?: () => Promise<readonly (HangingTransaction | null)[]>;
  /** Called after some records of a partition were read, with their number. */
  readonly progress?: (partition: number, records: number) => void;
}

/** What a `DomainCheck` of one partition is made from. */
export interface PartOfLog {
  readonly source: AuditedPartition;
  readonly findings: Findings;
  readonly snapshots: Snapshots;
}

export interface InvariantReport {
  readonly id: Invariant;
  readonly promise: string;
  /** How many things were held against it. */
  readonly checked: number;
  readonly violated: number;
  /** The first of them. */
  readonly violations: readonly Violation[];
}

export interface AuditReport {
  readonly aggregate: string;
  readonly hasHeld: boolean;
  /** Those that could be asked about, with what was given. */
  readonly invariants: readonly InvariantReport[];
  readonly counts: PartitionCounts;
  readonly rows: Readonly<Record<string, number>>;
  /** Against the file that was given. */
  readonly expected: Comparison | null;
}

/** Audits all partitions of one aggregate, one after the other, and what clients and samples tell besides. */
export async function auditPartitions(
  of: PartitionsAudit,
  signal: AbortSignal,
): Promise<AuditReport> {
  const findings = new Findings();
  const movedBack = await checkSamplesOf(of, findings);
  const { topics, clients: history } = of;
  const clients =
    history === undefined ? null : new ClientChecks({ history, topics, findings, movedBack });
  const counts = { ...noCounts };
  for (const source of of.partitions) {
    try {
      add(counts, await auditPartition(partOf(of, source, { findings, clients }), signal));
    } catch (error) {
      if (!isLossOfLog(error)) throw error;
      const at = `${topics.aggregate}, partition ${source.partition}`;
      const expected = "a log that can be read to its end";
      findings.add({ invariant: "I13", at, expected, found: error.message });
    }
  }
  clients?.end();
  await checkHanging(of, findings);
  return reportOf(of, findings, counts);
}

/** Comes back with when views were moved back on purpose. */
async function checkSamplesOf(
  { samples }: PartitionsAudit,
  findings: Findings,
): Promise<readonly number[]> {
  const movedBack: number[] = [];
  const check = new SampleCheck(findings);
  for await (const sample of samples ?? []) {
    check.take(sample);
    if (sample.kind === "announced" && sample.what !== "reset") movedBack.push(sample.t);
  }
  check.end();
  return movedBack;
}

function partOf(
  { topics, codec, domain, progress, decider, decidedSince }: PartitionsAudit,
  source: AuditedPartition,
  { findings, clients }: { readonly findings: Findings; readonly clients: ClientChecks | null },
) {
  return {
    ...{ topics, codec, source, findings },
    domain: (snapshots: Snapshots) => domain?.({ source, findings, snapshots }) ?? knowsNothing,
    progress: (records: number) => progress?.(source.partition, records),
    ...(decider !== undefined && { decider }),
    ...(decidedSince !== undefined && { decidedSince }),
    ...(clients !== null && { clients }),
  };
}

const knowsNothing: DomainCheck = {
  event: () => undefined,
  handling: () => undefined,
  end: async () => undefined,
};

function isLossOfLog(error: unknown): error is FatalError {
  if (!(error instanceof FatalError)) return false;
  return error.code === "CORRUPT_BATCH" || error.code === "LOG_TRUNCATED";
}

async function checkHanging({ hanging }: PartitionsAudit, findings: Findings): Promise<void> {
  for (const found of (await hanging?.()) ?? []) {
    findings.check("I13");
    if (found === null) continue;
    const { topic, partition, stable, end } = found;
    findings.add({
      invariant: "I13",
      at: `${topic}/${partition}/${stable}`,
      expected: `committed records readable up to ${end}`,
      found: `an open transaction from ${stable} on: find its producer by kafka-transactions.sh find-hanging`,
    });
  }
}

const noCounts: PartitionCounts = {
  consumed: 0,
  waiting: 0,
  replies: 0,
  events: 0,
  deadLetters: 0,
  aggregates: 0,
  underWay: 0,
  expiredCommands: 0,
  expiredReplies: 0,
};

function add(sum: Record<keyof PartitionCounts, number>, counts: PartitionCounts): void {
  for (const name of Object.keys(counts) as (keyof PartitionCounts)[]) sum[name] += counts[name];
}

function reportOf(of: PartitionsAudit, findings: Findings, counts: PartitionCounts): AuditReport {
  const all = askable(of).map((id) => ({
    id,
    promise: invariants[id],
    checked: findings.checked(id),
    violated: findings.count(id),
    violations: findings.of(id),
  }));
  const hasHeld = all.every(({ violated }) => violated === 0);
  return {
    aggregate: of.topics.aggregate,
    ...{ hasHeld, invariants: all, counts },
    ...{ rows: {}, expected: null },
  };
}

/** Invariants that nothing is known about without what was not given. */
function askable({ decider, domain, clients, samples }: PartitionsAudit): readonly Invariant[] {
  const unasked = new Set<Invariant>(["I16"]);
  if (decider === undefined) unasked.add("oracle");
  if (domain === undefined) unasked.add("I7");
  if (clients === undefined) for (const id of ["I12", "history", "order"] as const) unasked.add(id);
  if (samples === undefined) for (const id of ["I9", "I11"] as const) unasked.add(id);
  return (Object.keys(invariants) as Invariant[]).filter((id) => !unasked.has(id));
}
