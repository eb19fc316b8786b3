import type { Socket } from "node:net";
import { TransientError } from "../errors.ts";
import type { TopicPartition } from "../log.ts";
import { createCluster, type KafkaConfig } from "./kafkajs.ts";
import type { Broker, InternalBroker, InternalCluster } from "./kafkajs-types.ts";

/** A request of the Kafka protocol that we encode ourselves, and how its answer is decoded. */
export interface WireRequest<T> {
  readonly apiKey: number;
  readonly apiVersion: number;
  readonly apiName: string;
  readonly body: Buffer;
  decode(response: Buffer): T;
}

/** One client: its own metadata, and connections that no other client waits behind. */
export class KafkaClient {
  private readonly cluster: InternalCluster;
  private readonly sockets = new Set<Socket>();
  private connected = false;
  /** Nothing connects any more. */
  closed = false;
  readonly onWaiting: NonNullable<KafkaConfig["onWaiting"]>;

  constructor(config: KafkaConfig) {
    this.onWaiting = config.onWaiting ?? (() => undefined);
    this.cluster = createCluster(config, (create) => {
      if (this.closed) throw new Error("The client was closed");
      const socket = create();
      this.sockets.add(socket);
      socket.once("close", () => this.sockets.delete(socket));
      return socket;
    });
  }

  async clusterId(): Promise<string> {
    await this.connect();
    await this.cluster.refreshMetadata();
    const id = this.cluster.brokerPool.metadata?.clusterId;
    if (!id) throw new TransientError("The cluster has not told its id yet");
    return id;
  }

  /** The partitions of a topic, as the metadata has them. */
  async partitionsOf(topic: string): Promise<readonly number[]> {
    await this.connect();
    await this.cluster.addTargetTopic(topic);
    const found = this.cluster.findTopicPartitionMetadata(topic);
    if (found.length > 0) return found.map(({ partitionId }) => partitionId);
    // A topic whose first metadata got lost passes for known from then on.
    await this.cluster.refreshMetadata();
    throw new TransientError(`The partitions of ${topic} are not known yet`);
  }

  async leaderOf({ topic, partition }: TopicPartition): Promise<Broker> {
    await this.connect();
    await this.cluster.addTargetTopic(topic);
    const found = this.cluster
      .findTopicPartitionMetadata(topic)
      .find(({ partitionId }) => partitionId === partition);
    if (!found || found.leader < 0) throw new TransientError(`${topic}/${partition} has no leader`);
    return this.cluster.findBroker({ nodeId: found.leader });
  }

  async coordinatorOf(kind: "group" | "transaction", id: string): Promise<Broker> {
    await this.connect();
    const any = await this.cluster.brokerPool.findConnectedBroker();
    const { coordinator } = await any.findGroupCoordinator({
      groupId: id,
      coordinatorType: kind === "group" ? 0 : 1,
    });
    if (!this.cluster.brokerPool.brokers[coordinator.nodeId]) await this.cluster.refreshMetadata();
    return this.cluster.findBroker({ nodeId: coordinator.nodeId });
  }

  async anyBroker(): Promise<Broker> {
    await this.connect();
    return this.cluster.brokerPool.findConnectedBroker();
  }

  /** Sends a request that is encoded here; the answer's error codes are for `decode` to read. */
  async send<T>(broker: Broker, request: WireRequest<T>): Promise<T> {
    const { connectionPool } = broker as InternalBroker;
    const encoded = { buf: request.body, buffer: request.body };
    const answer = await connectionPool.send({
      request: { ...request, encode: async () => encoded },
      response: {
        decode: async (raw) => ({ decoded: request.decode(raw) }),
        parse: async (it) => it,
      },
      logResponseError: false,
    });
    return (answer as { decoded: T }).decoded;
  }

  /** After an error that says, or may mean, that a leader or coordinator has moved. Never rejects. */
  async refresh(): Promise<void> {
    try {
      await this.cluster.refreshMetadata();
    } catch {
      // No broker answers just now; the caller's next attempt asks again.
    }
  }

  /** Cuts the connections at once: whatever was in flight is rejected, and nothing more is sent. */
  close(): void {
    this.closed = true;
    for (const socket of this.sockets) socket.destroy();
  }

  private async connect(): Promise<void> {
    if (this.connected) return;
    await this.cluster.connect();
    this.connected = true;
  }
}
