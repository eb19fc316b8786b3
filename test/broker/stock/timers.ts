import { createHook } from "node:async_hooks";
import { createRequire } from "node:module";
import type * as kafkajs from "kafkajs";

/**
 * Counts the timers of a small load, in a process of its own that has loaded nothing else:
 * `node timers.ts <subject> <brokers> <topic> <sends>` sends so many records one after the other and prints
 * `TimerCounts` as JSON.
 */

/** `stock`: kafkajs as published. `mended`: the same, with our correction loaded before. `ours`: our log. */
export type TimerSubject = "stock" | "mended" | "ours";

export interface TimerCounts {
  /** Timers created, of whatever kind. */
  readonly created: number;
  /** Of these, timers asked for with a negative delay, which Node takes for 1 ms. */
  readonly negative: number;
}

const [subject = "", brokers = "", topic = "", sends = ""] = process.argv.slice(2);

/** Connects, and returns what sends one record. */
async function connect(): Promise<{
  send: () => Promise<unknown>;
  close: () => Promise<void>;
}> {
  if (subject === "ours") {
    const { kafkaLog } = await import("../../../engine/kafka/kafka-log.ts");
    const log = kafkaLog({ brokers: [brokers], clientId: "timers", tls: null, sasl: null });
    const producer = await log.openProducer();
    const record = { topic, partition: 0, key: "key", value: null, headers: [], timestamp: 0 };
    return { send: () => producer.send([record]), close: () => producer.close() };
  }
  if (subject === "mended") await import("../../../engine/kafka/kafkajs.ts");
  const stock = createRequire(import.meta.url)("kafkajs") as typeof kafkajs;
  const client = new stock.Kafka({ brokers: [brokers], logLevel: stock.logLevel.NOTHING });
  const producer = client.producer({ idempotent: true, maxInFlightRequests: 1 });
  await producer.connect();
  const messages = [{ key: "key", value: null, partition: 0 }];
  return { send: () => producer.send({ topic, messages }), close: () => producer.disconnect() };
}

let created = 0;
let negative = 0;
createHook({
  init: (_, type) => {
    if (type === "Timeout") created++;
  },
}).enable();
const setAnyTimeout = globalThis.setTimeout;
globalThis.setTimeout = Object.assign(
  (callback: () => void, delayMs?: number) => {
    if (delayMs !== undefined && delayMs < 0) negative++;
    return setAnyTimeout(callback, delayMs);
  },
  { __promisify__: setAnyTimeout.__promisify__ },
) as typeof setTimeout;

const { send, close } = await connect();
await send(); // Loads the metadata and opens the connections.
[created, negative] = [0, 0];
for (let i = 0; i < Number(sends); i++) await send();
const counts: TimerCounts = { created, negative };
process.stdout.write(JSON.stringify(counts));
await close();
