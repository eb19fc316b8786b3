import { backOff, dependencyBackoff } from "../backoff.ts";
import { type Clock, isAborted } from "../clock.ts";
import type { Codec } from "../codec.ts";
import { FatalError, invariant, TransientError, WriterLostError } from "../errors.ts";
import type { Reader, TopicPartition } from "../log.ts";
import type { AnyProjection } from "../projection.ts";
import { type Batch, type BatchLimits, ReadAhead } from "../read-ahead.ts";
import type { Topic } from "../topic.ts";
import { halves, type Obstacle, projected } from "./projected-batch.ts";
import { UnapplicableError } from "./rows.ts";
import { type Checkpoint, sameCheckpoint, type Views } from "./views.ts";

export interface ProjectionRun {
  readonly projection: AnyProjection;
  /** Of one of the projection's topics. */
  readonly topicPartition: TopicPartition;
  /** This run's own. It is not closed here. */
  readonly reader: Reader;
  readonly codec: Codec;
  readonly views: Views;
  readonly clock: Clock;
  /** Law P1: whether the group, just asked, still has this partition here; see `Membership.confirm`. */
  readonly confirm: (of: TopicPartition) => Promise<boolean>;
  readonly hooks: ProjectionHooks;
  readonly limits: BatchLimits;
}

/** A megabyte is some ten thousand events: enough to make a transaction cheap, and little to do again. */
export const projectionLimits: BatchLimits = {
  maxRecords: 5_000,
  maxBytes: 1_048_576,
  maxWaitMs: 500,
  maxAheadBytes: 2_097_152,
};

/** What a run tells of itself, for metrics, readiness and one line of log a change of state. */
export interface ProjectionHooks {
  /** At the start, after each commit, and after each read that found nothing. */
  progress(progress: Progress): void;
  /** Something that time may cure; the run goes back to the stored checkpoint after a pause. */
  retrying(trouble: Trouble): void;
  /** The partition stands still at an event that the view cannot take, until this process starts again. */
  stopped(stop: Stop): void;
}

export interface Progress {
  readonly topicPartition: TopicPartition;
  /** The offset to read next: what is before it is in the view. */
  readonly position: bigint;
  /** The high watermark, when it was last seen. */
  readonly end: bigint;
  /** `end` − `position`, control records included; 0 where the view has all. */
  readonly lagEvents: number;
  /**
   * How old the last event in the view is, in seconds; 0 where the view has all, `null` where it has not all
   * and this run has not seen an event yet.
   */
  readonly lagSeconds: number | null;
  /** Events applied and rows written since the last report. */
  readonly events: number;
  readonly rows: number;
}

export interface Trouble {
  readonly topicPartition: TopicPartition;
  /** Counts from 0, anew after each commit. */
  readonly attempt: number;
  readonly error: TransientError | WriterLostError;
}

export interface Stop {
  readonly topicPartition: TopicPartition;
  readonly offset: bigint;
  /** `<topic>/<partition>/<offset>` */
  readonly coordinates: string;
  /** The record's key, `<aggregate id>/<version>` where it is as it should be; `null` where it has none. */
  readonly key: string | null;
  /** The event's type; `null` where its bytes could not be decoded. */
  readonly type: string | null;
  readonly cause: Obstacle["cause"];
}

/** `dropped`: another worker has the partition now. */
export type ProjectionEnd = "aborted" | "dropped";

/**
 * Keeps one projection's view of one partition until `signal` aborts: reads events, applies them, and writes
 * rows and checkpoint in one transaction. A crash anywhere leaves the view at a checkpoint, and the next run
 * goes on from there; a worker that has been replaced cannot write (its checkpoint is not the stored one).
 *
 * Whatever goes wrong, there is one way back: after a pause, read the stored checkpoint and go on from it.
 * An event that the view cannot take stops the partition there. Nothing is skipped, and all before it is in.
 * @throws FatalError `LOG_TRUNCATED` where the checkpoint is beyond the end of the log; `OFFSET_OUT_OF_RANGE`
 *   where it is before its start; and what the reader, the codec and the views throw of that kind
 */
export async function runProjection(
  run: ProjectionRun,
  signal: AbortSignal,
): Promise<ProjectionEnd> {
  const { topicPartition, hooks, clock } = run;
  const memory: Memory = { attempts: 0, position: null };
  const running: Running = { ...run, topic: topicOf(run), signal };
  while (!isAborted(signal)) {
    try {
      await project(running, memory);
    } catch (error) {
      if (isAborted(signal) && error === signal.reason) break;
      if (!(error instanceof TransientError || error instanceof WriterLostError)) throw error;
      if (error instanceof WriterLostError && !(await run.confirm(topicPartition))) {
        return "dropped";
      }
      const attempt = memory.attempts;
      memory.attempts += 1;
      hooks.retrying({ topicPartition, attempt, error });
      await reportIfPossible(running, memory.position);
      await backOff(dependencyBackoff, attempt, clock, signal);
    }
  }
  return "aborted";
}

/** What outlives trouble: only the stored checkpoint says where to go on from. */
interface Memory {
  /** Since the last commit. */
  attempts: number;
  /** For reports alone. */
  position: Position | null;
}

interface Running extends ProjectionRun {
  readonly topic: Topic;
  readonly signal: AbortSignal;
}

/** How far a run has come. */
interface Position {
  /** As stored; `null` before the first commit on this partition. */
  readonly checkpoint: Checkpoint | null;
  readonly offset: bigint;
  /** Of the last event that this run has applied, in milliseconds since the epoch. */
  readonly lastEventTime: number | null;
}

/** How often a partition that has nothing to do reports that. */
const idleMs = 1_000;
/** How often it looks whether the view still stands where it left it. */
const lookMs = 5_000;

/** From the stored checkpoint to the abort, or to the first trouble. */
async function project(run: Running, memory: Memory): Promise<void> {
  const { reader, topicPartition, limits, clock, signal } = run;
  let position = await start(run, memory);
  let seenAt = clock.now();
  const ahead = new ReadAhead(reader, topicPartition, position.offset, limits);
  try {
    for (;;) {
      const batch = await ahead.take(clock, idleMs, signal);
      if (signal.aborted) return;
      if (batch.next === position.offset) {
        if (clock.now() - seenAt >= lookMs) {
          await requireUnmoved(run, position);
          seenAt = clock.now();
        }
        report(run, position, ahead);
        continue;
      }
      const written = await commitAll(run, position, batch);
      seenAt = clock.now();
      position = written.position;
      memory.attempts = 0;
      memory.position = position;
      report(run, position, { ...written, end: ahead.end });
      if (written.obstacle !== null) {
        await ahead.stop(); // So that the reader is free for what follows.
        await standStill(run, position, written.obstacle);
        return;
      }
    }
  } finally {
    await ahead.stop();
  }
}

/**
 * A failover that loses the view's end must not go unseen until the next event comes, which may be never.
 * @throws WriterLostError `fenced` where the stored checkpoint is not the one that this run wrote
 */
async function requireUnmoved(run: Running, { checkpoint }: Position): Promise<void> {
  const { topicPartition, projection, views, signal } = run;
  const stored = await views.checkpoint(topicPartition, signal);
  if (isAborted(signal) || sameCheckpoint(stored, checkpoint)) return;
  const { topic, partition } = topicPartition;
  throw new WriterLostError(
    "fenced",
    `the checkpoint of "${projection.name}" on ${topic}/${partition} has moved by itself`,
  );
}

/** Where the view stands and the log begins and ends: the position to go on from. */
async function start(run: Running, memory: Memory): Promise<Position> {
  const { topicPartition, projection, reader, views, signal } = run;
  const checkpoint = await views.checkpoint(topicPartition, signal);
  const log = await reader.offsets(topicPartition, signal);
  signal.throwIfAborted();
  const offset = checkpoint?.nextOffset ?? log.start;

  const { topic, partition } = topicPartition;
  const said = `projection "${projection.name}" has read ${topic}/${partition} up to ${offset}`;
  const mend =
    "Restore the log, or raise the projection's version to fill new tables from what is left";
  if (offset > log.end) {
    throw new FatalError(
      "LOG_TRUNCATED",
      `${said}, but the log ends at ${log.end}: it was deleted or recreated. ${mend}`,
    );
  }
  if (offset < log.start) {
    throw new FatalError(
      "OFFSET_OUT_OF_RANGE",
      `${said}, but the log begins at ${log.start}: events are gone that the view never had. ${mend}`,
    );
  }
  const lastEventTime = memory.position?.lastEventTime ?? null;
  memory.position = { checkpoint, offset, lastEventTime };
  report(run, memory.position, log);
  return memory.position;
}

interface Written {
  readonly position: Position;
  readonly events: number;
  readonly rows: number;
  readonly obstacle: Obstacle | null;
}

/**
 * Commits a batch. Where the view cannot take it, commits its halves in turn, and so comes upon the one
 * event that is to blame, with everything before it committed.
 */
async function commitAll(run: Running, position: Position, batch: Batch): Promise<Written> {
  try {
    return await commit(run, position, batch);
  } catch (error) {
    if (!(error instanceof UnapplicableError)) throw error;
    const parts = halves(batch);
    if (parts === null) return stuckAt(run, position, { batch, cause: error });
    const left = await commitAll(run, position, parts[0]);
    if (left.obstacle !== null) return left;
    const right = await commitAll(run, left.position, parts[1]);
    return { ...right, events: left.events + right.events, rows: left.rows + right.rows };
  }
}

async function commit(run: Running, position: Position, batch: Batch): Promise<Written> {
  const { topicPartition, views, codec, signal } = run;
  await codec.learn(
    batch.records.map(({ value }) => value),
    signal,
  );
  signal.throwIfAborted();

  const changed = projected(run, batch, position.checkpoint);
  const { changes, checkpoint, events, obstacle } = changed;
  const rows = changes.reduce((sum, table) => sum + table.rows.length, 0);
  if (checkpoint.nextOffset === position.offset) return { position, events, rows, obstacle };

  const expected = position.checkpoint;
  await views.commit({ topicPartition, expected, next: checkpoint, changes }, signal);
  const lastEventTime = changed.lastEventTime ?? position.lastEventTime;
  const after = { checkpoint, offset: checkpoint.nextOffset, lastEventTime };
  return { position: after, events, rows, obstacle };
}

/** A single record that was decoded and applied, and whose rows the view refuses. */
function stuckAt(
  { codec, topic }: Running,
  position: Position,
  { batch, cause }: { readonly batch: Batch; readonly cause: UnapplicableError },
): Written {
  const [record] = batch.records;
  const value = record?.value ?? null;
  invariant(record !== undefined && value !== null, "only an event makes rows to refuse");
  const { type } = codec.decode(topic, value);
  return { position, events: 0, rows: 0, obstacle: { record, type, cause } };
}

function topicOf({ projection, topicPartition }: ProjectionRun): Topic {
  const topic = projection.topics.find(({ name }) => name === topicPartition.topic);
  invariant(topic !== undefined, `"${projection.name}" does not read ${topicPartition.topic}`);
  return topic;
}

/** How often a partition that stands still looks how far it falls behind. */
const standStillMs = 5_000;

/** Says that the partition stands still, and from then on only how far it falls behind. */
async function standStill(run: Running, position: Position, obstacle: Obstacle): Promise<void> {
  const { topicPartition, hooks, clock, signal } = run;
  const { record, type, cause } = obstacle;
  hooks.stopped({
    topicPartition,
    offset: record.offset,
    coordinates: `${topicPartition.topic}/${topicPartition.partition}/${record.offset}`,
    key: record.key?.toString("utf8") ?? null,
    type,
    cause,
  });
  while (!isAborted(signal)) {
    await clock.sleep(standStillMs, signal);
    await reportAnew(run, position);
  }
}

/** The log may be away too, and the partition may be taken away meanwhile: then nothing is reported. */
async function reportIfPossible(run: Running, position: Position | null): Promise<void> {
  try {
    await reportAnew(run, position);
  } catch (error) {
    const isOver = isAborted(run.signal) && error === run.signal.reason;
    if (!isOver && !(error instanceof TransientError)) throw error;
  }
}

/** How far the view has fallen behind the log while it did not move. */
async function reportAnew(run: Running, position: Position | null): Promise<void> {
  const { reader, topicPartition, signal } = run;
  if (position === null || isAborted(signal)) return;
  const log = await reader.offsets(topicPartition, signal);
  if (!isAborted(signal)) report(run, position, log);
}

function report(
  { topicPartition, clock, hooks }: Running,
  { offset, lastEventTime }: Position,
  seen: { readonly end: bigint; readonly events?: number; readonly rows?: number },
): void {
  const end = seen.end > offset ? seen.end : offset;
  const lagEvents = Number(end - offset);
  const age = lastEventTime === null ? null : Math.max(0, clock.now() - lastEventTime) / 1000;
  const lagSeconds = lagEvents === 0 ? 0 : age;
  const { events = 0, rows = 0 } = seen;
  hooks.progress({ topicPartition, position: offset, end, lagEvents, lagSeconds, events, rows });
}
