import { backOff, coordinatorBackoff } from "../backoff.ts";
import { type Clock, systemClock } from "../clock.ts";
import { FatalError, invariant, WriterLostError } from "../errors.ts";
import type {
  GroupOptions,
  Log,
  LogOffsets,
  LogRecord,
  Membership,
  OutRecord,
  Producer,
  Reader,
  ReadLimits,
  Receipt,
  Slice,
  TopicDescription,
  TopicPartition,
  TopicSpec,
  Transaction,
  Writer,
  WriterOptions,
} from "../log.ts";
import { maxRecordBytes } from "../topic.ts";
import { MemoryCoordinator, type TransactionTimes } from "./memory-coordinator.ts";
import { type GroupTimes, MemoryGroup, MemoryMembership } from "./memory-group.ts";
import { type Decided, MemoryPartition, type MemoryTransaction } from "./memory-partition.ts";
import { type Call, type Network, NotNow } from "./network.ts";

const reliable: Network = async (_call, handle) => handle();

/** What a cluster of brokers takes its time for, and which of them does what. */
export interface Cluster {
  readonly transactions: TransactionTimes;
  readonly groups: GroupTimes;
  /** Who leads a partition, named `<topic>/<partition>`, or coordinates a transactional id or a group. */
  brokerOf(name: string): number;
}

/** What a log in memory is like: its id, its time, and the network before it. */
export interface MemoryLogOptions {
  readonly clusterId?: string;
  readonly clock?: Clock;
  readonly network?: Network;
  /** Without it there is one broker, which does everything at once, and nothing times out. */
  readonly cluster?: Cluster;
}

interface MemoryTopic {
  readonly spec: TopicSpec;
  readonly config: Map<string, string>;
  readonly partitions: MemoryPartition[];
}

/** What all who reach the same log share. */
interface Shared {
  readonly topics: Map<string, MemoryTopic>;
  readonly groupOffsets: Map<string, bigint>;
  readonly groups: Map<string, MemoryGroup>;
  readonly coordinator: MemoryCoordinator;
  readonly clock: Clock;
  readonly cluster: Cluster | null;
}

function shared(clock: Clock, cluster: Cluster | null): Shared {
  const groupOffsets = new Map<string, bigint>();
  return {
    topics: new Map(),
    groupOffsets,
    groups: new Map(),
    coordinator: new MemoryCoordinator(groupOffsets, clock, cluster?.transactions ?? null),
    clock,
    cluster,
  };
}

/**
 * The log in memory: transactions with control records, fencing, the last stable offset, compaction,
 * retention, groups. It is evidence only because it passes the same contract as a broker does.
 */
export class MemoryLog implements Log {
  private readonly shared: Shared;
  /** Of the process that reaches the log this way. */
  private readonly clock: Clock;
  private readonly network: Network;
  private readonly id: string;

  constructor(options: MemoryLogOptions = {}, of?: MemoryLog) {
    const { clock = systemClock, network = reliable, clusterId = "memory" } = options;
    this.id = clusterId;
    this.clock = clock;
    this.network = network;
    this.shared = of?.shared ?? shared(clock, options.cluster ?? null);
  }

  /** The same log, reached over another network: as by another process, which may have a clock of its own. */
  via(network: Network, clock: Clock = this.clock): MemoryLog {
    return new MemoryLog({ clock, network, clusterId: this.id }, this);
  }

  async clusterId(): Promise<string> {
    return this.id;
  }

  async describeTopic(name: string): Promise<TopicDescription | null> {
    const topic = this.shared.topics.get(name);
    if (!topic) return null;
    const { partitions, replicationFactor } = topic.spec;
    return { partitions, replicationFactor, config: topic.config };
  }

  async createTopic(spec: TopicSpec): Promise<void> {
    if (this.shared.topics.has(spec.name)) return;
    const config = new Map(
      Object.entries({ "max.message.bytes": String(maxRecordBytes), ...spec.config }),
    );
    const partitions = Array.from({ length: spec.partitions }, () => new MemoryPartition());
    this.shared.topics.set(spec.name, { spec, config, partitions });
  }

  async alterTopic(name: string, config: Readonly<Record<string, string>>): Promise<void> {
    for (const [key, value] of Object.entries(config)) this.topic(name).config.set(key, value);
  }

  committedOffset(group: string, of: TopicPartition): Promise<bigint | null> {
    const call = { api: "OffsetFetch", by: null, broker: this.brokerOf(group) } as const;
    return this.network(call, () => this.shared.groupOffsets.get(`${group} ${keyOf(of)}`) ?? null);
  }

  async openReader(): Promise<Reader> {
    return {
      read: (from, limits, signal) => this.read(from, limits, signal),
      offsets: (of) =>
        this.network({ api: "ListOffsets", by: null, broker: this.brokerOf(keyOf(of)) }, () =>
          this.partition(of).bounds(),
        ),
      close: async () => undefined,
    };
  }

  async openWriter({ transactionalId }: WriterOptions): Promise<Writer> {
    const epoch = await this.askCoordinator("InitProducerId", transactionalId, () =>
      this.shared.coordinator.init(transactionalId),
    );
    let usable = true;
    return {
      transact: async (transaction) => {
        invariant(usable, "A writer was used after it failed or while it was in use");
        usable = false;
        const receipt = await this.transact(transactionalId, epoch, transaction);
        usable = true;
        return receipt;
      },
      close: async () => {
        usable = false;
      },
    };
  }

  async openProducer(): Promise<Producer> {
    let failure: unknown = null;
    return {
      send: async (records) => {
        if (failure !== null) throw failure as Error;
        try {
          return await this.produce(null, records, (some) => this.append(some, null));
        } catch (error) {
          failure = error;
          throw error;
        }
      },
      close: async () => {
        failure ??= new WriterLostError("indefinite", "The producer was closed");
      },
    };
  }

  async join({ group, topics, instance = null }: GroupOptions): Promise<Membership> {
    const { groups, clock, cluster } = this.shared;
    let joined = groups.get(group);
    if (!joined) groups.set(group, (joined = new MemoryGroup(clock, cluster?.groups ?? null)));
    const partitions = topics.flatMap((topic) =>
      this.topic(topic).partitions.map((_, partition) => ({ topic, partition })),
    );
    const line = { network: this.network, clock: this.clock, broker: this.brokerOf(group) };
    return new MemoryMembership(joined, line, { partitions, instance });
  }

  async close(): Promise<void> {}

  /**
   * What the cleaner does, up to `before`: of each key only the last committed record stays; offsets keep their
   * gaps.
   */
  compact(of: TopicPartition, before?: bigint): void {
    this.partition(of).compact(before);
  }

  /** What an operator, or a week of idleness, does to a group's offsets. */
  deleteOffsets(group: string): void {
    const { groupOffsets } = this.shared;
    for (const key of groupOffsets.keys()) {
      if (key.startsWith(`${group} `)) groupOffsets.delete(key);
    }
  }

  /** What retention does: everything before `offset` is gone. */
  deleteBefore(of: TopicPartition, offset: bigint): void {
    this.partition(of).deleteBefore(offset);
  }

  /** What an operator does to a group's offset, or a program that takes it for its own. */
  setOffset(group: string, of: TopicPartition, offset: bigint): void {
    this.shared.groupOffsets.set(`${group} ${keyOf(of)}`, offset);
  }

  /** Where a partition begins and ends, without a request. */
  bounds(of: TopicPartition): LogOffsets {
    return this.partition(of).bounds();
  }

  /** Every record that a read_committed reader could still see, for checks after a run. */
  committed(of: TopicPartition): readonly LogRecord[] {
    return this.partition(of).read(this.partition(of).bounds().start, Infinity).records;
  }

  /** The same, and those of aborted transactions, for checks of who wrote what. */
  decided(of: TopicPartition): Decided {
    return this.partition(of).decided();
  }

  private async transact(
    id: string,
    epoch: number,
    { records, consumed }: Transaction,
  ): Promise<Receipt> {
    const { coordinator } = this.shared;
    let receipt: Receipt = [];
    if (records.length > 0) {
      await this.askCoordinator("AddPartitionsToTxn", id, () => {
        const added = records.map((record) => this.partition(record));
        coordinator.addPartitions(id, epoch, added);
      });
      receipt = await this.produce(id, records, (some) =>
        this.append(some, coordinator.openFor(id, epoch)),
      );
    }
    if (consumed) {
      const { group, offset } = consumed;
      await this.askCoordinator("AddOffsetsToTxn", id, () => {
        coordinator.addOffsets(id, epoch);
      });
      const call = { api: "TxnOffsetCommit", by: id, broker: this.brokerOf(group) } as const;
      await this.untilTaken(call, () => {
        coordinator.openFor(id, epoch).offsets?.set(`${group} ${keyOf(consumed)}`, offset);
      });
    }
    if (records.length > 0 || consumed) {
      await this.askCoordinator("EndTxn", id, () => {
        coordinator.commit(id, epoch);
      });
    }
    return receipt;
  }

  private askCoordinator<T>(api: Call["api"], id: string, handle: () => T): Promise<T> {
    return this.untilTaken({ api, by: id, broker: this.brokerOf(id) }, handle);
  }

  /** One request to each broker that leads one of the partitions, side by side. */
  private async produce(
    by: string | null,
    records: readonly OutRecord[],
    append: (some: readonly OutRecord[]) => Receipt,
  ): Promise<Receipt> {
    const byBroker = new Map<number, number[]>();
    records.forEach((record, index) => {
      const broker = this.brokerOf(keyOf(record));
      const indexes = byBroker.get(broker);
      if (indexes) indexes.push(index);
      else byBroker.set(broker, [index]);
    });
    const receipt = new Array<bigint>(records.length);
    await Promise.all(
      [...byBroker].map(async ([broker, indexes]) => {
        const some = indexes.map((index) => records[index] as OutRecord);
        const offsets = await this.untilTaken({ api: "Produce", by, broker }, () => append(some));
        indexes.forEach((index, i) => (receipt[index] = offsets[i] as bigint));
      }),
    );
    return receipt;
  }

  /** Repeats a request only while the answer says that it has had no effect. */
  private async untilTaken<T>(call: Call, handle: () => T): Promise<T> {
    for (let attempt = 0; ; attempt++) {
      try {
        return await this.network(call, handle);
      } catch (error) {
        if (!(error instanceof NotNow)) throw error;
        if (attempt >= maxAttempts) throw new WriterLostError("indefinite", error.message);
      }
      await backOff(coordinatorBackoff, attempt, this.clock);
    }
  }

  private brokerOf(name: string): number {
    return this.shared.cluster?.brokerOf(name) ?? 0;
  }

  private append(records: readonly OutRecord[], transaction: MemoryTransaction | null): Receipt {
    for (const record of records) {
      this.checkSize(record);
      if (transaction && !transaction.partitions.has(this.partition(record))) {
        const what = `INVALID_TXN_STATE: ${keyOf(record)} is not part of the transaction`;
        throw new WriterLostError("indefinite", what);
      }
    }
    return records.map((record) => {
      const appendTime =
        this.topic(record.topic).config.get("message.timestamp.type") === "LogAppendTime";
      const timestamp = appendTime ? this.shared.clock.now() : record.timestamp;
      return this.partition(record).append({ ...record, timestamp }, transaction);
    });
  }

  private checkSize({ topic, value, key, headers }: OutRecord): void {
    const limit = Number(this.topic(topic).config.get("max.message.bytes"));
    const ofHeaders = headers.reduce((sum, [name, it]) => sum + name.length + (it?.length ?? 0), 0);
    if ((value?.length ?? 0) + (key?.length ?? 0) + ofHeaders + 70 <= limit) return;
    throw new FatalError("BROKEN_INVARIANT", `A record for ${topic} is larger than ${limit} bytes`);
  }

  private async read(
    from: TopicPartition & { readonly offset: bigint },
    { maxBytes, maxWaitMs }: ReadLimits,
    signal: AbortSignal,
  ): Promise<Slice> {
    const call = { api: "Fetch", by: null, broker: this.brokerOf(keyOf(from)) } as const;
    const fetch = () =>
      this.network(call, () => {
        const partition = this.partition(from);
        const bounds: LogOffsets = partition.bounds();
        if (from.offset < bounds.start || from.offset > bounds.end) {
          throw new FatalError(
            "OFFSET_OUT_OF_RANGE",
            `${keyOf(from)} has no offset ${from.offset} (it reaches from ${bounds.start} to ${bounds.end})`,
          );
        }
        return { ...partition.read(from.offset, maxBytes), ...bounds };
      });
    const found = await fetch();
    if (found.next > from.offset || signal.aborted) return found;
    const isThere = await this.partition(from).change(found.next, maxWaitMs, this.clock, signal);
    return isThere ? fetch() : found;
  }

  private topic(name: string): MemoryTopic {
    const topic = this.shared.topics.get(name);
    if (!topic) throw new FatalError("TOPIC_MISSING", `There is no topic ${name}`);
    return topic;
  }

  private partition(of: TopicPartition): MemoryPartition {
    const partition = this.topic(of.topic).partitions[of.partition];
    if (!partition)
      throw new FatalError("TOPIC_DRIFT", `${of.topic} has no partition ${of.partition}`);
    return partition;
  }
}

/** How often one who has a definite reason to wait is asked. */
const maxAttempts = 60;

function keyOf({ topic, partition }: TopicPartition): string {
  return `${topic}/${partition}`;
}
