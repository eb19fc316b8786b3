import { openCodec } from "../../engine/avro/avro-codec.ts";
import { openRegistry, type Registry } from "../../engine/avro/registry.ts";
import { readSchemaIds } from "../../engine/avro/schema-ids.ts";
import { systemClock } from "../../engine/clock.ts";
import type { Codec } from "../../engine/codec.ts";
import type { Config } from "../../engine/config.ts";
import { FatalError, messageOf, TransientError } from "../../engine/errors.ts";
import { kafkaLog } from "../../engine/kafka/kafka-log.ts";
import type { Log } from "../../engine/log.ts";
import type { Topic } from "../../engine/topic.ts";
import { upcasts } from "../../schemas/upcasts.ts";

/** The broker and the registry for a command: unlike a worker, it does not wait for one that is away. */

/**
 * Lends a log.
 * @throws TransientError where no broker answers
 */
export async function withLog<T>(config: Config, work: (log: Log) => Promise<T>): Promise<T> {
  const log = kafkaLog(config.kafka);
  try {
    await requireAnswer(log, config);
    return await work(log);
  } finally {
    await log.close();
  }
}

async function requireAnswer(log: Log, { kafka: { brokers } }: Config): Promise<void> {
  try {
    await log.clusterId();
  } catch (error) {
    if (error instanceof FatalError) throw error;
    const where = brokers.join(", ");
    const why = messageOf(error).replace(/^Connection error: /, "");
    throw new TransientError(`No Kafka broker answers at ${where}: ${why}`, { cause: error });
  }
}

/** The registry that the settings name. */
export function registryOf({ registry: { url } }: Config): Registry {
  return openRegistry({ url, requestTimeoutMs: 5_000 });
}

/** How long the registry may be away, while a command has nothing else to do, in milliseconds. */
const patienceMs = 2_000;

/**
 * A codec for these topics. A schema id that the registry does not know is unknown at once.
 * @throws TransientError where the registry does not answer
 * @throws FatalError `SCHEMA_UNREGISTERED` or `SCHEMA_DRIFT`
 */
export async function codecFor(config: Config, topics: readonly Topic[]): Promise<Codec> {
  const giveUp = new AbortController();
  let reason = "";
  let timer: NodeJS.Timeout | undefined;
  const { idsFile } = config.registry;
  try {
    return await openCodec(
      {
        registry: registryOf(config),
        topics,
        upcasts,
        ...(idsFile !== null && { knownIds: readSchemaIds(idsFile) }),
        unknownIdWaitMs: 0,
        clock: systemClock,
        onRegistry: (state, why) => {
          clearTimeout(timer);
          if (state === "answers") return;
          reason = why;
          timer = setTimeout(() => {
            giveUp.abort();
          }, patienceMs);
        },
      },
      giveUp.signal,
    );
  } catch (error) {
    if (!giveUp.signal.aborted) throw error;
    const what = reason.replace(/^the/, "The");
    throw new TransientError(what, { cause: error });
  } finally {
    clearTimeout(timer);
  }
}
