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
import { MemoryGroup } from "./memory-group.ts";
import { MemoryPartition, type MemoryTransaction } from "./memory-partition.ts";
import type { Call, Network } from "./network.ts";

const reliable: Network = async (_call, handle) => handle();

/** What a log in memory is like: its id, its time, and the network before it. */
export interface MemoryLogOptions {
  readonly clusterId?: string;
  readonly clock?: Clock;
  readonly network?: Network;
}

interface MemoryTopic {
  readonly spec: TopicSpec;
  readonly config: Map<string, string>;
  readonly partitions: MemoryPartition[];
}

/** What the transaction coordinator knows of one transactional id. */
interface Coordinated {
  epoch: number;
  open: MemoryTransaction | null;
}

/**
 * The log in memory: transactions with control records, fencing, the last stable offset, compaction,
 * retention, groups. It is evidence only because it passes the same contract as a broker does.
 */
export class MemoryLog implements Log {
  private readonly topics: Map<string, MemoryTopic>;
  private readonly coordinated: Map<string, Coordinated>;
  private readonly groupOffsets: Map<string, bigint>;
  private readonly groups: Map<string, MemoryGroup>;
  private readonly clock: Clock;
  private readonly network: Network;
  private readonly cluster: string;

  constructor(options: MemoryLogOptions = {}, of?: MemoryLog) {
    const { clock = systemClock, network = reliable, clusterId = "memory" } = options;
    this.cluster = clusterId;
    this.clock = clock;
    this.network = network;
    this.topics = of?.topics ?? new Map<string, MemoryTopic>();
    this.coordinated = of?.coordinated ?? new Map<string, Coordinated>();
    this.groupOffsets = of?.groupOffsets ?? new Map<string, bigint>();
    this.groups = of?.groups ?? new Map<string, MemoryGroup>();
  }

  /** The same log, reached over another network: as by another process. */
  via(network: Network): MemoryLog {
    return new MemoryLog({ clock: this.clock, network, clusterId: this.cluster }, this);
  }

  async clusterId(): Promise<string> {
    return this.cluster;
  }

  async describeTopic(name: string): Promise<TopicDescription | null> {
    const topic = this.topics.get(name);
    if (!topic) return null;
    const { partitions, replicationFactor } = topic.spec;
    return { partitions, replicationFactor, config: topic.config };
  }

  async createTopic(spec: TopicSpec): Promise<void> {
    if (this.topics.has(spec.name)) return;
    const config = new Map(
      Object.entries({ "max.message.bytes": String(maxRecordBytes), ...spec.config }),
    );
    const partitions = Array.from({ length: spec.partitions }, () => new MemoryPartition());
    this.topics.set(spec.name, { spec, config, partitions });
  }

  async alterTopic(name: string, config: Readonly<Record<string, string>>): Promise<void> {
    for (const [key, value] of Object.entries(config)) this.topic(name).config.set(key, value);
  }

  committedOffset(group: string, of: TopicPartition): Promise<bigint | null> {
    return this.network({ api: "OffsetFetch", by: null }, () => {
      return this.groupOffsets.get(`${group} ${keyOf(of)}`) ?? null;
    });
  }

  async openReader(): Promise<Reader> {
    return {
      read: (from, limits, signal) => this.read(from, limits, signal),
      offsets: (of) =>
        this.network({ api: "ListOffsets", by: null }, () => this.partition(of).bounds()),
      close: async () => undefined,
    };
  }

  async openWriter({ transactionalId }: WriterOptions): Promise<Writer> {
    const epoch = await this.network({ api: "InitProducerId", by: transactionalId }, () => {
      const known = this.coordinated.get(transactionalId) ?? { epoch: -1, open: null };
      if (known.open) this.end(known, "aborted");
      known.epoch++;
      this.coordinated.set(transactionalId, known);
      return known.epoch;
    });
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
          return await this.network({ api: "Produce", by: null }, () => this.append(records, null));
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

  async join({ group, topics }: GroupOptions): Promise<Membership> {
    let joined = this.groups.get(group);
    if (!joined) this.groups.set(group, (joined = new MemoryGroup(this.network)));
    const partitions = topics.flatMap((topic) =>
      this.topic(topic).partitions.map((_, partition) => ({ topic, partition })),
    );
    return joined.join(partitions);
  }

  async close(): Promise<void> {}

  /** What the cleaner does: of each key only the last committed record stays; offsets keep their gaps. */
  compact(of: TopicPartition): void {
    this.partition(of).compact();
  }

  /** What an operator, or a week of idleness, does to a group's offsets. */
  deleteOffsets(group: string): void {
    for (const key of this.groupOffsets.keys()) {
      if (key.startsWith(`${group} `)) this.groupOffsets.delete(key);
    }
  }

  /** What retention does: everything before `offset` is gone. */
  deleteBefore(of: TopicPartition, offset: bigint): void {
    this.partition(of).deleteBefore(offset);
  }

  /** Every record that a read_committed reader could still see, for checks after a run. */
  committed(of: TopicPartition): readonly LogRecord[] {
    return this.partition(of).read(this.partition(of).bounds().start, Infinity).records;
  }

  private async transact(
    transactionalId: string,
    epoch: number,
    { records, consumed }: Transaction,
  ): Promise<Receipt> {
    const ask = <T>(api: Call["api"], handle: (known: Coordinated) => T) =>
      this.network({ api, by: transactionalId }, () => {
        const known = this.coordinated.get(transactionalId);
        if (known?.epoch !== epoch) {
          throw new WriterLostError("fenced", `${api}: ${transactionalId} has another writer`);
        }
        return handle(known);
      });
    if (records.length === 0 && consumed === null) return [];
    await ask("AddPartitionsToTxn", (known) => {
      known.open ??= { state: "open", partitions: new Set(), offsets: [] };
    });
    const receipt = await ask("Produce", (known) => this.append(records, known.open));
    if (consumed) {
      await ask("TxnOffsetCommit", (known) => {
        known.open?.offsets.push([`${consumed.group} ${keyOf(consumed)}`, consumed.offset]);
      });
    }
    await ask("EndTxn", (known) => {
      this.end(known, "committed");
    });
    return receipt;
  }

  private append(records: readonly OutRecord[], transaction: MemoryTransaction | null): Receipt {
    for (const record of records) this.checkSize(record);
    return records.map((record) => {
      const appendTime =
        this.topic(record.topic).config.get("message.timestamp.type") === "LogAppendTime";
      const timestamp = appendTime ? this.clock.now() : record.timestamp;
      return this.partition(record).append({ ...record, timestamp }, transaction);
    });
  }

  private checkSize({ topic, value, key }: OutRecord): void {
    const limit = Number(this.topic(topic).config.get("max.message.bytes"));
    if ((value?.length ?? 0) + (key?.length ?? 0) + 70 <= limit) return;
    throw new FatalError("BROKEN_INVARIANT", `A record for ${topic} is larger than ${limit} bytes`);
  }

  private end(known: Coordinated, outcome: "committed" | "aborted"): void {
    const transaction = known.open;
    if (!transaction) return;
    known.open = null;
    transaction.state = outcome;
    for (const partition of transaction.partitions) partition.mark(transaction);
    if (outcome === "committed") {
      for (const [key, offset] of transaction.offsets) this.groupOffsets.set(key, offset);
    }
  }

  private async read(
    from: TopicPartition & { readonly offset: bigint },
    { maxBytes, maxWaitMs }: ReadLimits,
    signal: AbortSignal,
  ): Promise<Slice> {
    const fetch = () =>
      this.network({ api: "Fetch", by: null }, () => {
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
    await this.partition(from).change(maxWaitMs, this.clock, signal);
    return fetch();
  }

  private topic(name: string): MemoryTopic {
    const topic = this.topics.get(name);
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

function keyOf({ topic, partition }: TopicPartition): string {
  return `${topic}/${partition}`;
}
