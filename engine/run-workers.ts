import { type Logger, pino } from "pino";
import { openCodec } from "./avro/avro-codec.ts";
import { openRegistry, type Registry } from "./avro/registry.ts";
import { readSchemaIds } from "./avro/schema-ids.ts";
import type { Upcasts } from "./avro/upcast.ts";
import { backOff, dependencyBackoff } from "./backoff.ts";
import { isAborted, systemClock } from "./clock.ts";
import type { Codec } from "./codec.ts";
import { type Config, printable } from "./config.ts";
import { FatalError, TransientError } from "./errors.ts";
import { Health, serveHealth, Waits } from "./health.ts";
import { kafkaLog } from "./kafka/kafka-log.ts";
import type { Log } from "./log.ts";
import { openMetrics } from "./metrics.ts";
import { brokerWaits } from "./reports.ts";
import { checkTopics } from "./topic-check.ts";
import type { Topic } from "./topic.ts";

import { type Context, runWorker } from "./run-worker.ts";
import type { Worker } from "./worker.ts";

/** One process: its connections, its pages for operators, and the workers that share them. */

/** What to run, and with which settings. */
export interface RunOptions {
  /** The workers to run, by the name that logs and metrics know them by. */
  readonly workers: Readonly<Record<string, Worker>>;
  readonly config: Config;
  readonly upcasts?: Upcasts;
  readonly version: string;
  readonly logger?: Logger;
}

/**
 * Runs workers until `signal` aborts, then lets each finish its batch. Waits for a broker, a registry or a
 * database that is away.
 * @throws FatalError where this process must not go on
 */
export async function runWorkers(options: RunOptions, signal: AbortSignal): Promise<void> {
  const { workers, config, version } = options;
  const logger = options.logger ?? pino({ level: config.logLevel });
  const metrics = openMetrics(version);
  const healths = Object.keys(workers).map((name) => new Health(name, metrics));
  const waits = new Waits();
  const limits = new Waits();
  const server = await serveHealth(config.metrics, [waits, ...healths], metrics, [limits]);
  logger.info({ ...printable(process.env), port: server.port }, "started");

  const log = kafkaLog({ ...config.kafka, onWaiting: brokerWaits({ waits, metrics, logger }) });
  // One worker's fatal error ends them all: the process is what is restarted.
  const ending = new AbortController();
  const end = () => {
    ending.abort();
  };
  signal.addEventListener("abort", end);
  try {
    const topics = Object.values(workers).flatMap(topicsOf);
    const check = () => topicsAgree(log, topics, config.replicationFactor, ending.signal);
    await patiently(check, "the broker", { waits, logger }, ending.signal);
    const registry = registryOf(config);
    const shared = { metrics, logger, waits, registry };
    const codec = await openCodecFor(topics, { ...options, ...shared }, ending.signal);
    const runs = Object.entries(workers).map(async ([name, worker], i) => {
      const health = healths[i] as Health;
      const own = { health, logger: logger.child({ worker: name }) };
      const context: Context = { log, codec, config, version, limits, ...shared, ...own };
      try {
        await runWorker(name, worker, context, ending.signal);
      } finally {
        end();
      }
    });
    const results = await Promise.allSettled(runs);
    for (const result of results) if (result.status === "rejected") throw result.reason;
  } catch (error) {
    if (!signal.aborted || error instanceof FatalError) throw error;
  } finally {
    signal.removeEventListener("abort", end);
    await log.close();
    await server.close();
  }
  logger.info("stopped");
}

/** A broker may tell for a moment of a topic that was just made as if it had no settings, or were not there. */
const freshTopicMs = 5_000;

async function topicsAgree(
  log: Log,
  topics: readonly Topic[],
  replicationFactor: number,
  signal: AbortSignal,
): Promise<void> {
  const deadline = systemClock.now() + freshTopicMs;
  for (;;) {
    try {
      await checkTopics(log, topics, replicationFactor);
      return;
    } catch (error) {
      const isFinal = systemClock.now() >= deadline || isAborted(signal);
      if (isFinal || !(error instanceof FatalError)) throw error;
      await systemClock.sleep(500, signal);
    }
  }
}

function topicsOf(worker: Worker): readonly Topic[] {
  if (worker.kind === "projector") return worker.projection.topics;
  if (worker.kind === "gateway") {
    return worker.aggregates.flatMap(({ topics: { commands, events, replies } }) => [
      commands,
      events,
      replies,
    ]);
  }
  const { commands, events, snapshots, replies, dlq } = worker.topics;
  return [commands, events, snapshots, replies, dlq];
}

function registryOf({ registry: { url } }: Config): Registry {
  const { username, password } = new URL(url);
  return openRegistry({
    url,
    ...(username !== "" && { user: decodeURIComponent(username) }),
    ...(password !== "" && { password: decodeURIComponent(password) }),
    requestTimeoutMs: 5_000,
  });
}

function openCodecFor(
  topics: readonly Topic[],
  {
    config,
    upcasts = {},
    metrics,
    logger,
    waits,
    registry,
  }: RunOptions & Pick<Context, "metrics" | "logger" | "waits" | "registry">,
  signal: AbortSignal,
): Promise<Codec> {
  const { idsFile } = config.registry;
  metrics.set("foldlog_registry_up", {}, 1);
  return openCodec(
    {
      registry,
      topics,
      upcasts,
      ...(idsFile !== null && { knownIds: readSchemaIds(idsFile) }),
      unknownIdWaitMs: config.unknownSchemaWaitMs,
      clock: systemClock,
      onRegistry: (state, reason) => {
        metrics.set("foldlog_registry_up", {}, state === "answers" ? 1 : 0);
        waits.set("the schema registry", state === "answers" ? null : reason);
        if (state === "answers") logger.info("the registry answers again");
        else logger.warn({ reason }, "waiting for the registry");
      },
    },
    signal,
  );
}

/** Waits for what may come back, with one line of log when it begins to. */
async function patiently<T>(
  attempt: () => Promise<T>,
  what: string,
  { waits, logger }: Pick<Context, "waits" | "logger">,
  signal: AbortSignal,
): Promise<T> {
  for (let failures = 0; ; failures++) {
    try {
      const result = await attempt();
      waits.set(what, null);
      return result;
    } catch (error) {
      if (!(error instanceof TransientError) || signal.aborted) throw error;
      const reason = error.message;
      if (waits.set(what, reason)) logger.warn({ reason }, `waiting for ${what}`);
      await backOff(dependencyBackoff, failures, systemClock, signal);
    }
  }
}
