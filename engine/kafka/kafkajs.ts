import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { connect as connectTcp, isIP, type Socket } from "node:net";
import { dirname, join, relative } from "node:path";
import { connect as connectTls } from "node:tls";
import type * as kafkajs from "kafkajs";
import { FatalError } from "../errors.ts";
import { hardenBroker, tellOfMissingMetadata, tryEverySeed } from "./hardening.ts";
import type { InternalBroker, InternalCluster } from "./kafkajs-types.ts";

/**
 * The only file that imports kafkajs. Taken from it: connections, SASL, TLS, metadata, the encoding of the
 * small requests, and the admin client. Not taken: its consumer and its producer, whose faults
 * `test/broker/stock-*.test.ts` show on a real broker; our own are in the files beside this one.
 */

/** How to reach a cluster. */
export interface KafkaConfig {
  readonly brokers: readonly string[];
  readonly clientId: string;
  readonly tls: { readonly ca?: string; readonly cert?: string; readonly key?: string } | null;
  readonly sasl: {
    readonly mechanism: "plain" | "scram-sha-256" | "scram-sha-512";
    readonly username: string;
    readonly password: string;
  } | null;
  /** Told when a question waits for a broker that does not answer (why), and when it was answered (`null`). */
  readonly onWaiting?: (question: string, reason: string | null) => void;
}

/** How long a broker may take to answer; the broker aborts a transaction that is open for longer, too. */
export const requestTimeoutMs = 10_000;
/** Until a connection stands, and for its first answer. */
const connectionTimeoutMs = 5_000;

const require = createRequire(import.meta.url);
const stock = require("kafkajs") as typeof kafkajs;
const { createLogger } = require("kafkajs/src/loggers") as {
  createLogger: (options: { level: number; logCreator: () => () => void }) => unknown;
};
const Cluster = require("kafkajs/src/cluster") as new (options: object) => InternalCluster;
const RequestQueue = require("kafkajs/src/network/requestQueue") as {
  prototype: RequestQueueInternals;
};
const { requests } = require("kafkajs/src/protocol/requests") as {
  requests: Readonly<
    Record<"Metadata" | "JoinGroup" | "SyncGroup" | "Heartbeat" | "LeaveGroup", unknown>
  >;
};
const createStockAdmin = require("kafkajs/src/admin") as (options: object) => kafkajs.Admin;
const { createErrorFromCode } = require("kafkajs/src/protocol/error") as {
  createErrorFromCode: (code: number) => Error;
};

/** Where kafkajs is installed. It has no `exports` map, so that its inner modules can be reached. */
const installed = dirname(require.resolve("kafkajs/package.json"));

/** The SHA-256 of its source files as they were read and tested: a pinned version would not notice an edit. */
const testedSource = "924e866dae8ce55f080884df9aa40ec7545e71cd7969b9e3c80f7d1c80ace2e5";

/**
 * @param folder of the package, where it is not the installed one
 * @throws FatalError `UNSUPPORTED_CLIENT` unless kafkajs is exactly the code that was hardened
 */
export function verifyClient(folder = installed): void {
  const hash = createHash("sha256");
  const source = join(folder, "src");
  const files = readdirSync(source, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(source, join(entry.parentPath, entry.name)));
  for (const file of files.sort())
    hash.update(`${file}\n`).update(readFileSync(join(source, file)));
  if (hash.digest("hex") === testedSource) return;
  const { version } = require(join(folder, "package.json")) as { version: string };
  throw new FatalError(
    "UNSUPPORTED_CLIENT",
    `kafkajs ${version} is installed, or 2.2.4 with changes; foldlog works around faults of exactly 2.2.4. ` +
      `Pin "kafkajs": "2.2.4" and install again.`,
  );
}

interface RequestQueueInternals {
  throttledUntil: number;
  throttleCheckTimeoutId: NodeJS.Timeout | null;
  readonly pending: readonly unknown[];
  checkPendingRequests(): void;
  scheduleCheckPendingRequests(): void;
}

/**
 * kafkajs asks for a timer after each response, with a negative delay where nothing is throttled: on
 * Node 24 a storm of 1 ms timers (kafkajs#1751). Nothing is to be checked while nothing is pending.
 */
RequestQueue.prototype.scheduleCheckPendingRequests = function (this: RequestQueueInternals) {
  if (this.throttleCheckTimeoutId !== null || this.pending.length === 0) return;
  this.throttleCheckTimeoutId = setTimeout(
    () => {
      this.throttleCheckTimeoutId = null;
      this.checkPendingRequests();
    },
    Math.max(10, this.throttledUntil - Date.now()),
  );
};

/**
 * kafkajs refuses the metadata of all topics while any one partition has no leader, so that one lost
 * partition would stop the others. Here such a partition just has leader −1.
 */
function tolerateLostPartitions(broker: InternalBroker): void {
  broker.metadata = (topics) => {
    const metadata = broker.lookupRequest(3, requests.Metadata);
    const protocol = metadata({ topics, allowAutoTopicCreation: false });
    const parse = async (decoded: unknown) => {
      const { topicMetadata } = decoded as { topicMetadata: { topicErrorCode: number }[] };
      const failed = topicMetadata.find(({ topicErrorCode }) => topicErrorCode !== 0);
      if (failed) throw createErrorFromCode(failed.topicErrorCode);
      return decoded;
    };
    return broker.connectionPool.send({ ...protocol, response: { ...protocol.response, parse } });
  };
}

/** kafkajs can write a member's own name into these requests (KIP-345), but its broker does not pass it on. */
function passInstancesOn(broker: InternalBroker): void {
  const sending = (apiKey: number, definition: unknown) => async (request: object) => {
    const protocol = broker.lookupRequest(apiKey, definition)(request);
    return (await broker.connectionPool.send(protocol)) as never;
  };
  const join = sending(11, requests.JoinGroup);
  broker.joinGroup = async (request) => {
    try {
      return await join(request);
    } catch (error) {
      // Who has no name of its own is given an id, and asked to come again with it (KIP-394).
      const { name, memberId } = error as { name?: unknown; memberId?: unknown };
      if (name !== "KafkaJSMemberIdRequired") throw error;
      return join({ ...request, memberId });
    }
  };
  broker.syncGroup = sending(14, requests.SyncGroup);
  broker.heartbeat = sending(12, requests.Heartbeat);
  broker.leaveGroup = sending(13, requests.LeaveGroup);
}

/** No retries inside kafkajs: every retry is decided in our loops, which know what is safe to repeat. */
const noRetry = { retries: 0, initialRetryTime: 1, maxRetryTime: 1, factor: 0, multiplier: 1 };
/** Whatever an admin client is asked may be asked again. */
const someRetries = {
  ...noRetry,
  retries: 5,
  initialRetryTime: 100,
  maxRetryTime: 1_000,
  multiplier: 2,
};
const silent = createLogger({ level: 0, logCreator: () => () => undefined });

interface SocketOptions {
  readonly host: string;
  readonly port: number;
  readonly ssl: object | null;
  readonly onConnect: () => void;
}

function createSocket({ host, port, ssl, onConnect }: SocketOptions): Socket {
  /** Whether whoever waits for the connection has heard of it. */
  let told = false;
  const onReady = () => {
    clearTimeout(late);
    told = true;
    onConnect();
  };
  const socket = ssl
    ? connectTls({ host, port, ...(isIP(host) === 0 && { servername: host }), ...ssl }, onReady)
    : connectTcp({ host, port }, onReady);
  // kafkajs only ends a socket that it gave up, which a peer that never greets by TLS does not answer.
  const late = setTimeout(() => {
    socket.destroy();
  }, connectionTimeoutMs + 1_000).unref();
  socket.setKeepAlive(true, 60_000);
  socket.setNoDelay(true);
  socket.once("error", () => {
    told = true;
  });
  // Whoever waits for an answer is told by these events alone, which a socket that was cut does not have.
  socket.once("close", () => {
    clearTimeout(late);
    // kafkajs disconnects the same dead socket again and again, and Node would wait each time for it to connect.
    socket.unref = () => socket;
    // At an "end" kafkajs ends its timeout for the connection too, and tells nobody who waits for that.
    if (!told) socket.emit("error", new Error("The connection was cut before it stood"));
    else if (!socket.readableEnded) socket.emit("end");
  });
  return socket;
}

/**
 * One client of kafkajs's: metadata and connections, hardened. `openSocket` lets its owner cut them all.
 */
export function createCluster(
  config: KafkaConfig,
  openSocket: (create: () => Socket) => Socket,
  { retry = noRetry, patienceMs = 0 } = {},
): InternalCluster {
  const cluster = new Cluster({
    logger: silent,
    socketFactory: (options: SocketOptions) => openSocket(() => createSocket(options)),
    brokers: [...config.brokers],
    ssl: config.tls,
    sasl: config.sasl,
    clientId: config.clientId,
    connectionTimeout: connectionTimeoutMs,
    authenticationTimeout: requestTimeoutMs,
    reauthenticationThreshold: 10_000,
    requestTimeout: requestTimeoutMs,
    enforceRequestTimeout: true,
    metadataMaxAge: 300_000,
    allowAutoTopicCreation: false,
    maxInFlightRequests: null,
    isolationLevel: 1,
    retry,
  });
  const pool = cluster.brokerPool;
  const createBroker = pool.createBroker;
  pool.createBroker = (options) => {
    const broker = createBroker(options);
    tolerateLostPartitions(broker);
    passInstancesOn(broker);
    hardenBroker(broker);
    return broker;
  };
  tryEverySeed(cluster, { seeds: config.brokers.length, patienceMs });
  return cluster;
}

/**
 * kafkajs's admin client, for topics and their settings, on a cluster that is hardened as any other: its own never
 * gets over an answer to its first request that comes too late, since it takes the connection to be all that it needs.
 */
export function createAdmin(config: KafkaConfig): kafkajs.Admin {
  const options = { retry: someRetries, patienceMs: connectionTimeoutMs };
  const cluster = createCluster(config, (create) => create(), options);
  tellOfMissingMetadata(cluster);
  return createStockAdmin({ cluster, logger: silent, retry: someRetries });
}

export const topicResource = stock.ConfigResourceTypes.TOPIC;

/** How members of a group tell each other their topics, and their leader the partitions ("consumer" protocol). */
export const { MemberMetadata, MemberAssignment } = stock.AssignerProtocol;
