import { openCodec } from "../engine/avro/avro-codec.ts";
import { openRegistry } from "../engine/avro/registry.ts";
import { systemClock } from "../engine/clock.ts";
import type { Codec } from "../engine/codec.ts";
import { kafkaLog } from "../engine/kafka/kafka-log.ts";
import type { Log } from "../engine/log.ts";
import type { AggregateTopics } from "../engine/topic.ts";
import { topicsOf } from "./bank.ts";

/** The bank's account aggregate on real brokers, with the schemas of a real registry. */

export interface BankOnLog {
  readonly log: Log;
  readonly codec: Codec;
  readonly topics: AggregateTopics;
}

export interface BankAt {
  /** `host:port`, with commas between them. */
  readonly kafkaBrokers: string;
  readonly registryUrl: string;
  readonly clientId: string;
}

/** On topics that are there and registered. The log is the caller's to close. */
export async function bankOnLog(
  { kafkaBrokers, registryUrl, clientId }: BankAt,
  topics: AggregateTopics,
  signal: AbortSignal,
): Promise<BankOnLog> {
  const registry = openRegistry({ url: registryUrl, requestTimeoutMs: 5_000 });
  const options = { registry, topics: topicsOf(topics), unknownIdWaitMs: 0, clock: systemClock };
  const codec = await openCodec(options, signal);
  const brokers = kafkaBrokers.split(",");
  return { log: kafkaLog({ brokers, clientId, tls: null, sasl: null }), codec, topics };
}
