import type { Codec } from "../codec.ts";
import type { Decider, Message } from "../decider.ts";
import { WriterLostError } from "../errors.ts";
import type { AggregateTopics } from "../topic.ts";
import { Answers, sortable, type WindowLimits } from "./answers.ts";
import type { Aggregate } from "./settle.ts";
import { Section, type Store } from "./store.ts";

/** What a command processor knows in one partition: every aggregate's state, the answers given, how far it is. */

/** How far the partition has been read. Offsets are positions: the next one to read. */
export interface Progress {
  /** The next command to consume. */
  commands: bigint;
  events: bigint;
  snapshots: bigint;
  replies: bigint;
  lastEvent: { readonly offset: bigint; readonly key: string } | null;
  /** Milliseconds since the epoch; event time never goes back within a partition. */
  lastEventTime: number;
}

/** An aggregate with its state as bytes, and since when no snapshot has it as it is. */
export interface Entry<S> extends Aggregate<S> {
  readonly bytes: Buffer;
  /** The offset and time of the first event that no snapshot reflects; `null` where one reflects all. */
  readonly dirty: { readonly since: bigint; readonly at: number } | null;
}

/** What makes a local store this one's and no other's. A store that says otherwise is dropped. */
export interface StoreIdentity {
  readonly clusterId: string;
  readonly topic: string;
  readonly partition: number;
  readonly partitions: number;
  readonly fold: string;
}

export interface PartitionStateOptions<S> {
  readonly decider: Decider<S, Message, Message, string>;
  readonly topics: AggregateTopics;
  readonly codec: Codec;
  readonly store: Store;
  readonly identity: StoreIdentity;
  /** Unique to this run: the store's compare tells one writer from another by it. */
  readonly owner: string;
  readonly window: WindowLimits;
  /** How many decoded states are kept in memory. */
  readonly maxCached: number;
}

/** Of what is stored and what it means; a store of another one is dropped. */
const format = 2;

interface StoredCheckpoint extends StoreIdentity {
  readonly format: typeof format;
  /** Unique for each write: what the compare compares. */
  readonly mark: string;
  /** `false` while a restore from nothing is under way: such a store is of no use to the next one. */
  readonly whole: boolean;
  readonly writtenAt: number;
  readonly commands: string;
  readonly events: string;
  readonly snapshots: string;
  readonly replies: string;
  readonly lastEvent: { readonly offset: string; readonly key: string } | null;
  readonly lastEventTime: number;
  readonly answers: number;
  readonly horizon: number | null;
  readonly latestIssueTime: number | null;
}

/** The fold that made a state: the decider's number and the shape of what it folds into. */
export function foldIdentity(foldVersion: number, topics: AggregateTopics): string {
  const [state] = topics.snapshots.records;
  return `${foldVersion}-${(state?.versions.at(-1)?.fingerprint ?? "").slice(0, 16)}`;
}

export class PartitionState<S> {
  readonly answers: Answers;
  readonly progress: Progress;
  private readonly options: PartitionStateOptions<S>;
  private readonly states: Section;
  /** Offset of the first unsnapshotted event → aggregate id: who has waited longest for a snapshot. */
  private readonly unsnapshotted: Section;
  private readonly cache = new Map<string, Entry<S>>();
  private readonly absent: Entry<S>;
  private written: Buffer | null;
  private writes = 0;

  private constructor(
    options: PartitionStateOptions<S>,
    written: Buffer | null,
    stored: StoredCheckpoint | null,
  ) {
    this.options = options;
    this.written = written;
    this.states = new Section(options.store, "s");
    this.unsnapshotted = new Section(options.store, "q");
    this.answers = new Answers(options.store, options.window);
    this.absent = {
      state: options.decider.initialState,
      version: 0,
      bytes: Buffer.alloc(0),
      dirty: null,
    };
    this.progress = {
      commands: BigInt(stored?.commands ?? 0),
      events: BigInt(stored?.events ?? 0),
      snapshots: BigInt(stored?.snapshots ?? 0),
      replies: BigInt(stored?.replies ?? 0),
      lastEvent: stored?.lastEvent
        ? { offset: BigInt(stored.lastEvent.offset), key: stored.lastEvent.key }
        : null,
      lastEventTime: stored?.lastEventTime ?? 0,
    };
    this.answers.count = stored?.answers ?? 0;
    this.answers.horizon = stored?.horizon ?? null;
    this.answers.latestIssueTime = stored?.latestIssueTime ?? null;
  }

  /**
   * Opens what the local store holds, and takes the store over: a writer that had it before finds at its next
   * write that it has it no more. Where the store belongs to another log or fold, is half restored, or was
   * written before `notBefore`, it is emptied, and `restored` is `false`.
   */
  static open<S>(
    options: PartitionStateOptions<S>,
    now: number,
    notBefore: number,
  ): { state: PartitionState<S>; restored: boolean } {
    const found = options.store.checkpoint();
    const stored = parseCheckpoint(found);
    const { clusterId, topic, partition, partitions, fold } = options.identity;
    const usable =
      stored !== null &&
      stored.whole &&
      stored.clusterId === clusterId &&
      stored.topic === topic &&
      stored.partition === partition &&
      stored.partitions === partitions &&
      stored.fold === fold &&
      stored.writtenAt >= notBefore;
    if (!usable) return { state: PartitionState.anew(options, found, now), restored: false };
    const state = new PartitionState(options, found, stored);
    state.write(true, now);
    return { state, restored: true };
  }

  /** Empties the store, where its checkpoint is still `found`, and takes it over. */
  private static anew<S>(
    options: PartitionStateOptions<S>,
    found: Buffer | null,
    now: number,
  ): PartitionState<S> {
    const claim = Buffer.from(options.owner, "utf8");
    if (!options.store.empty(found, claim)) throw storeLost();
    const state = new PartitionState(options, claim, null);
    state.write(false, now);
    return state;
  }

  /** Empties the store, which the log contradicts, and begins with nothing. */
  emptied(now: number): PartitionState<S> {
    return PartitionState.anew(this.options, this.written, now);
  }

  get(aggregateId: string): Entry<S> {
    const cached = this.cache.get(aggregateId);
    if (cached) {
      this.cache.delete(aggregateId); // To the end of the order: the most recently used.
      this.cache.set(aggregateId, cached);
      return cached;
    }
    const bytes = this.states.get(aggregateId);
    const entry = bytes === null ? this.absent : this.decodeEntry(bytes);
    this.keepInCache(aggregateId, entry);
    return entry;
  }

  set(aggregateId: string, entry: Entry<S>): void {
    const before = this.get(aggregateId);
    if (before.dirty && before.dirty.since !== entry.dirty?.since) {
      this.unsnapshotted.delete(sortable(before.dirty.since));
    }
    if (entry.dirty && before.dirty?.since !== entry.dirty.since) {
      this.unsnapshotted.set(sortable(entry.dirty.since), Buffer.from(aggregateId, "utf8"));
    }
    this.states.set(aggregateId, encodeEntry(entry));
    this.keepInCache(aggregateId, entry);
  }

  /** As if nothing had been read of an aggregate of which there is only a snapshot. */
  forget(aggregateId: string): void {
    this.states.delete(aggregateId);
    this.cache.delete(aggregateId);
  }

  /** The aggregates that no snapshot reflects, the longest unreflected first. */
  *dirtyLongest(): Generator<readonly [aggregateId: string, since: bigint]> {
    for (const [since, id] of this.unsnapshotted.inOrder())
      yield [id.toString("utf8"), BigInt(since)];
  }

  encodeState(state: S): Buffer {
    const [type] = this.options.topics.snapshots.records;
    // A copy: the codec's slices share large blocks, which a small state must not keep alive.
    return Buffer.from(
      this.options.codec.encode(this.options.topics.snapshots, type?.name ?? "", state as object),
    );
  }

  decodeState(bytes: Buffer): S {
    return this.options.codec.decode(this.options.topics.snapshots, bytes).data as S;
  }

  /** How many entries wait to be written to the store. */
  get unwritten(): number {
    return this.sections().reduce((sum, section) => sum + section.size, 0);
  }

  /**
   * Writes everything to the store, in one transaction with the progress. `whole`: the store can be restored
   * from.
   * @throws WriterLostError `fenced` where another writer has taken the store
   */
  write(whole: boolean, now: number): void {
    const { progress, answers } = this;
    const checkpoint: StoredCheckpoint = {
      ...this.options.identity,
      format,
      mark: `${this.options.owner}/${this.writes++}`,
      whole,
      writtenAt: now,
      commands: String(progress.commands),
      events: String(progress.events),
      snapshots: String(progress.snapshots),
      replies: String(progress.replies),
      lastEvent: progress.lastEvent && {
        offset: String(progress.lastEvent.offset),
        key: progress.lastEvent.key,
      },
      lastEventTime: progress.lastEventTime,
      answers: answers.count,
      horizon: answers.horizon,
      latestIssueTime: answers.latestIssueTime,
    };
    const next = Buffer.from(JSON.stringify(checkpoint), "utf8");
    const changes = new Map<string, Buffer | null>();
    for (const section of this.sections()) section.drainInto(changes);
    if (!this.options.store.replace(this.written, next, changes)) throw storeLost();
    this.written = next;
  }

  /**
   * Where two workers share a folder, the one that lost the partition may take the store from the one that has it,
   * for it learns of its loss late. What was read since may be of the other's making, and must not be acted on.
   * Whoever takes a store changes its checkpoint first; so whatever was read before this returns was ours.
   * @throws WriterLostError `fenced` where another writer has taken the store
   */
  requireStore(): void {
    const found = this.options.store.checkpoint();
    if (found === null || this.written?.equals(found) !== true) throw storeLost();
  }

  private sections(): readonly Section[] {
    return [this.states, this.unsnapshotted, ...this.answers.sections];
  }

  private keepInCache(aggregateId: string, entry: Entry<S>): void {
    this.cache.delete(aggregateId);
    this.cache.set(aggregateId, entry);
    if (this.cache.size <= this.options.maxCached) return;
    for (const oldest of this.cache.keys()) {
      this.cache.delete(oldest);
      break;
    }
  }

  private decodeEntry(stored: Buffer): Entry<S> {
    const since = stored.readBigInt64BE(8);
    const bytes = stored.subarray(entryHeadBytes);
    return {
      version: stored.readDoubleBE(0),
      dirty: since < 0n ? null : { since, at: stored.readDoubleBE(16) },
      bytes,
      state: this.decodeState(bytes),
    };
  }
}

function storeLost(): WriterLostError {
  return new WriterLostError("fenced", "Another worker has taken over the local store");
}

const entryHeadBytes = 8 + 8 + 8;

function encodeEntry<S>({ version, dirty, bytes }: Entry<S>): Buffer {
  const stored = Buffer.allocUnsafe(entryHeadBytes + bytes.length);
  stored.writeDoubleBE(version, 0);
  stored.writeBigInt64BE(dirty?.since ?? -1n, 8);
  stored.writeDoubleBE(dirty?.at ?? 0, 16);
  bytes.copy(stored, entryHeadBytes);
  return stored;
}

function parseCheckpoint(bytes: Buffer | null): StoredCheckpoint | null {
  if (bytes === null) return null;
  try {
    const parsed = JSON.parse(bytes.toString("utf8")) as StoredCheckpoint;
    return (parsed as { format: number }).format === format ? parsed : null;
  } catch {
    return null; // Not one of ours: dropped, and folded anew.
  }
}
