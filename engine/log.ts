/**
 * The port: the little that the loops ask of a broker. Two adapters implement it, `kafka/` over a real
 * broker and `testing/memory-log.ts` in memory; `test/log-contract.ts` holds both to what is said here.
 *
 * Offsets are `bigint`. Reading is always `read_committed`: a record of an open or aborted transaction is
 * never returned.
 */

/** One partition of one topic. Partitions count from 0. */
export interface TopicPartition {
  readonly topic: string;
  readonly partition: number;
}

/** Header names may repeat; `headerOf` takes the last, as Kafka's own clients do. */
export type Headers = readonly (readonly [name: string, value: Buffer | null])[];

/** A record as it is in the log. */
export interface LogRecord {
  readonly offset: bigint;
  /** Milliseconds since the epoch: the append time or the producer's, as the topic is configured. */
  readonly timestamp: number;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: Headers;
}

/** What one read found. */
export interface Slice {
  /** The committed data records at or after the offset asked for, in offset order; may be empty. */
  readonly records: readonly LogRecord[];
  /**
   * The position after this slice: where to read next. Control records, aborted records and batches that
   * compaction has emptied are counted, so it can move although `records` is empty.
   */
  readonly next: bigint;
  /** Where the log began, when this was read. */
  readonly start: bigint;
  /** The last stable offset: the first offset of the oldest open transaction, else `end`. */
  readonly stable: bigint;
  /** The high watermark: the offset that the next record will have. */
  readonly end: bigint;
}

/** How much one read brings, and how long it waits. */
export interface ReadLimits {
  /** A target, in bytes: at least one whole record batch is returned where there is one. */
  readonly maxBytes: number;
  /** How long to wait at the end of the log for a record to come, in milliseconds. */
  readonly maxWaitMs: number;
}

/** Connections of their own, so that a long wait here holds up nobody else. Not for concurrent calls. */
export interface Reader {
  /**
   * Reads from `offset`. Waits out a leader election or a lost connection with a bounded back-off; an
   * aborted `signal` makes it return what it has, at the latest within the wait.
   * @throws FatalError `OFFSET_OUT_OF_RANGE` where `offset` is before the start or after the end of the log
   * @throws FatalError `CORRUPT_BATCH` where a batch fails its checksum
   */
  read(
    from: TopicPartition & { readonly offset: bigint },
    limits: ReadLimits,
    signal: AbortSignal,
  ): Promise<Slice>;
  /** The bounds of a partition now; see `Slice` for their meaning. */
  offsets(of: TopicPartition, signal: AbortSignal): Promise<LogOffsets>;
  close(): Promise<void>;
}

/** Where a partition begins and ends; see `Slice` for each of them. */
export interface LogOffsets {
  readonly start: bigint;
  readonly stable: bigint;
  readonly end: bigint;
}

/** A record to be appended, to the partition that it names. */
export interface OutRecord extends TopicPartition {
  readonly key: string | Buffer | null;
  readonly value: Buffer | null;
  readonly headers: readonly (readonly [name: string, value: string | Buffer | null])[];
  /** Milliseconds since the epoch; ignored by a topic with append time. */
  readonly timestamp: number;
}

/** What is appended and consumed together, or not at all. */
export interface Transaction {
  readonly records: readonly OutRecord[];
  /** The group offset to commit with them: the next offset to consume. */
  readonly consumed: (TopicPartition & { readonly group: string; readonly offset: bigint }) | null;
}

/** The offset of each record sent, in the order given. */
export type Receipt = readonly bigint[];

/**
 * A transactional producer with a stable id. Opening a second one with the same id fences this one: its
 * open transaction is aborted, and each later call throws `WriterLostError`.
 */
export interface Writer {
  /**
   * Appends all of it or nothing. After any throw the writer is closed for good (law P1).
   * @throws WriterLostError `fenced` when another writer has the id; `indefinite` when nobody can tell
   *   whether the transaction was committed
   * @throws FatalError when the broker refuses for a reason that no retry cures
   */
  transact(transaction: Transaction): Promise<Receipt>;
  /** Lets go of the connections; an open transaction is left for the next owner to abort. */
  close(): Promise<void>;
}

/** An idempotent producer without transactions, for clients that send commands. */
export interface Producer {
  /**
   * Appends the records, each topic partition in the order given, and returns their offsets.
   * @throws WriterLostError `indefinite` when some may or may not be in the log: open another producer and
   *   send the same command ids again
   * @throws FatalError when the broker refuses for a reason that no retry cures
   */
  send(records: readonly OutRecord[]): Promise<Receipt>;
  close(): Promise<void>;
}

/** A member of a consumer group. The group only assigns; it is not asked for offsets. */
export interface Membership {
  /**
   * The partitions now assigned to this member: at once where the assignment has changed since the last
   * call, else when it changes. Resolves to `null` once `signal` aborts or the group was left.
   */
  next(signal: AbortSignal): Promise<readonly TopicPartition[] | null>;
  /**
   * Law P1: sends a heartbeat and tells whether it was accepted in the current generation with the
   * partition still assigned. Anything else is `false`; then the partition must be dropped.
   */
  confirm(of: TopicPartition): Promise<boolean>;
  leave(): Promise<void>;
}

/** A topic as the broker has it. */
export interface TopicDescription {
  readonly partitions: number;
  readonly replicationFactor: number;
  /** Every setting in force, defaults included. */
  readonly config: ReadonlyMap<string, string>;
}

/** A topic to be created. */
export interface TopicSpec {
  readonly name: string;
  readonly partitions: number;
  readonly replicationFactor: number;
  readonly config: Readonly<Record<string, string>>;
}

/** Which group to join, and whose partitions it shares out. */
export interface GroupOptions {
  readonly group: string;
  readonly topics: readonly string[];
  /**
   * Who joins, by a name that stays the same when the process is started again (KIP-345): it then takes its dead
   * predecessor's place at once, and nobody waits until that one's session is over. Of two members of one name
   * the earlier is out, and goes on without a name. Left out, or `null`: a new member each time.
   */
  readonly instance?: string | null;
}

/** Who writes. */
export interface WriterOptions {
  readonly transactionalId: string;
}

/** A broker, or a cluster of them: topics, groups, and the ways to read and write. */
export interface Log {
  /** The id of the cluster, which tells one log from another with the same names. */
  clusterId(): Promise<string>;
  describeTopic(topic: string): Promise<TopicDescription | null>;
  createTopic(spec: TopicSpec): Promise<void>;
  /** Sets the given settings and leaves the others as they are. */
  alterTopic(topic: string, config: Readonly<Record<string, string>>): Promise<void>;
  /**
   * The group's committed offset, or `null` where there is none. That of a transaction just committed may
   * still be missing, until its markers are written; `openWriter` with the same id waits for them.
   */
  committedOffset(group: string, of: TopicPartition): Promise<bigint | null>;
  openReader(): Promise<Reader>;
  /**
   * InitProducerId: on return every earlier writer with this id is fenced and its open transaction ended.
   * @throws WriterLostError `indefinite` when nobody can tell whether that has happened
   */
  openWriter(options: WriterOptions): Promise<Writer>;
  openProducer(): Promise<Producer>;
  join(options: GroupOptions): Promise<Membership>;
  close(): Promise<void>;
}

/** The last header of that name as text, or `null`. */
export function headerOf(record: Pick<LogRecord, "headers">, name: string): string | null {
  for (let i = record.headers.length - 1; i >= 0; i--) {
    const header = record.headers[i];
    if (header?.[0] === name) return header[1] === null ? null : header[1].toString("utf8");
  }
  return null;
}
