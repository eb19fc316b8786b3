import type { Logger } from "pino";
import type { CommandHooks } from "./commands/command-processor.ts";
import type { Health, Waits } from "./health.ts";
import type { TopicPartition } from "./log.ts";
import type { Metrics } from "./metrics.ts";
import type { ProjectionHooks } from "./projections/projector.ts";

/**
 * What the loops tell of themselves, as metrics, health and one line of log a change of state. `gone` is for a partition
 * that is another's now: a gauge that nobody sets any more would say for ever what was so at last.
 */

export interface Reports {
  readonly metrics: Metrics;
  readonly logger: Logger;
  readonly health: Health;
}

export function commandHooks(
  worker: string,
  of: TopicPartition,
  { metrics, logger, health }: Reports,
): CommandHooks & { gone(): void } {
  const key = keyOf(of);
  const partition = String(of.partition);
  /** What it was last held up at. */
  let stuckAt: string | null = null;
  const goOn = () => {
    if (stuckAt === null) return;
    metrics.remove("foldlog_restore_stuck_seconds", { worker, topic: stuckAt, partition });
    stuckAt = null;
  };
  return {
    opening: (reason, error) => {
      goOn();
      if (reason === "assigned") {
        health.set(key, "opening"); // Whatever an earlier run of it may have said at its end.
        return;
      }
      metrics.add("foldlog_writer_reopened_total", { worker, reason });
      health.set(key, "retrying", error?.message ?? reason);
      logger.warn(
        { partition: key, reason, error: error?.message },
        "starting the partition again",
      );
    },
    stuck: (at, stuckMs) => {
      if (stuckAt !== at.topic || stuckMs === 0) goOn();
      if (stuckMs === 0) {
        health.set(key, "opening");
        return;
      }
      stuckAt = at.topic;
      const labels = { worker, topic: at.topic, partition };
      metrics.set("foldlog_restore_stuck_seconds", labels, stuckMs / 1000);
      health.set(key, "opening", `waits for an open transaction on ${keyOf(at)}`);
    },
    ready: ({ fromStore, tookMs, resume, suspicion }) => {
      goOn();
      const from = fromStore ? "store" : "log";
      metrics.observe("foldlog_restore_duration_seconds", { worker, from }, tookMs / 1000);
      health.set(key, "ready");
      logger.info({ partition: key, from, tookMs, resume: String(resume) }, "ready");
      if (suspicion === null) return;
      const { until, accused } = suspicion;
      logger.warn(
        { partition: key, until: String(until), deaths: accused?.deaths.length ?? 0 },
        "the process before died while it handled commands: taking them one by one",
      );
    },
    committed: (commit) => {
      for (const [kind, count] of commit.tally) {
        const [type = "", outcome = ""] = kind.split(" ");
        metrics.add("foldlog_commands_total", { worker, type, outcome }, count);
      }
      for (const code of commit.deadLetterCodes) {
        metrics.add("foldlog_dead_letters_total", { worker, code });
      }
      const seconds = commit.tookMs / 1000;
      metrics.observe("foldlog_transaction_duration_seconds", { worker }, seconds);
      if (commit.commands > 0) {
        metrics.observe("foldlog_transaction_commands", { worker }, commit.commands);
      }
      if (commit.latencyMs !== null) {
        metrics.observe("foldlog_command_duration_seconds", { worker }, commit.latencyMs / 1000);
      }
      if (commit.largestState > 0)
        metrics.max("foldlog_state_bytes_max", { worker }, commit.largestState);
    },
    lag: (records) => {
      metrics.set("foldlog_command_lag_records", { worker, partition }, records);
    },
    gone: () => {
      goOn();
      metrics.remove("foldlog_command_lag_records", { worker, partition });
    },
  };
}

const projectionGauges = [
  "foldlog_projection_position",
  "foldlog_projection_lag_events",
  "foldlog_projection_lag_seconds",
  "foldlog_projection_stopped",
] as const;

export function projectionHooks(
  projection: string,
  of: TopicPartition,
  { metrics, logger, health }: Reports,
): ProjectionHooks & { gone(): void } {
  const key = keyOf(of);
  const labels = { projection, topic: of.topic, partition: String(of.partition) };
  metrics.set("foldlog_projection_stopped", labels, 0);
  let stopped = false;
  return {
    progress: ({ position, lagEvents, lagSeconds, events, rows }) => {
      if (!stopped && health.set(key, "ready")) {
        logger.info({ partition: key, position: String(position) }, "ready");
      }
      metrics.set("foldlog_projection_position", labels, Number(position));
      metrics.set("foldlog_projection_lag_events", labels, lagEvents);
      if (lagSeconds !== null) metrics.set("foldlog_projection_lag_seconds", labels, lagSeconds);
      metrics.add("foldlog_projection_events_total", { projection }, events);
      metrics.add("foldlog_projection_rows_total", { projection }, rows);
    },
    retrying: ({ error }) => {
      metrics.add("foldlog_projection_retries_total", { projection });
      if (!health.set(key, "retrying", error.message)) return;
      logger.warn({ partition: key, reason: error.message }, "going back to the checkpoint");
    },
    stopped: ({ coordinates, key: event, type, cause }) => {
      stopped = true;
      metrics.set("foldlog_projection_stopped", labels, 1);
      health.set(key, "stopped", `at ${coordinates}: ${cause.message}`);
      const why = cause.message;
      logger.error({ partition: key, coordinates, event, type, why }, "stopped at an event");
    },
    gone: () => {
      for (const name of projectionGauges) metrics.remove(name, labels);
    },
  };
}

/** One line when the first question begins to wait for a broker, and one when none waits any more. */
export function brokerWaits({
  waits,
  metrics,
  logger,
}: Omit<Reports, "health"> & { readonly waits: Waits }) {
  const waiting = new Set<string>();
  return (question: string, reason: string | null) => {
    const before = waiting.size;
    if (reason === null) waiting.delete(question);
    else waiting.add(question);
    waits.set(`the broker (${question})`, reason);
    metrics.set("foldlog_broker_waits", {}, waiting.size);
    if (before === 0 && reason !== null)
      logger.warn({ question, reason }, "waiting for the broker");
    if (before > 0 && waiting.size === 0) logger.info("the broker answers again");
  };
}

export function keyOf({ topic, partition }: TopicPartition): string {
  return `${topic}/${partition}`;
}
