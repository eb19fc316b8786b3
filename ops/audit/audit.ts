import type { Codec } from "../../engine/codec.ts";
import { FatalError } from "../../engine/errors.ts";
import type { Database, Session } from "../../engine/postgres/postgres.ts";
import type { AggregateTopics, TopicKind } from "../../engine/topic.ts";
import type { AuditedPartition } from "./audited-log.ts";
import { ExpectedComparison, type Comparison, type Expected } from "./expected.ts";
import { Findings, type Invariant, invariants, type Violation } from "./findings.ts";
import type { LogReader, Mark } from "./log-reader.ts";
import { auditPartition, type DomainCheck, type PartitionCounts } from "./partition-audit.ts";
import type { Snapshots } from "./snapshots.ts";
import { inSnapshot } from "./views.ts";

/** The audit as a whole: in which order to look, so that what goes on meanwhile is not taken for harm. */

/** What an application adds for one of its aggregates. */
export interface AuditedAggregate<V> {
  readonly topics: AggregateTopics;
  /** Everything that is compared with the log, read in one snapshot of the database. */
  readViews(session: Session): Promise<V>;
  /** How many rows those views have, by name. */
  rowsOf(views: V): Readonly<Record<string, number>>;
  check(context: DomainContext<V>, snapshots: Snapshots): DomainCheck;
}

export interface DomainContext<V> {
  readonly topics: AggregateTopics;
  readonly codec: Codec;
  readonly source: AuditedPartition;
  readonly findings: Findings;
  readonly views: V;
  readonly database: Database;
  readonly expected: ExpectedComparison | null;
  readonly signal: AbortSignal;
}

export interface AuditOptions<V> {
  readonly aggregate: AuditedAggregate<V>;
  readonly log: LogReader;
  readonly codec: Codec;
  /** As the role that only reads. */
  readonly database: Database;
  readonly expected: Expected | null;
  readonly onProgress: (progress: Progress) => void;
}

export interface Progress {
  readonly aggregate: string;
  readonly partition: number;
  readonly partitions: number;
  /** How many records were read so far, of all topics. */
  readonly records: number;
}

export interface InvariantReport {
  readonly id: Invariant;
  readonly promise: string;
  readonly violated: number;
  /** The first of them. */
  readonly violations: readonly Violation[];
}

export interface AuditReport {
  readonly aggregate: string;
  readonly hasHeld: boolean;
  readonly invariants: readonly InvariantReport[];
  readonly counts: PartitionCounts;
  readonly rows: Readonly<Record<string, number>>;
  /** Against the file that was given. */
  readonly expected: Comparison | null;
}

/**
 * Audits one aggregate: log, views and snapshots. The bank may go on meanwhile: what is under way is not judged
 * before it is done. Throws `TransientError` or `FatalError` where something cannot be looked at.
 */
export async function audit<V>(
  options: AuditOptions<V>,
  signal: AbortSignal,
): Promise<AuditReport> {
  const { aggregate, log, database, onProgress } = options;
  const { topics } = aggregate;
  const findings = new Findings();
  const expected = options.expected === null ? null : new ExpectedComparison(options.expected);
  await requireTopics(log, topics);

  const views = await inSnapshot(database, (session) => aggregate.readViews(session), signal);
  const marks = await marksOf(log, topics);
  const sum = { ...noCounts };
  let records = 0;
  for (let partition = 0; partition < topics.commands.partitions; partition++) {
    const source = partitionAt(log, topics, marks, partition);
    const progress = (read: number) => {
      records += read;
      onProgress({ ...at, records });
    };
    const at = { aggregate: topics.aggregate, partition, partitions: topics.commands.partitions };
    const context = { ...options, topics, source, findings, views, expected, signal };
    const domain = (snapshots: Snapshots) => aggregate.check(context, snapshots);
    const part = { topics, codec: options.codec, source, findings, domain, progress };
    try {
      add(sum, await auditPartition(part, signal));
    } catch (error) {
      if (!isLossOfLog(error)) throw error;
      const where = `${topics.aggregate}, partition ${partition}`;
      const wanted = "a log that can be read to its end";
      findings.add({ invariant: "I13", at: where, expected: wanted, found: error.message });
    }
  }
  await checkHanging(log, topics, { marks, findings });
  return reportOf(topics.aggregate, findings, {
    counts: sum,
    rows: aggregate.rowsOf(views),
    expected: expected?.result() ?? null,
  });
}

/**
 * The order matters. The views first: their checkpoints are behind whatever the log's end is afterwards. Then
 * the snapshots, whose positions say which commands are done; all that those transactions wrote into the
 * other topics is in them by then. The commands last: none is named that is not there.
 */
const markOrder = ["snapshots", "events", "dlq", "replies", "commands"] as const;

type Marks = Readonly<Record<TopicKind, readonly Mark[]>>;

async function marksOf(log: LogReader, topics: AggregateTopics): Promise<Marks> {
  const marks: Record<TopicKind, Mark[]> = {
    ...{ snapshots: [], events: [], dlq: [], replies: [], commands: [] },
  };
  for (const kind of markOrder) {
    const { name: topic, partitions } = topics[kind];
    for (let partition = 0; partition < partitions; partition++) {
      marks[kind].push(await log.mark({ topic, partition }));
    }
  }
  return marks;
}

function partitionAt(
  log: LogReader,
  topics: AggregateTopics,
  marks: Marks,
  partition: number,
): AuditedPartition {
  const of = (kind: TopicKind) => ({ topic: topics[kind].name, partition });
  const audited = (kind: TopicKind) => {
    const mark = marks[kind][partition] ?? { start: 0n, end: 0n };
    return log.topic(of(kind), mark);
  };
  return {
    partition,
    commands: audited("commands"),
    events: audited("events"),
    snapshots: audited("snapshots"),
    replies: audited("replies"),
    dlq: audited("dlq"),
    snapshotsNow: async () => log.topic(of("snapshots"), await log.mark(of("snapshots"))),
  };
}

async function requireTopics(log: LogReader, topics: AggregateTopics): Promise<void> {
  for (const kind of markOrder) {
    const { name, partitions } = topics[kind];
    const found = await log.partitionsOf(name);
    if (found === partitions) continue;
    throw new FatalError(
      "TOPIC_DRIFT",
      `${name} has ${found} partitions, the catalog says ${partitions}: aggregates are not where they ` +
        "should be; run: npm run -s foldlog -- topics plan",
    );
  }
}

function isLossOfLog(error: unknown): error is FatalError {
  if (!(error instanceof FatalError)) return false;
  return error.code === "CORRUPT_BATCH" || error.code === "LOG_TRUNCATED";
}

async function checkHanging(
  log: LogReader,
  topics: AggregateTopics,
  { marks, findings }: { readonly marks: Marks; readonly findings: Findings },
): Promise<void> {
  const all = markOrder.flatMap((kind) =>
    marks[kind].map(({ end }, partition) =>
      log.hanging({ topic: topics[kind].name, partition }, end),
    ),
  );
  for (const hanging of await Promise.all(all)) {
    if (hanging === null) continue;
    const { topic, partition, stable, end } = hanging;
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

function reportOf(
  aggregate: string,
  findings: Findings,
  rest: Pick<AuditReport, "counts" | "rows" | "expected">,
): AuditReport {
  const all = (Object.keys(invariants) as Invariant[]).map((id) => ({
    id,
    promise: invariants[id],
    violated: findings.count(id),
    violations: findings.of(id),
  }));
  const hasHeld =
    all.every(({ violated }) => violated === 0) && (rest.expected?.differences.length ?? 0) === 0;
  return { aggregate, hasHeld, invariants: all, ...rest };
}
