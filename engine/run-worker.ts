import type { Logger } from "pino";
import { runAssigned } from "./assignment.ts";
import type { Registry } from "./avro/registry.ts";
import { systemClock } from "./clock.ts";
import type { Codec } from "./codec.ts";
import { commandLimits, processCommands } from "./commands/command-processor.ts";
import { fileNotes } from "./commands/note.ts";
import { sqliteStores } from "./commands/sqlite-store.ts";
import type { Config } from "./config.ts";
import type { TransientError } from "./errors.ts";
import { FatalError } from "./errors.ts";
import { runGateway } from "./gateway/gateway.ts";
import type { Health, Waits } from "./health.ts";
import { claimInstance } from "./instance.ts";
import type { Log, Membership, TopicPartition } from "./log.ts";
import type { Metrics } from "./metrics.ts";
import { openPostgresViews } from "./postgres/postgres-views.ts";
import { expireRows } from "./projections/expiry.ts";
import { projectionLimits, runProjection } from "./projections/projector.ts";
import { commandHooks, keyOf, projectionHooks } from "./reports.ts";
import { subjectOf } from "./topic.ts";

import {
  groupOf,
  type CommandWorker,
  type GatewayWorker,
  type ProjectionWorker,
  type Worker,
} from "./worker.ts";

/** Puts the adapters and the loop of one worker together. */

/** What the workers of one process share, and what each has of its own: its logger and its health. */
export interface Context {
  readonly log: Log;
  readonly codec: Codec;
  readonly config: Config;
  readonly metrics: Metrics;
  readonly logger: Logger;
  readonly health: Health;
  readonly waits: Waits;
  readonly limits: Waits;
  readonly registry: Registry;
  readonly version: string;
}

/**
 * Runs one worker until `signal` aborts, then lets it finish its batch.
 * @throws FatalError where this process must not go on
 */
export async function runWorker(
  name: string,
  worker: Worker,
  context: Context,
  signal: AbortSignal,
): Promise<void> {
  switch (worker.kind) {
    case "command-processor":
      await runCommands(name, worker, context, signal);
      break;
    case "projector":
      await runViews(name, worker, context, signal);
      break;
    case "gateway":
      await serveApi(worker, context, signal);
      break;
  }
}

async function serveApi(
  { title, aggregates, projections }: GatewayWorker,
  context: Context,
  signal: AbortSignal,
): Promise<void> {
  const { config, version, registry } = context;
  if (config.databaseReadUrl === null) {
    throw new FatalError("BROKEN_INVARIANT", "A gateway was started without DATABASE_READ_URL");
  }
  const [first] = aggregates.flatMap(({ topics: { replies } }) => [replies]);
  const subject = first?.records[0] === undefined ? "" : subjectOf(first, first.records[0]);
  await runGateway(
    {
      ...context,
      api: { title, version, aggregates, projections },
      listen: config.api,
      era: config.era,
      databaseUrl: config.databaseReadUrl,
      probeRegistry: (stop) => registry.levelOf(subject, stop),
      clock: systemClock,
    },
    signal,
  );
}

async function runCommands(
  name: string,
  worker: CommandWorker,
  { log, codec, config, metrics, logger, health }: Context,
  signal: AbortSignal,
): Promise<void> {
  const { decider, topics } = worker;
  const group = groupOf(worker);
  const openStore = sqliteStores(config.stateDir);
  const openNote = fileNotes(config.stateDir);
  await inGroup(
    { log, config, group, topics: [topics.commands.name], health, logger },
    signal,
    (membership) => async (of, stop) => {
      const hooks = commandHooks(name, of, { metrics, logger, health });
      const confirm = (it: TopicPartition) => membership.confirm(it);
      const { partition } = of;
      const run = { decider, topics, partition, group, log, codec, openStore, openNote };
      const limits = commandLimits;
      try {
        return await processCommands({ ...run, clock: systemClock, confirm, hooks, limits }, stop);
      } finally {
        hooks.gone();
      }
    },
  );
}

async function runViews(
  name: string,
  worker: ProjectionWorker,
  { log, codec, config, metrics, logger, health, waits }: Context,
  signal: AbortSignal,
): Promise<void> {
  const { projection } = worker;
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
  const group = groupOf(worker);
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
      { log, config, group, topics, health, logger },
      signal,
      (membership) => async (topicPartition, stop) => {
        const reader = await log.openReader();
        const run = { projection, topicPartition, reader, codec, views, clock: systemClock };
        const confirm = (it: TopicPartition) => membership.confirm(it);
        const hooks = projectionHooks(name, topicPartition, { metrics, logger, health });
        try {
          return await runProjection({ ...run, confirm, hooks, limits: projectionLimits }, stop);
        } finally {
          hooks.gone();
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

interface InGroup extends Pick<Context, "log" | "config" | "health" | "logger"> {
  readonly group: string;
  readonly topics: readonly string[];
}

/** Joins the group, runs what it assigns, and leaves it when all has ended. */
async function inGroup(
  { log, config, group, topics, health, logger }: InGroup,
  signal: AbortSignal,
  runOf: (membership: Membership) => RunPartition,
): Promise<void> {
  const claim = claimInstance(config.stateDir, group, topics);
  const membership = await log.join({ group, topics, instance: claim?.name ?? null });
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
    claim?.release();
  }
}
