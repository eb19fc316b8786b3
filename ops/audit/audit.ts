import type { Codec } from "../../engine/codec.ts";
import { FatalError } from "../../engine/errors.ts";
import type { Database, Session } from "../../engine/postgres/postgres.ts";
import type { AggregateTopics, TopicKind } from "../../engine/topic.ts";
import { auditPartitions, type AuditReport } from "./audit-partitions.ts";
import type { AuditedPartition, HangingTransaction } from "./audited-log.ts";
import type { ClientHistory } from "./clients.ts";
import { ExpectedComparison, type Expected } from "./expected.ts";
import type { Findings } from "./findings.ts";
import type { LogReader, Mark } from "./log-reader.ts";
import type { AnyDecider } from "./oracle.ts";
import type { DomainCheck } from "./partition-audit.ts";
import type { PositionSample } from "./samples.ts";
import type { Snapshots } from "./snapshots.ts";
import { inSnapshot } from "./views.ts";

/** The audit as a whole: in which order to look, so that what goes on meanwhile is not taken for harm. */

/** What an application adds for one of its aggregates. */
export interface AuditedAggregate<V> {
  readonly topics: AggregateTopics;
  /** Whom the oracle asks. */
  readonly decider?: AnyDecider;
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
  /** What clients saw; see `readClientHistory`. */
  readonly clients?: ClientHistory;
  /** Positions as they were seen; see `readSamples`. */
  readonly samples?: Iterable<PositionSample> | AsyncIterable<PositionSample>;
  /** Milliseconds since the epoch: the oracle is asked of what was decided since. */
  readonly decidedSince?: number;
  readonly onProgress: (progress: Progress) => void;
}

export interface Progress {
  readonly aggregate: string;
  readonly partition: number;
  readonly partitions: number;
  /** How many records were read so far, of all topics. */
  readonly records: number;
}

export type { AuditReport, InvariantReport } from "./audit-partitions.ts";

/**
 * Audits one aggregate: log, views and snapshots, and what clients and samples tell of it where they are given. The
 * bank may go on meanwhile: what is under way is not judged before it is done. Throws `TransientError` or `FatalError`
 * where something cannot be looked at.
 */
export async function audit<V>(
  options: AuditOptions<V>,
  signal: AbortSignal,
): Promise<AuditReport> {
  const { aggregate, log, database, onProgress, codec, clients, samples, decidedSince } = options;
  const { topics, decider } = aggregate;
  const expected = options.expected === null ? null : new ExpectedComparison(options.expected);
  await requireTopics(log, topics);

  const views = await inSnapshot(database, (session) => aggregate.readViews(session), signal);
  const marks = await marksOf(log, topics);
  const { partitions } = topics.commands;
  let records = 0;
  const report = await auditPartitions(
    {
      ...{ topics, codec },
      partitions: Array.from({ length: partitions }, (_, partition) =>
        partitionAt(log, topics, marks, partition),
      ),
      domain: ({ source, findings, snapshots }) => {
        const context = { topics, codec, source, findings, views, database, expected, signal };
        return aggregate.check(context, snapshots);
      },
      hanging: () => hangingIn(log, topics, marks),
      progress: (partition, read) => {
        records += read;
        onProgress({ aggregate: topics.aggregate, partition, partitions, records });
      },
      ...(decider !== undefined && { decider }),
      ...(decidedSince !== undefined && { decidedSince }),
      ...(clients !== undefined && { clients }),
      ...(samples !== undefined && { samples }),
    },
    signal,
  );
  const comparison = expected?.result() ?? null;
  const hasHeld = report.hasHeld && (comparison?.differences.length ?? 0) === 0;
  return { ...report, hasHeld, rows: aggregate.rowsOf(views), expected: comparison };
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

/** In all of the aggregate's topics, and where its processor's offsets are committed if we may look there. */
async function hangingIn(
  log: LogReader,
  topics: AggregateTopics,
  marks: Marks,
): Promise<readonly (HangingTransaction | null)[]> {
  const places = markOrder.flatMap((kind) =>
    marks[kind].map(({ end }, partition) => ({ topic: topics[kind].name, partition, end })),
  );
  places.push(...(await placesOfOffsets(log, topics)));
  return Promise.all(places.map(({ end, ...of }) => log.hanging(of, end)));
}

/** Kafka's own topic of committed offsets, which a transaction writes to as well. */
const offsetsTopic = "__consumer_offsets";

/** The partition in which the processor's group commits (Kafka's GroupMetadataManager#partitionFor). */
async function placesOfOffsets(log: LogReader, { namespace, aggregate }: AggregateTopics) {
  try {
    const partitions = await log.partitionsOf(offsetsTopic);
    const group = `${namespace}.${aggregate}`;
    let hash = 0; // Java's String#hashCode.
    for (let i = 0; i < group.length; i++) hash = (Math.imul(31, hash) + group.charCodeAt(i)) | 0;
    const of = { topic: offsetsTopic, partition: (hash & 0x7fffffff) % partitions };
    return [{ ...of, end: (await log.mark(of)).end }];
  } catch (error) {
    // Not every auditor may look there, and where no group has ever been it is missing.
    if (error instanceof FatalError && mayBeUnseen.has(error.code)) return [];
    throw error;
  }
}

const mayBeUnseen: ReadonlySet<string> = new Set(["UNAUTHORIZED", "TOPIC_MISSING"]);
