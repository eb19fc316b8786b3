import { messageOf, TransientError } from "../../engine/errors.ts";
import type { TopicPartition } from "../../engine/log.ts";
import { type Address, type Api, Connection, type KafkaSettings } from "../audit/connection.ts";
import { type Answer, array, int32, int8, string, struct } from "../audit/wire.ts";

/** What a broker says of itself, of who leads and follows, and of a transaction that is open. Questions only. */

const apiVersions: Api = { key: 18, version: 0 };
const metadata: Api = { key: 3, version: 4 };
const describeProducers: Api = { key: 61, version: 0 };

export interface ClusterFacts {
  readonly clusterId: string;
  readonly brokers: ReadonlyMap<number, Address>;
  /** Request → the least and the greatest version that the broker which was asked speaks. */
  readonly apis: ReadonlyMap<number, { readonly least: number; readonly most: number }>;
  /** Of the topics asked for; a topic that is not there has none. */
  readonly partitions: readonly PartitionFacts[];
}

export interface PartitionFacts extends TopicPartition {
  /** Node id, or −1. */
  readonly leader: number;
  readonly replicas: number;
  readonly inSync: number;
}

/**
 * Asks whichever broker answers first.
 * @throws TransientError where none does
 * @throws FatalError `UNAUTHORIZED`
 */
export async function askCluster(
  kafka: KafkaSettings,
  topics: readonly string[],
): Promise<ClusterFacts> {
  const openings = kafka.brokers.map((it) => Connection.open(addressOf(it), kafka));
  try {
    const connection = await Promise.any(openings);
    const apis = await connection.ask(apiVersions, Buffer.alloc(0), readApis);
    const body = struct(array(topics.map(string)), int8(0)); // Create none.
    const described = await connection.ask(metadata, body, readMetadata);
    return { apis, ...described };
  } catch (error) {
    throw unanswered(error, kafka.brokers);
  } finally {
    for (const opening of openings) void closed(opening);
  }
}

/** A broker that refuses tells more than those that are away. */
function unanswered(error: unknown, brokers: readonly string[]): unknown {
  const errors = error instanceof AggregateError ? (error.errors as unknown[]) : [error];
  const refusal = errors.find((it) => !(it instanceof TransientError));
  if (refusal !== undefined) return refusal;
  const why = errors.map(messageOf).join("; ");
  return new TransientError(`no Kafka broker answers at ${brokers.join(", ")}: ${why}`, {
    cause: error,
  });
}

/** However late it was opened. */
async function closed(opening: Promise<Connection>): Promise<void> {
  try {
    (await opening).close();
  } catch {
    // It could not be opened.
  }
}

export function addressOf(text: string): Address {
  const colon = text.lastIndexOf(":");
  return { host: text.slice(0, colon), port: Number(text.slice(colon + 1)) };
}

function readApis(answer: Answer): ClusterFacts["apis"] {
  const code = answer.int16();
  if (code !== 0) throw new TransientError(`the broker answers with error ${code}`);
  return new Map(
    answer.array((api) => [api.int16(), { least: api.int16(), most: api.int16() }] as const),
  );
}

function readMetadata(answer: Answer): Omit<ClusterFacts, "apis"> {
  answer.int32(); // Throttled for so long.
  const brokers = new Map(
    answer.array((broker) => {
      const id = broker.int32();
      const address = { host: broker.string() ?? "", port: broker.int32() };
      broker.string(); // Its rack.
      return [id, address] as const;
    }),
  );
  const clusterId = answer.string() ?? "without an id";
  answer.int32(); // The controller.
  const partitions = answer.array((it) => {
    it.int16(); // Its error: a topic that is not there has no partitions.
    const topic = it.string() ?? "";
    it.int8(); // Whether it is internal.
    return it.array((partition): PartitionFacts => {
      partition.int16(); // Its error, which the rest tells as well.
      return {
        topic,
        partition: partition.int32(),
        leader: partition.int32(),
        replicas: partition.array((replica) => replica.int32()).length,
        inSync: partition.array((replica) => replica.int32()).length,
      };
    });
  });
  return { clusterId, brokers, partitions: partitions.flat() };
}

/** A transaction that is open on a partition. */
export interface OpenTransaction {
  readonly producerId: bigint;
  readonly startOffset: bigint;
  /** The time of its producer's last record there, in milliseconds since the epoch. */
  readonly lastWriteAt: number;
}

/**
 * The transactions that are open on a partition, by its leader (KIP-664).
 * @throws TransientError where it does not answer
 */
export async function askOpenTransactions(
  kafka: KafkaSettings,
  leader: Address,
  of: TopicPartition,
): Promise<readonly OpenTransaction[]> {
  const connection = await Connection.open(leader, kafka);
  try {
    return await connection.ask(describeProducers, producersBody(of), readProducers);
  } finally {
    connection.close();
  }
}

/** In the flexible encoding (KIP-482): a count is one more than it says, and tagged fields end each part. */
function producersBody({ topic, partition }: TopicPartition): Buffer {
  const name = Buffer.from(topic, "utf8");
  const one = uvarint(2);
  return struct(
    noTags, // They end the header.
    struct(one, uvarint(name.length + 1), name),
    struct(one, int32(partition), noTags),
    noTags,
  );
}

function readProducers(answer: Answer): readonly OpenTransaction[] {
  readTags(answer); // Of the header.
  answer.int32(); // Throttled for so long.
  const found = compactArray(answer, (topic) => {
    compactText(topic);
    const partitions = compactArray(topic, readPartition);
    readTags(topic);
    return partitions.flat();
  });
  return found.flat();
}

function readPartition(partition: Answer): readonly OpenTransaction[] {
  partition.int32();
  const code = partition.int16();
  const said = compactText(partition);
  const producers = compactArray(partition, (producer) => {
    const producerId = producer.int64();
    producer.int32(); // Its epoch,
    producer.int32(); // its last sequence number.
    const lastWriteAt = Number(producer.int64());
    producer.int32(); // The coordinator's epoch.
    const startOffset = producer.int64();
    readTags(producer);
    return { producerId, startOffset, lastWriteAt };
  });
  readTags(partition);
  if (code !== 0) throw new TransientError(said ?? `the broker answers with error ${code}`);
  return producers.filter(({ startOffset }) => startOffset >= 0n);
}

const noTags = uvarint(0);

export function uvarint(value: number): Buffer {
  const bytes: number[] = [];
  let left = value;
  for (; left > 0x7f; left >>>= 7) bytes.push((left & 0x7f) | 0x80);
  return Buffer.from([...bytes, left]);
}

function readUvarint(answer: Answer): number {
  let [value, shift] = [0, 0];
  for (;;) {
    const byte = answer.int8();
    value |= (byte & 0x7f) << shift;
    if (byte >= 0) return value;
    shift += 7;
  }
}

function compactArray<T>(answer: Answer, read: (answer: Answer) => T): readonly T[] {
  return Array.from({ length: Math.max(0, readUvarint(answer) - 1) }, () => read(answer));
}

function compactText(answer: Answer): string | null {
  const length = readUvarint(answer) - 1;
  if (length < 0) return null;
  return Buffer.from(Array.from({ length }, () => answer.int8())).toString("utf8");
}

/** There are none that we would know. */
function readTags(answer: Answer): void {
  const count = readUvarint(answer);
  for (let i = 0; i < count; i++) {
    readUvarint(answer);
    for (let left = readUvarint(answer); left > 0; left--) answer.int8();
  }
}
