import type { Clock } from "../../engine/clock.ts";
import { messageOf } from "../../engine/errors.ts";
import type { Log, Reader, TopicPartition } from "../../engine/log.ts";
import type { AggregateTopics } from "../../engine/topic.ts";
import type { Plan } from "./plan.ts";
import type { System } from "./system.ts";

/** Whether a bank has come to rest: asked as often as it takes, never waited out. */

export interface RestOptions {
  readonly system: System;
  readonly plan: Plan;
  readonly topics: AggregateTopics;
  readonly log: Log;
  readonly clock: Clock;
}

const lookMs = 500;
const askMs = 5_000;

/**
 * Waits until every command in the log is answered, every view has everything, no transaction is open and every
 * worker of the plan is ready. Resolves to what is still missing at the deadline; empty where nothing is.
 */
export async function untilAtRest(
  options: RestOptions,
  deadline: number,
  signal: AbortSignal,
): Promise<readonly string[]> {
  for (;;) {
    const missing = await missingForRest(options);
    if (missing.length === 0 || options.clock.now() >= deadline) return missing;
    if (signal.aborted) return ["it was interrupted"];
    await options.clock.sleep(lookMs, signal);
  }
}

/** In the order in which it can come: a later question is asked once the earlier ones are answered well. */
async function missingForRest(options: RestOptions): Promise<readonly string[]> {
  try {
    const workers = await workersMissing(options);
    if (workers.length > 0) return workers;
    const reader = await options.log.openReader();
    try {
      const commands = await commandsMissing(options, reader);
      if (commands.length > 0) return commands;
      const open = await transactionsOpen(options, reader);
      if (open.length > 0) return open;
    } finally {
      await reader.close();
    }
    return await viewsMissing(options);
  } catch (error) {
    return [`it could not be asked: ${messageOf(error)}`];
  }
}

async function workersMissing({ system, plan }: RestOptions): Promise<readonly string[]> {
  const up = system.workers();
  const names = Object.entries(plan.workers).flatMap(([worker, count]) =>
    Array.from({ length: count }, (_, i) => `${worker}/${i + 1}`),
  );
  const missing: string[] = [];
  for (const name of names) {
    const found = up.find((it) => it.name === name);
    const why = found === undefined ? "is not running" : await unreadiness(found.metricsUrl);
    if (why !== null) missing.push(`${name} ${why}`);
  }
  return missing;
}

async function unreadiness(metricsUrl: string): Promise<string | null> {
  try {
    const url = metricsUrl.replace(/\/metrics$/, "/readyz");
    const response = await fetch(url, { signal: AbortSignal.timeout(askMs) });
    const text = await response.text();
    return response.ok ? null : `is not ready: ${text.trim().replaceAll("\n", "; ")}`;
  } catch {
    return "does not answer";
  }
}

function partitionsOf({ name: topic, partitions }: { name: string; partitions: number }) {
  return Array.from({ length: partitions }, (_, partition) => ({ topic, partition }));
}

async function commandsMissing(
  { log, topics, system }: RestOptions,
  reader: Reader,
): Promise<readonly string[]> {
  const group = `${topics.namespace}.${topics.aggregate}`;
  const missing: string[] = [];
  for (const partition of partitionsOf(topics.commands)) {
    const { end, start } = await reader.offsets(partition, AbortSignal.timeout(askMs));
    const told = () => toldPosition(system, partition, end);
    const at = (await log.committedOffset(group, partition)) ?? (await told());
    if (at < end && start < end) {
      missing.push(`${nameOf(partition)}: ${end - at} commands unanswered`);
    }
  }
  return missing;
}

/** A group that was deleted has no offset until the next commit: then the workers themselves are asked. */
async function toldPosition(system: System, of: TopicPartition, end: bigint): Promise<bigint> {
  const lags = await metricsOf(system, "foldlog_command_lag_records");
  const own = lags.filter(({ labels }) => labels["partition"] === String(of.partition));
  return own.length === 0 ? 0n : end - BigInt(Math.max(...own.map(({ value }) => value)));
}

async function transactionsOpen(
  { topics }: RestOptions,
  reader: Reader,
): Promise<readonly string[]> {
  const { commands, events, snapshots, replies, dlq } = topics;
  const open: string[] = [];
  const all = [commands, events, snapshots, replies, dlq].flatMap(partitionsOf);
  for (const partition of all) {
    const { stable, end } = await reader.offsets(partition, AbortSignal.timeout(askMs));
    if (stable < end) open.push(`${nameOf(partition)}: a transaction is open from ${stable} on`);
  }
  return open;
}

async function viewsMissing({ system, plan, topics }: RestOptions): Promise<readonly string[]> {
  const views = ["balances", "statements", "command_status", "event_index"];
  const projections = views.filter((it) => (plan.workers[it] ?? 0) > 0);
  const lags = await metricsOf(system, "foldlog_projection_lag_events");
  return projections.flatMap((projection) => {
    const own = lags.filter(({ labels }) => labels["projection"] === projection);
    const behind = own.filter(({ value }) => value > 0);
    const partitions = new Set(own.map(({ labels }) => labels["partition"]));
    const { partitions: wanted } = topics.events;
    if (partitions.size < wanted)
      return [`${projection} has ${partitions.size} of ${wanted} partitions`];
    return behind.map(({ labels, value }) => {
      return `${projection}, partition ${labels["partition"] ?? "?"}: ${value} events behind`;
    });
  });
}

interface Metric {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** One metric of every worker that runs. */
async function metricsOf(system: System, name: string): Promise<readonly Metric[]> {
  const texts = await Promise.all(
    system.workers().map(async ({ metricsUrl }) => {
      const response = await fetch(metricsUrl, { signal: AbortSignal.timeout(askMs) });
      return response.text();
    }),
  );
  return texts.flatMap((text) => metricsIn(text, name));
}

/** The values of a metric in Prometheus's text format. */
export function metricsIn(text: string, name: string): readonly Metric[] {
  return text
    .split("\n")
    .filter((line) => line.startsWith(`${name}{`))
    .map((line) => {
      const end = line.lastIndexOf("}");
      const labels = [...line.slice(name.length, end).matchAll(/(\w+)="([^"]*)"/g)];
      return {
        labels: Object.fromEntries(labels.map(([, label = "", value = ""]) => [label, value])),
        value: Number(line.slice(end + 1)),
      };
    });
}

function nameOf({ topic, partition }: TopicPartition): string {
  return `${topic}/${partition}`;
}
