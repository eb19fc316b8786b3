import { type Logger, pino } from "pino";
import { runAssigned } from "./assignment.ts";
import { openCodec } from "./avro/avro-codec.ts";
import { openRegistry } from "./avro/registry.ts";
import { readSchemaIds } from "./avro/schema-ids.ts";
import type { Upcasts } from "./avro/upcast.ts";
import { backOff, dependencyBackoff } from "./backoff.ts";
import { systemClock } from "./clock.ts";
import type { Codec } from "./codec.ts";
import { commandLimits, processCommands } from "./commands/command-processor.ts";
import { sqliteStores } from "./commands/sqlite-store.ts";
import { type Config, printable } from "./config.ts";
import type { Decider, Message } from "./decider.ts";
import { FatalError, TransientError } from "./errors.ts";
import { Health, serveHealth, Waits } from "./health.ts";
import { kafkaLog } from "./kafka/kafka-log.ts";
import type { Log, Membership, TopicPartition } from "./log.ts";
import { type Metrics, openMetrics } from "./metrics.ts";
import { openPostgresViews } from "./postgres/postgres-views.ts";
import type { AnyProjection, Projection } from "./projection.ts";
import { expireRows } from "./projections/expiry.ts";
import { projectionLimits, runProjection } from "./projections/projector.ts";
import { brokerWaits, commandHooks, keyOf, projectionHooks } from "./reports.ts";
import { checkTopics } from "./topic-check.ts";
import type { AggregateTopics, Topic } from "./topic.ts";

/** One process: puts adapters and loops together, and tells what they do. The only place that knows both. */

export interface CommandWorker {
  readonly kind: "command-processor";
  readonly decider: Decider<object, Message, Message, string>;
  readonly topics: AggregateTopics;
}

export interface ProjectionWorker {
  readonly kind: "projector";
  readonly projection: AnyProjection;
}

export type Worker = CommandWorker | ProjectionWorker;

/** A worker that decides the commands of one aggregate. */
export function commandProcessor<
  S extends object,
  C extends Message,
  E extends Message,
  R extends string,
>(decider: Decider<S, C, E, R>, topics: AggregateTopics): CommandWorker {
  return {
    kind: "command-processor",
    decider,
    topics,
  };
}

/** A worker that keeps one view. */
export function projector<E extends Message, T extends string>(
  projection: Projection<E, T>,
): ProjectionWorker {
  return { kind: "projector", projection };
}

export interface RunOptions {
  /** The workers to run, by the name that logs and metrics know them by. */
  readonly workers: Readonly<Record<string, Worker>>;
  readonly config: Config;
  readonly upcasts?: Upcasts;
  readonly version: string;
  readonly logger?: Logger;
}

interface Context {
  readonly log: Log;
  readonly codec: Codec;
  readonly config: Config;
  readonly metrics: Metrics;
  readonly logger: Logger;
  readonly health: Health;
  readonly waits: Waits;
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
  const server = await serveHealth(config.metrics, [waits, ...healths], metrics);
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
    const check = () => checkTopics(log, topics, config.replicationFactor);
    await patiently(check, "the broker", { waits, logger }, ending.signal);
    const shared = { metrics, logger, waits };
    const codec = await openCodecFor(topics, { ...options, ...shared }, ending.signal);
    const runs = Object.entries(workers).map(async ([name, worker], i) => {
      const health = healths[i] as Health;
      const own = { health, logger: logger.child({ worker: name }) };
      const context: Context = { log, codec, config, metrics, waits, ...own };
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

function topicsOf(worker: Worker): readonly Topic[] {
  if (worker.kind === "projector") return worker.projection.topics;
  const { commands, events, snapshots, replies, dlq } = worker.topics;
  return [commands, events, snapshots, replies, dlq];
}

function openCodecFor(
  topics: readonly Topic[],
  {
    config,
    upcasts = {},
    metrics,
    logger,
    waits,
  }: RunOptions & Pick<Context, "metrics" | "logger" | "waits">,
  signal: AbortSignal,
): Promise<Codec> {
  const { url, idsFile } = config.registry;
  const { username, password } = new URL(url);
  metrics.set("foldlog_registry_up", {}, 1);
  return openCodec(
    {
      registry: openRegistry({
        url,
        ...(username !== "" && { user: decodeURIComponent(username) }),
        ...(password !== "" && { password: decodeURIComponent(password) }),
        requestTimeoutMs: 5_000,
      }),
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

async function runWorker(
  name: string,
  worker: Worker,
  context: Context,
  signal: AbortSignal,
): Promise<void> {
  if (worker.kind === "command-processor") await runCommands(name, worker, context, signal);
  else await runViews(name, worker, context, signal);
}

async function runCommands(
  name: string,
  { decider, topics }: CommandWorker,
  { log, codec, config, metrics, logger, health }: Context,
  signal: AbortSignal,
): Promise<void> {
  const group = `${topics.namespace}.${topics.aggregate}`;
  const openStore = sqliteStores(config.stateDir);
  await inGroup(
    { log, group, topics: [topics.commands.name], health, logger },
    signal,
    (membership) => (of, stop) =>
      processCommands(
        {
          decider,
          topics,
          partition: of.partition,
          group,
          log,
          codec,
          openStore,
          clock: systemClock,
          confirm: (it) => membership.confirm(it),
          hooks: commandHooks(name, of, { metrics, logger, health }),
          limits: commandLimits,
        },
        stop,
      ),
  );
}

async function runViews(
  name: string,
  { projection }: ProjectionWorker,
  { log, codec, config, metrics, logger, health, waits }: Context,
  signal: AbortSignal,
): Promise<void> {
  if (config.databaseUrl === null) {
    throw new FatalError("BROKEN_INVARIANT", "A projector was started without DATABASE_URL");
  }
  const waiting = ({ message: reason }: TransientError) => {
    if (waits.set(`${name}: Postgres`, reason)) logger.warn({ reason }, "waiting for Postgres");
  };
  const views = await openPostgresViews(
    { url: config.databaseUrl, projection, clock: systemClock, waiting },
    signal,
  );
  waits.set(`${name}: Postgres`, null);
  const group = `${projection.topics[0]?.namespace ?? ""}.${projection.name}.v${projection.version}`;
  const topics = projection.topics.map((topic) => topic.name);
  const expiring = expireRows(
    {
      projection,
      views,
      clock: systemClock,
      expired: (table, rows) => {
        logger.info({ table, rows }, "deleted rows that had to be kept no longer");
      },
      postponed: ({ message: reason }) => {
        logger.warn({ reason }, "old rows are deleted later");
      },
    },
    signal,
  );
  try {
    const projecting = inGroup(
      { log, group, topics, health, logger },
      signal,
      (membership) => async (topicPartition, stop) => {
        const reader = await log.openReader();
        const run = { projection, topicPartition, reader, codec, views, clock: systemClock };
        const confirm = (it: TopicPartition) => membership.confirm(it);
        const hooks = projectionHooks(name, topicPartition, { metrics, logger, health });
        try {
          return await runProjection({ ...run, confirm, hooks, limits: projectionLimits }, stop);
        } finally {
          await reader.close();
        }
      },
    );
    await Promise.all([projecting, expiring]);
  } finally {
    await views.close();
  }
}

type RunPartition = (of: TopicPartition, signal: AbortSignal) => Promise<"aborted" | "dropped">;

/** Joins the group, runs what it assigns, and leaves it when all has ended. */
async function inGroup(
  {
    log,
    group,
    topics,
    health,
    logger,
  }: Pick<Context, "log" | "health" | "logger"> & { group: string; topics: readonly string[] },
  signal: AbortSignal,
  runOf: (membership: Membership) => RunPartition,
): Promise<void> {
  const membership = await log.join({ group, topics });
  try {
    const onAssigned = (partitions: readonly TopicPartition[]) => {
      health.assigned(partitions.map(keyOf));
      logger.info({ partitions: partitions.map(keyOf) }, "assigned");
    };
    await runAssigned(
      { membership, clock: systemClock, run: runOf(membership), onAssigned },
      signal,
    );
  } finally {
    await membership.leave();
  }
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
