import type { Socket } from "node:net";

/** The parts of kafkajs that are used, and those inside it that `hardening.ts` changes, as 2.2.4 has them. */

/** The part of kafkajs's broker that is used; each call rejects with its errors, see `protocolCode`. */
export interface Broker {
  readonly nodeId: number;
  joinGroup(request: {
    groupId: string;
    sessionTimeout: number;
    rebalanceTimeout: number;
    memberId: string;
    /** See `GroupOptions.instance`; here and in the three after it. */
    groupInstanceId: string | null;
    protocolType: "consumer";
    groupProtocols: { name: string; metadata: Buffer }[];
  }): Promise<{
    generationId: number;
    leaderId: string;
    memberId: string;
    members: { memberId: string; memberMetadata: Buffer }[];
  }>;
  syncGroup(request: {
    groupId: string;
    generationId: number;
    memberId: string;
    groupInstanceId: string | null;
    groupAssignment: { memberId: string; memberAssignment: Buffer }[];
  }): Promise<{ memberAssignment: Buffer }>;
  heartbeat(request: {
    groupId: string;
    groupGenerationId: number;
    memberId: string;
    groupInstanceId: string | null;
  }): Promise<unknown>;
  leaveGroup(request: {
    groupId: string;
    memberId: string;
    groupInstanceId: string | null;
  }): Promise<unknown>;
  listOffsets(request: {
    replicaId: number;
    isolationLevel: number;
    topics: { topic: string; partitions: { partition: number; timestamp: number }[] }[];
  }): Promise<{ responses: { partitions: { offset: string }[] }[] }>;
  offsetFetch(request: {
    groupId: string;
    topics: { topic: string; partitions: { partition: number }[] }[];
  }): Promise<{ responses: { partitions: { offset: string }[] }[] }>;
  initProducerId(request: {
    transactionalId?: string;
    transactionTimeout?: number;
  }): Promise<{ producerId: string; producerEpoch: number }>;
  addPartitionsToTxn(request: ProducerIdentity & { topics: TopicPartitions[] }): Promise<unknown>;
  addOffsetsToTxn(request: ProducerIdentity & { groupId: string }): Promise<unknown>;
  txnOffsetCommit(
    request: ProducerIdentity & {
      groupId: string;
      topics: { topic: string; partitions: { partition: number; offset: string }[] }[];
    },
  ): Promise<unknown>;
  endTxn(request: ProducerIdentity & { transactionResult: boolean }): Promise<unknown>;
}

export interface ProducerIdentity {
  readonly transactionalId: string;
  readonly producerId: string;
  readonly producerEpoch: number;
}

export interface TopicPartitions {
  readonly topic: string;
  readonly partitions: readonly number[];
}

export interface Protocol {
  request: { apiKey: number; apiVersion: number; apiName: string; encode(): Promise<unknown> };
  response: { decode(raw: Buffer): Promise<unknown>; parse(decoded: unknown): Promise<unknown> };
  logResponseError?: boolean;
}

export interface InternalConnection {
  readonly socket?: Socket;
  isConnected(): boolean;
  connect: () => Promise<unknown>;
  /** What has come of the next answer, and how much it takes to go on. */
  chunks: Buffer[];
  bytesBuffered: number;
  bytesNeeded: number;
  /** Of who waits for an answer of SASL. */
  authHandlers: object | null;
}

export interface InternalConnectionPool {
  readonly pool: readonly InternalConnection[];
  send: (protocol: Protocol) => Promise<unknown>;
}

export interface InternalBroker extends Broker {
  readonly connectionPool: InternalConnectionPool;
  connect: () => Promise<unknown>;
  readonly versions: unknown;
  lookupRequest(apiKey: number, definition: unknown): (options: object) => Protocol;
  metadata: (topics: string[]) => Promise<unknown>;
  findGroupCoordinator(request: {
    groupId: string;
    coordinatorType: number;
  }): Promise<{ coordinator: { nodeId: number } }>;
}

export interface InternalCluster {
  readonly brokerPool: {
    readonly brokers: Readonly<Record<string, InternalBroker>>;
    readonly metadata: { readonly clusterId: string } | null;
    readonly seedBroker?: InternalBroker;
    /** Of the protocol's requests, as the seed speaks them. */
    versions: unknown;
    hasConnectedBrokers(): boolean;
    connect: () => Promise<void>;
    createSeedBroker(): Promise<void>;
    createBroker: (options: object) => InternalBroker;
    findConnectedBroker(): Promise<InternalBroker>;
  };
  connect(): Promise<void>;
  metadata: (options: { topics: string[] }) => Promise<object | null>;
  refreshMetadata(): Promise<void>;
  addTargetTopic(topic: string): Promise<void>;
  findBroker(of: { nodeId: number }): Promise<InternalBroker>;
  findTopicPartitionMetadata(topic: string): { partitionId: number; leader: number }[];
}
