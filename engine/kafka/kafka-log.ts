import { backOff, brokerBackoff } from "../backoff.ts";
import { systemClock } from "../clock.ts";
import { FatalError, messageOf, TransientError } from "../errors.ts";
import type {
  GroupOptions,
  Log,
  Membership,
  Producer,
  Reader,
  TopicDescription,
  TopicPartition,
  TopicSpec,
  Writer,
  WriterOptions,
} from "../log.ts";
import { KafkaClient } from "./client.ts";
import {
  createAdmin,
  type KafkaConfig,
  requestTimeoutMs,
  topicResource,
  verifyClient,
} from "./kafkajs.ts";
import { definiteFailure, protocolCode, topicFailure, unknownTopicOrPartition } from "./failure.ts";
import { KafkaMembership } from "./group.ts";
import { KafkaReader } from "./reader.ts";
import { untilAnswered } from "./retry.ts";
import { KafkaProducer, KafkaWriter } from "./writer.ts";

/** DescribeConfigs: the setting was made on the topic itself. */
const madeOnTopic = 1;

/**
 * The log over a Kafka cluster, 4.0 or later.
 * @throws FatalError `UNSUPPORTED_CLIENT` unless the installed client is the one that was hardened
 */
export function kafkaLog(config: KafkaConfig): Log {
  verifyClient();
  return new KafkaLog(config);
}

class KafkaLog implements Log {
  private readonly config: KafkaConfig;
  private readonly client: KafkaClient;
  private readonly admin: ReturnType<typeof createAdmin>;

  constructor(config: KafkaConfig) {
    this.config = config;
    this.client = new KafkaClient(config);
    this.admin = createAdmin(config);
  }

  async clusterId(): Promise<string> {
    try {
      return await this.client.clusterId();
    } catch (error) {
      const failure = definiteFailure("Asking the cluster for its id", error);
      throw failure ?? new TransientError(messageOf(error), { cause: error });
    }
  }

  async describeTopic(topic: string): Promise<TopicDescription | null> {
    const partitions = await this.partitionsOf(topic);
    if (partitions === null) return null;
    const entries = await this.configOf(topic);
    if (entries === null) throw new TransientError(`Not every broker knows ${topic} yet`);
    return {
      partitions: partitions.length,
      replicationFactor: partitions[0]?.replicas.length ?? 0,
      config: new Map(entries.map(({ configName, configValue }) => [configName, configValue])),
    };
  }

  async createTopic({ name, partitions, replicationFactor, config }: TopicSpec): Promise<void> {
    const configEntries = Object.entries(config).map(([key, value]) => ({ name: key, value }));
    const topic = { topic: name, numPartitions: partitions, replicationFactor, configEntries };
    await this.administer(`Creating ${name}`, () =>
      this.admin.createTopics({ topics: [topic], waitForLeaders: false }),
    );
    const hasLeaders = async () => {
      const found = await this.partitionsOf(name);
      return found !== null && found.length > 0 && found.every(({ leader }) => leader >= 0);
    };
    await untilSeen(`${name} was made, and has no leaders yet`, hasLeaders);
  }

  async alterTopic(topic: string, config: Readonly<Record<string, string>>): Promise<void> {
    const before = await this.configOf(topic);
    if (before === null) throw missing(topic);
    // The request of this client replaces all settings of the topic: keep those that are not named.
    const kept = before.filter(
      ({ configSource, configName }) =>
        (configSource as number) === madeOnTopic && !(configName in config),
    );
    const configEntries = [
      ...kept.map(({ configName, configValue }) => ({ name: configName, value: configValue })),
      ...Object.entries(config).map(([name, value]) => ({ name, value })),
    ];
    const resource = { type: topicResource, name: topic, configEntries };
    const altered: unknown = await this.administer(`Altering ${topic}`, () =>
      this.admin.alterConfigs({ validateOnly: false, resources: [resource] }),
    );
    if (altered === null) throw missing(topic);
    // A broker hears of it a while after the controller: until then the next change would undo this one.
    await untilSeen(`${topic} was altered, and is not described so yet`, async () => {
      const now = (await this.configOf(topic)) ?? [];
      return Object.entries(config).every(([name, value]) =>
        now.some((it) => it.configName === name && it.configValue === value),
      );
    });
  }

  async committedOffset(group: string, of: TopicPartition): Promise<bigint | null> {
    const topics = [{ topic: of.topic, partitions: [{ partition: of.partition }] }];
    const ask = async () => {
      const coordinator = await this.client.coordinatorOf("group", group);
      const { responses } = await coordinator.offsetFetch({ groupId: group, topics });
      return BigInt(responses[0]?.partitions[0]?.offset ?? -1);
    };
    const giveUp = AbortSignal.timeout(requestTimeoutMs);
    const offset = await untilAnswered(this.client, `Reading the offsets of ${group}`, ask, giveUp);
    if (offset === null) throw new TransientError(`No broker told the offsets of group ${group}`);
    return offset < 0n ? null : offset;
  }

  async openReader(): Promise<Reader> {
    return new KafkaReader(this.config);
  }

  openWriter(options: WriterOptions): Promise<Writer> {
    return KafkaWriter.open(this.config, options);
  }

  openProducer(): Promise<Producer> {
    return KafkaProducer.open(this.config);
  }

  async join(options: GroupOptions): Promise<Membership> {
    return new KafkaMembership(this.config, options);
  }

  async close(): Promise<void> {
    this.client.close();
    await this.admin.disconnect();
  }

  /** `null` where the topic is not there; so it is below. */
  private async partitionsOf(topic: string) {
    const metadata = await this.administer(`Describing ${topic}`, () =>
      this.admin.fetchTopicMetadata({ topics: [topic] }),
    );
    return metadata?.topics[0]?.partitions ?? null;
  }

  private async configOf(topic: string) {
    const described = await this.administer(`Describing ${topic}`, () =>
      this.admin.describeConfigs({
        includeSynonyms: false,
        resources: [{ type: topicResource, name: topic }],
      }),
    );
    return described?.resources[0]?.configEntries ?? null;
  }

  /** `null` where the topic is not there. */
  private async administer<T>(what: string, call: () => Promise<T>): Promise<T | null> {
    try {
      await this.admin.connect();
      return await call();
    } catch (error) {
      if (protocolCode(error) === unknownTopicOrPartition) return null;
      throw topicFailure(what, "TOPIC_DRIFT", error);
    }
  }
}

function missing(topic: string): FatalError {
  return new FatalError("TOPIC_MISSING", `There is no topic ${topic} to alter.`);
}

/** @throws TransientError with `what` where `look` does not see it in time */
async function untilSeen(what: string, look: () => Promise<boolean>): Promise<void> {
  const deadline = systemClock.now() + requestTimeoutMs;
  for (let attempt = 0; ; attempt++) {
    try {
      if (await look()) return;
    } catch (error) {
      if (!(error instanceof TransientError)) throw error;
    }
    if (systemClock.now() > deadline) throw new TransientError(what);
    await backOff(brokerBackoff, attempt, systemClock);
  }
}
