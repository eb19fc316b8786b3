import { backOff, brokerBackoff } from "../backoff.ts";
import { type Clock, isAborted } from "../clock.ts";
import type { Codec } from "../codec.ts";
import type { Decider, Message } from "../decider.ts";
import { TransientError, WriterLostError } from "../errors.ts";
import type { Log, Reader, TopicPartition, Writer } from "../log.ts";
import { transactionalId } from "../message.ts";
import { type Batch, type BatchLimits, ReadAhead } from "../read-ahead.ts";
import type { AggregateTopics } from "../topic.ts";
import { type WindowLimits, windowLimits } from "./answers.ts";
import { commandReader } from "./command.ts";
import { CrashBreaker, type Suspicion } from "./crash-breaker.ts";
import { Draft, type DraftContext, type SnapshotLimits, snapshotLimits } from "./draft.ts";
import type { Note, OpenNote } from "./note.ts";
import { foldIdentity, PartitionState, type PartitionStateOptions } from "./partition-state.ts";
import { restore, withOwnStore } from "./restore.ts";
import type { Marks } from "./restore-reads.ts";
import type { OpenStore, Store } from "./store.ts";

/** One partition of commands of one aggregate, and all that it takes to process it. */
export interface CommandPartition<S> {
  readonly decider: Decider<S, Message, Message, string>;
  readonly topics: AggregateTopics;
  readonly partition: number;
  readonly group: string;
  readonly log: Log;
  readonly codec: Codec;
  readonly openStore: OpenStore;
  /** Left out where nothing outlives the process: then a command that kills it is not found out. */
  readonly openNote?: OpenNote;
  readonly clock: Clock;
  /** Law P1: whether the group, just asked, still has this partition here; see `Membership.confirm`. */
  readonly confirm: (of: TopicPartition) => Promise<boolean>;
  readonly hooks: CommandHooks;
  readonly limits: CommandLimits;
}

export interface CommandLimits extends BatchLimits {
  readonly window: WindowLimits;
  readonly snapshots: SnapshotLimits;
  /** How many decoded states each partition keeps in memory. */
  readonly maxCached: number;
  /** How long what is committed may wait before it is written to the local store. */
  readonly storeDelayMs: number;
  /**
   * So many changed entries of a restore wait for the local store at most. Fewer are written after the partition is
   * ready: the first command need not wait for the disk.
   */
  readonly maxUnwritten: number;
}

export const commandLimits: CommandLimits = {
  maxRecords: 500,
  maxBytes: 1 << 18,
  maxWaitMs: 500,
  maxAheadBytes: 1 << 20,
  window: windowLimits,
  snapshots: snapshotLimits,
  maxCached: 10_000,
  storeDelayMs: 200,
  maxUnwritten: 60_000,
};

/** What a partition tells of itself, for metrics, readiness and one line of log a change of state. */
export interface CommandHooks {
  /** After the fencing, before the restore; `reason` is why it was necessary. */
  opening(reason: "assigned" | "fenced" | "indefinite" | "transient", error: Error | null): void;
  /** An open transaction keeps the restore from its end, for so long by now; 0 when it does no more. */
  stuck(of: TopicPartition, stuckMs: number): void;
  /** The restore is over and commands are taken. */
  ready(restore: {
    readonly fromStore: boolean;
    readonly tookMs: number;
    readonly resume: bigint;
    /** The process before this one died while it handled commands. */
    readonly suspicion: Suspicion | null;
  }): void;
  committed(commit: Committed): void;
  /** How many commands are in the log and not consumed yet, control records counted; after each batch. */
  lag(records: number): void;
}

export interface Committed {
  /** `<command type> <outcome>` → how many. */
  readonly tally: ReadonlyMap<string, number>;
  /** The code of each dead letter. */
  readonly deadLetterCodes: readonly string[];
  /** The largest state that it led to, in bytes; 0 where no state changed. */
  readonly largestState: number;
  readonly commands: number;
  readonly tookMs: number;
  /** From the append of the oldest command of the batch to its commit; `null` for a batch of none. */
  readonly latencyMs: number | null;
  readonly next: bigint;
}

/** `dropped`: another worker has the partition now. */
export type CommandEnd = "aborted" | "dropped";

/** An idle partition looks this often whether a snapshot is due. */
const idleMs = 5_000;
/** Private state in the log that was deleted longer ago than this may have left no tombstone. */
const tombstoneLifeMs = 7 * 24 * 60 * 60 * 1000;

/**
 * Processes one partition of commands until `signal` aborts.
 *
 * Each batch is one Kafka transaction of its events, replies, snapshots, dead letters and the consumed
 * position: after a crash a command has all of its effects or none. The state follows only after the commit.
 * After a fencing or an indefinite error (law P1) the partition proves that it is still its own, and starts
 * again from the fencing of every earlier writer; so after any error, in fact: there is one way in.
 * @throws FatalError where this process must not go on
 */
export async function processCommands<S>(
  partition: CommandPartition<S>,
  signal: AbortSignal,
): Promise<CommandEnd> {
  const { clock, confirm, hooks } = partition;
  const of = { topic: partition.topics.commands.name, partition: partition.partition };
  let reason: Parameters<CommandHooks["opening"]>[0] = "assigned";
  let cause: Error | null = null;
  const failures = { inARow: 0 };
  for (; !isAborted(signal); failures.inARow++) {
    if (failures.inARow > 0) await backOff(brokerBackoff, failures.inARow - 1, clock, signal);
    if (!(await confirm(of))) return "dropped";
    hooks.opening(reason, cause);
    try {
      await runOnce(partition, failures, signal);
    } catch (error) {
      if (isAborted(signal)) break;
      if (error instanceof WriterLostError) reason = error.reason;
      else if (error instanceof TransientError) reason = "transient";
      else throw error;
      cause = error;
    }
  }
  return "aborted";
}

/** From the fencing to the first trouble. */
async function runOnce<S>(
  partition: CommandPartition<S>,
  failures: { inARow: number },
  signal: AbortSignal,
): Promise<void> {
  const { log, topics, openStore, openNote, partition: number } = partition;
  const id = transactionalId(
    `${topics.namespace}.${topics.aggregate}`,
    topics.commands.name,
    number,
  );
  // 1. Fence: from here on nobody else can write.
  const writer = await log.openWriter({ transactionalId: id });
  let reader: Reader | null = null;
  let store: Store | null = null;
  let note: Note | null = null;
  try {
    const name = `${topics.commands.name}/${number}`;
    reader = await log.openReader();
    store = await openStore(name);
    note = openNote?.(name) ?? null;
    // 2, 3 and 4. Marks, restore, resume.
    const restored = await restorePartition(partition, { reader, store, note }, signal);
    failures.inARow = -1; // It works: should it fail again, that is another failure.
    await withOwnStore(restored.state, () => work(partition, { writer, ...restored }, signal));
  } finally {
    await writer.close();
    await reader?.close();
    await store?.close();
    note?.close();
  }
}

async function restorePartition<S>(
  run: CommandPartition<S>,
  {
    reader,
    store,
    note,
  }: { readonly reader: Reader; readonly store: Store; readonly note: Note | null },
  signal: AbortSignal,
): Promise<Omit<Work<S>, "writer">> {
  const { decider, topics, partition, codec, clock, hooks, limits, log, group } = run;
  const startedAt = clock.now();
  const bounds = (topic: string) => reader.offsets({ topic, partition }, signal);
  // The snapshots first: whoever writes after that is found out by them, see `requireSoleWriter`.
  const marks: Marks = {
    snapshots: await bounds(topics.snapshots.name),
    events: await bounds(topics.events.name),
    replies: await bounds(topics.replies.name),
    commands: await bounds(topics.commands.name),
  };
  const fold = foldIdentity(decider.foldVersion, topics);
  const clusterId = await log.clusterId();
  const options: PartitionStateOptions<S> = {
    decider,
    topics,
    codec,
    store,
    identity: {
      clusterId,
      topic: topics.commands.name,
      partition,
      partitions: topics.commands.partitions,
      fold,
    },
    owner: `${startedAt}-${clock.random()}`,
    window: limits.window,
    maxCached: limits.maxCached,
  };
  const committed = await log.committedOffset(group, { topic: topics.commands.name, partition });
  const common = { decider, topics, partition, codec, reader, clock, fold, marks, committed };
  const onStuck = (of: TopicPartition, stuckMs: number) => {
    hooks.stuck(of, stuckMs);
  };

  const notBefore = startedAt - tombstoneLifeMs;
  const opened = PartitionState.open(options, startedAt, notBefore);
  const { maxUnwritten } = limits;
  const restoring = { ...common, onStuck, maxUnwritten, state: opened.state };
  const { state, fromStore, resume } = await restore(
    { ...restoring, fromStore: opened.restored },
    signal,
  );
  const breaker = new CrashBreaker(note, { clusterId, resume });
  const { suspicion } = breaker;
  hooks.ready({ fromStore, tookMs: clock.now() - startedAt, resume, suspicion });
  return { reader, state, resume, breaker };
}

interface Work<S> {
  readonly writer: Writer;
  readonly reader: Reader;
  readonly state: PartitionState<S>;
  readonly resume: bigint;
  readonly breaker: CrashBreaker;
}

/** The loop. Decode, settle against a draft, commit, keep the draft. */
async function work<S>(
  run: CommandPartition<S>,
  { reader, resume, ...working }: Work<S>,
  signal: AbortSignal,
): Promise<void> {
  const { topics, partition, clock, codec, hooks, limits } = run;
  const { state, breaker } = working;
  const of: TopicPartition = { topic: topics.commands.name, partition };
  const context: DraftContext<S> = {
    worker: topics.aggregate,
    group: run.group,
    decider: run.decider,
    topics,
    topicPartition: of,
    codec,
    commands: commandReader(topics, partition, codec),
    fold: foldIdentity(run.decider.foldVersion, topics),
    snapshots: limits.snapshots,
  };
  const ahead = new ReadAhead(reader, of, resume, limits);
  let storedAt = clock.now();
  try {
    while (!isAborted(signal)) {
      const batch = await ahead.take(
        clock,
        state.unwritten > 0 ? limits.storeDelayMs : idleMs,
        signal,
      );
      for (const portion of breaker.portions(batch)) {
        await handle(run, { context, ...working }, portion, signal);
        if (isAborted(signal)) break;
      }
      hooks.lag(Number(ahead.end - state.progress.commands));
      if (state.unwritten > 0 && clock.now() - storedAt >= limits.storeDelayMs) {
        state.write(true, clock.now());
        storedAt = clock.now();
      }
    }
    state.write(true, clock.now());
  } finally {
    await ahead.stop();
  }
}

/** One batch, one transaction; none where it would say nothing. */
async function handle<S>(
  { clock, codec, hooks }: CommandPartition<S>,
  {
    context,
    ...working
  }: Omit<Work<S>, "reader" | "resume"> & { readonly context: DraftContext<S> },
  batch: Batch,
  signal: AbortSignal,
): Promise<void> {
  const { writer, state, breaker } = working;
  const [first] = batch.records;
  const poison = first === undefined ? null : breaker.condemned(first);
  if (poison === null) {
    await codec.learn(
      batch.records.map(({ value }) => value),
      signal,
    );
  }
  if (isAborted(signal)) return;

  const startedAt = clock.now();
  const draft = new Draft(context, state, startedAt);
  if (first !== undefined && poison !== null) draft.bury(first, poison);
  else {
    breaker.surviving(batch, startedAt, () => {
      for (const record of batch.records) draft.consume(record);
    });
  }
  const transaction = draft.seal(batch.next);
  state.requireStore();
  if (batch.records.length > 0 || isDue(batch, draft, state)) {
    draft.keep(await writer.transact(transaction));
    hooks.committed(committed(draft, batch, clock.now(), startedAt));
  }
}
/** Whether a batch of no commands is worth a transaction: snapshots are due, or the position has moved. */
function isDue<S>(batch: Batch, draft: Draft<S>, state: PartitionState<S>): boolean {
  return draft.snapshotCount > 0 || batch.next > state.progress.commands;
}

function committed<S>(draft: Draft<S>, batch: Batch, now: number, startedAt: number): Committed {
  const [first] = batch.records;
  return {
    tally: draft.tally,
    deadLetterCodes: draft.deadLetterCodes,
    largestState: draft.largestState,
    commands: batch.records.length,
    tookMs: now - startedAt,
    latencyMs: first ? now - first.timestamp : null,
    next: batch.next,
  };
}
