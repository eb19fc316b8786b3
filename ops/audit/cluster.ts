import { setTimeout as sleep } from "node:timers/promises";
import { FatalError, messageOf, TransientError } from "../../engine/errors.ts";
import type { TopicPartition } from "../../engine/log.ts";
import { type Address, type Api, Connection, type KafkaSettings } from "./connection.ts";
import { type Answer, array, int32, int64, int8, string, struct } from "./wire.ts";

/** Metadata, offsets and fetches: the three questions of the audit, asked until they are answered. */

const metadata: Api = { key: 3, version: 4 };
const listOffsets: Api = { key: 2, version: 2 };
const fetch: Api = { key: 1, version: 11 }; // The first with zstd has 10.

/** A leader may be elected, a broker restarted; who has not answered for so long is away. */
const patienceMs = 30_000;
const fetchBytes = 1 << 20;

const offsetOutOfRange = 1;
const unknownTopic = 3;
const notAuthorized = new Set([29, 30, 31]);
/** Answers that pass: no leader yet, another leader, a broker that starts or stops. */
const passing = new Set([3, 5, 6, 7, 8, 9, 13, 56, 72, 74, 75, 76, 78, 100]);

/** Whether records of open and aborted transactions count. */
export type Isolation = "read uncommitted" | "read committed";

export interface Fetched {
  readonly highWatermark: bigint;
  readonly logStart: bigint;
  /** Whole batches, perhaps followed by a piece of one. */
  readonly recordSet: Buffer;
}

interface Partition {
  readonly leader: number;
}

/** One line of questions: a connection to each broker that is needed, one question after the other. */
export class Cluster {
  private readonly settings: KafkaSettings;
  private readonly signal: AbortSignal;
  private readonly connections = new Map<string, Promise<Connection>>();
  private brokers = new Map<number, Address>();
  private topics = new Map<string, readonly Partition[]>();

  constructor(settings: KafkaSettings, signal: AbortSignal) {
    this.settings = settings;
    this.signal = signal;
  }

  /** @throws FatalError `TOPIC_MISSING` */
  async partitionsOf(topic: string): Promise<number> {
    const found = await this.persistently(`Asking for ${topic}`, () => this.partitions(topic));
    if (found.length > 0) return found.length;
    throw new FatalError(
      "TOPIC_MISSING",
      `there is no topic ${topic}; run: npm run -s foldlog -- topics apply`,
    );
  }

  /** Where the log begins, or where it ends for a reader of that isolation. */
  async offset(of: TopicPartition, which: "start" | Isolation): Promise<bigint> {
    const body = struct(
      int32(-1), // No replica, but a client.
      int8(which === "read committed" ? 1 : 0),
      array([
        struct(
          string(of.topic),
          array([struct(int32(of.partition), int64(which === "start" ? -2n : -1n))]),
        ),
      ]),
    );
    const read = (answer: Answer) => {
      answer.int32(); // Throttled for so long.
      const [[found] = []] = answer.array((topic) => {
        topic.string();
        return topic.array((partition) => {
          partition.int32();
          const code = partition.int16();
          partition.int64();
          return { code, offset: partition.int64() };
        });
      });
      return found ?? { code: unknownTopic, offset: -1n };
    };
    return this.persistently(`Asking for the offsets of ${nameOf(of)}`, async () => {
      const { code, offset } = await (await this.leaderOf(of)).ask(listOffsets, body, read);
      check(code, nameOf(of));
      return offset;
    });
  }

  /** What is there from `offset` on, or `null` where retention has removed it meanwhile. */
  async fetch(of: TopicPartition, offset: bigint, maxWaitMs: number): Promise<Fetched | null> {
    const body = fetchBody(of, offset, maxWaitMs);
    return this.persistently(`Reading ${nameOf(of)}`, async () => {
      const { code, throttledMs, ...fetched } = await (
        await this.leaderOf(of)
      ).ask(fetch, body, readFetched);
      if (throttledMs > 0 && fetched.recordSet.length === 0) {
        throw new TransientError(`the broker throttles us for ${throttledMs} ms`);
      }
      if (code === offsetOutOfRange) return null;
      check(code, nameOf(of));
      return fetched;
    });
  }

  /** Cuts the connections; what was asked and not answered is rejected. */
  close(): void {
    for (const opening of this.connections.values()) {
      const close = (connection: Connection) => {
        connection.close();
      };
      opening.then(close, () => undefined);
    }
    this.connections.clear();
  }

  /** Asks until there is an answer, for as long as patience lasts. */
  private async persistently<T>(what: string, ask: () => Promise<T>): Promise<T> {
    const giveUpAt = Date.now() + patienceMs;
    for (let attempt = 0; ; attempt++) {
      this.signal.throwIfAborted();
      try {
        return await ask();
      } catch (error) {
        if (!(error instanceof TransientError)) throw error;
        if (Date.now() >= giveUpAt || (attempt > 2 && this.brokers.size === 0)) {
          throw new TransientError(`${what}: ${messageOf(error)}`, { cause: error });
        }
        this.topics.clear();
        await sleep(Math.min(2_000, 50 * 2 ** attempt), undefined, { signal: this.signal });
      }
    }
  }

  private async leaderOf({ topic, partition }: TopicPartition): Promise<Connection> {
    const { leader } = (await this.partitions(topic))[partition] ?? { leader: -1 };
    const address = this.brokers.get(leader);
    if (address === undefined) throw new TransientError(`${topic}/${partition} has no leader`);
    return this.connectionTo(address);
  }

  private async partitions(topic: string): Promise<readonly Partition[]> {
    const known = this.topics.get(topic);
    if (known !== undefined) return known;
    const body = struct(array([string(topic)]), int8(0)); // Do not create it.
    const found = await (await this.anyBroker()).ask(metadata, body, readMetadata);
    this.brokers = found.brokers;
    if (found.code === unknownTopic) return [];
    check(found.code, topic);
    this.topics.set(topic, found.partitions);
    return found.partitions;
  }

  private async anyBroker(): Promise<Connection> {
    const known = [...this.brokers.values(), ...this.settings.brokers.map(addressOf)];
    let failure: unknown = new TransientError("no broker is named");
    for (const address of known) {
      try {
        return await this.connectionTo(address);
      } catch (error) {
        if (!(error instanceof TransientError)) throw error;
        failure = error;
      }
    }
    throw failure;
  }

  /** One connection a broker, however many ask for it at once. */
  private async connectionTo(address: Address): Promise<Connection> {
    const key = `${address.host}:${address.port}`;
    const existing = this.connections.get(key);
    if (existing !== undefined) {
      try {
        const connection = await existing;
        if (!connection.isBroken) return connection;
      } catch {
        // Who opened it was told; here it is tried again.
      }
      if (this.connections.get(key) === existing) this.connections.delete(key);
      else return this.connectionTo(address);
    }
    const opening = Connection.open(address, this.settings);
    this.connections.set(key, opening);
    return opening;
  }
}

export function nameOf({ topic, partition }: TopicPartition): string {
  return `${topic}/${partition}`;
}

function addressOf(text: string): Address {
  const colon = text.lastIndexOf(":");
  return { host: text.slice(0, colon), port: Number(text.slice(colon + 1)) };
}

function check(code: number, what: string): void {
  if (code === 0) return;
  if (notAuthorized.has(code)) {
    throw new FatalError("UNAUTHORIZED", `we may not read ${what}: grant Describe and Read on it`);
  }
  const text = `${what}: the broker answers with error ${code}`;
  if (passing.has(code)) throw new TransientError(text);
  throw new FatalError("BROKEN_INVARIANT", text);
}

function readMetadata(answer: Answer) {
  answer.int32(); // Throttled for so long.
  const brokers = new Map(
    answer.array((broker) => {
      const id = broker.int32();
      const address = { host: broker.string() ?? "", port: broker.int32() };
      broker.string(); // Its rack.
      return [id, address] as const;
    }),
  );
  answer.string(); // The cluster's id.
  answer.int32(); // The controller.
  const [topic] = answer.array((it) => {
    const code = it.int16();
    it.string();
    it.int8(); // Whether it is internal.
    const partitions: Partition[] = [];
    it.array((partition) => {
      partition.int16(); // Its error: that it has no leader is seen by the leader.
      partitions[partition.int32()] = { leader: partition.int32() };
      partition.array((replica) => replica.int32());
      partition.array((replica) => replica.int32()); // In sync.
    });
    return { code, partitions };
  });
  return { brokers, code: topic?.code ?? unknownTopic, partitions: topic?.partitions ?? [] };
}

function fetchBody({ topic, partition }: TopicPartition, offset: bigint, maxWaitMs: number) {
  const position = struct(
    int32(partition),
    int32(-1), // The leader's epoch is not known.
    int64(offset),
    int64(-1n), // No follower's log start.
    int32(fetchBytes),
  );
  return struct(
    int32(-1), // No replica, but a client.
    int32(maxWaitMs),
    int32(1), // From one byte on.
    int32(fetchBytes),
    int8(0), // Read uncommitted.
    int32(0), // No fetch session.
    int32(-1),
    array([struct(string(topic), array([position]))]),
    array([]),
    string(""), // No rack.
  );
}

function readFetched(answer: Answer) {
  const throttledMs = answer.int32();
  const sessionCode = answer.int16();
  answer.int32(); // The session.
  const [[found] = []] = answer.array((topic) => {
    topic.string();
    return topic.array((partition) => {
      partition.int32();
      const code = partition.int16();
      const highWatermark = partition.int64();
      partition.int64(); // The last stable offset.
      const logStart = partition.int64();
      partition.array((aborted) => [aborted.int64(), aborted.int64()]); // Not asked: see transactions.ts.
      partition.int32(); // The preferred replica.
      const recordSet = partition.bytes() ?? Buffer.alloc(0);
      return { code, highWatermark, logStart, recordSet };
    });
  });
  const none = { highWatermark: -1n, logStart: -1n, recordSet: Buffer.alloc(0) };
  return { throttledMs, ...(found ?? { ...none, code: sessionCode === 0 ? 6 : sessionCode }) };
}
