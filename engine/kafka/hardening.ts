import type { Socket } from "node:net";
import { backOff, brokerBackoff } from "../backoff.ts";
import { systemClock } from "../clock.ts";
import { TransientError } from "../errors.ts";
import type {
  InternalBroker,
  InternalCluster,
  InternalConnection,
  InternalConnectionPool,
} from "./kafkajs-types.ts";

/**
 * What kafkajs's connections, brokers and clusters are made to do so that they come back by themselves once a fault
 * has ended. Each is changed in the one object, so that stock kafkajs beside it stays as it is.
 */

/** Of an answer, the length that precedes it. */
const lengthBytes = 4;

/**
 * kafkajs keeps what it has received of an answer when the connection ends in the middle of it, and reads what comes
 * over the next connection as the rest: from there on every answer is nonsense, for the life of the broker. Two that
 * find a connection closed open one each, of which the first is lost. And what it does when a socket closes, it does
 * to the one that has taken its place.
 */
function beginAnew(connection: InternalConnection): void {
  const connect = connection.connect.bind(connection);
  let last: Socket | undefined;
  let gone: Promise<unknown> = Promise.resolve();
  const open = async () => {
    last?.destroy();
    await gone;
    await new Promise(setImmediate); // What follows a close follows it in microtasks.
    connection.chunks = [];
    connection.bytesBuffered = 0;
    connection.bytesNeeded = lengthBytes;
    connection.authHandlers = null;
    const connected = connect();
    const { socket } = connection;
    if (socket !== undefined && socket !== last) {
      last = socket;
      gone = new Promise((resolve) => socket.once("close", resolve));
    }
    return connected;
  };
  const shared = onceAtATime(open);
  connection.connect = () => (connection.isConnected() ? connect() : shared());
}

/** Whoever calls meanwhile has part in the attempt that there is. */
function onceAtATime<T>(attempt: () => Promise<T>): () => Promise<T> {
  let running: Promise<T> | null = null;
  return () => {
    running ??= attempt().finally(() => {
      running = null;
    });
    return running;
  };
}

/**
 * kafkajs goes on asking over a connection on which an answer is overdue, though it may be dead: a host that
 * vanished resets nothing, and TCP takes a quarter of an hour to notice. Here the next request opens another.
 */
function cutOverdue(pool: InternalConnectionPool): void {
  const send = pool.send.bind(pool);
  pool.send = async (protocol) => {
    try {
      return await send(protocol);
    } catch (error) {
      if (isUnusableAfter(error)) cut(pool);
      throw error;
    }
  };
}

/** An answer to SASL that is overdue goes by the name of one that says no. */
function isUnusableAfter(error: unknown): boolean {
  const { name } = error as Error;
  return name === "KafkaJSRequestTimeoutError" || name === "KafkaJSSASLAuthenticationError";
}

function cut({ pool }: InternalConnectionPool): void {
  for (const { socket } of pool) socket?.destroy();
}

/**
 * kafkajs takes a broker for connected when its socket is: where ApiVersions or SASL got no answer or a bad one, it
 * never asks again for as long as that connection lives. Here it is cut.
 */
export function hardenBroker(broker: InternalBroker): void {
  let hardened: InternalConnectionPool | null = null;
  const harden = () => {
    const { connectionPool } = broker; // kafkajs replaces it after an illegal state of SASL.
    if (connectionPool === hardened) return;
    hardened = connectionPool;
    cutOverdue(connectionPool);
    for (const connection of connectionPool.pool) beginAnew(connection);
  };
  harden();
  const connect = broker.connect.bind(broker);
  broker.connect = onceAtATime(async () => {
    harden();
    try {
      await connect();
    } catch (error) {
      cut(broker.connectionPool);
      throw error;
    }
  });
}

/**
 * kafkajs goes on to the next of the brokers that it was given only after it was told to try again, and only where
 * nobody listens: with the first of three down, whoever has just started finds none; and one that takes connections
 * and is silent is asked for ever. Here each is tried before it fails, and all again within `patienceMs`.
 */
export function tryEverySeed(
  { brokerPool }: InternalCluster,
  { seeds, patienceMs }: { readonly seeds: number; readonly patienceMs: number },
): void {
  brokerPool.connect = onceAtATime(async () => {
    const deadline = systemClock.now() + patienceMs;
    for (let tried = 1; !brokerPool.hasConnectedBrokers(); tried++) {
      if (brokerPool.seedBroker === undefined) await brokerPool.createSeedBroker();
      const seed = brokerPool.seedBroker;
      try {
        await seed?.connect();
        brokerPool.versions = seed?.versions;
        return;
      } catch (error) {
        await brokerPool.createSeedBroker();
        if (tried < seeds) continue;
        if (systemClock.now() >= deadline) throw error;
        await backOff(brokerBackoff, tried - seeds, systemClock);
      }
    }
  });
}

/** Where no broker answers, kafkajs returns nothing where its own callers expect metadata. */
export function tellOfMissingMetadata(cluster: InternalCluster): void {
  const metadata = cluster.metadata.bind(cluster);
  cluster.metadata = async (options) => {
    const found = await metadata(options);
    if (found === null) throw new TransientError("No broker answered with its metadata");
    return found;
  };
}
