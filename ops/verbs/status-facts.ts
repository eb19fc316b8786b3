import { newestOf } from "../../engine/avro/avro-schema.ts";
import type { Config } from "../../engine/config.ts";
import { FatalError, messageOf } from "../../engine/errors.ts";
import { createAdmin, MemberAssignment } from "../../engine/kafka/kafkajs.ts";
import type { Log, LogOffsets } from "../../engine/log.ts";
import { openDatabase, SqlError } from "../../engine/postgres/postgres.ts";
import { plan, type PlannedTopic } from "../../engine/topic-plan.ts";
import { subjectOf } from "../../engine/topic.ts";
import { groupOf, type LogWorker } from "../../engine/worker.ts";
import { catalog } from "../../topics/catalog.ts";
import { registryOf, withLog } from "./connect.ts";
import { boundsOf, scan } from "./scan.ts";
import type { Environment } from "./settings.ts";

/** What the broker, the registry, Postgres and the workers say of themselves, each asked within seconds. */

/** `T`, or why it cannot be told: nobody answers, or whoever does refuses. */
export type Told<T> =
  | { readonly state: "answers"; readonly facts: T }
  | { readonly state: "away" | "refuses"; readonly problem: string };

async function told<T>(ask: () => Promise<T>): Promise<Told<T>> {
  try {
    return { state: "answers", facts: await ask() };
  } catch (error) {
    const state = error instanceof FatalError || error instanceof SqlError ? "refuses" : "away";
    return { state, problem: messageOf(error) };
  }
}

export interface Group {
  /** As Kafka calls it: Stable, Empty, PreparingRebalance, … */
  readonly state: string;
  readonly members: number;
  /** By topic name, the partitions that some member has. */
  readonly assigned: ReadonlyMap<string, ReadonlySet<number>>;
}

export interface KafkaFacts {
  readonly clusterId: string;
  readonly topics: readonly PlannedTopic[];
  /** By topic name: the bounds of each partition; of topics that are there. */
  readonly bounds: ReadonlyMap<string, readonly LogOffsets[]>;
  readonly groups: ReadonlyMap<string, Group>;
  /** By group: what it has committed on each partition of its input. */
  readonly committed: ReadonlyMap<string, readonly (bigint | null)[]>;
  /** By topic name: how many dead letters; `isMore`: counting was given up. */
  readonly deadLetters: ReadonlyMap<string, { readonly count: number; readonly isMore: boolean }>;
}

export type Workers = Readonly<Record<string, LogWorker>>;

export function askKafka(config: Config, workers: Workers): Promise<Told<KafkaFacts>> {
  return told(() =>
    withLog(config, async (log) => {
      const clusterId = await log.clusterId();
      const topics = await plan(log, catalog, config.replicationFactor);
      const there = topics.filter(({ action }) => action !== "create");
      const bounds = await boundsOfAll(log, there);
      const [groups, committed, deadLetters] = await Promise.all([
        groupsOf(config, workers),
        committedBy(log, workers, bounds),
        countDeadLetters(log, there),
      ]);
      return { clusterId, topics, bounds, groups, committed, deadLetters };
    }),
  );
}

/** As many as the broker has, should the catalog want another number. */
function partitionsOf({ topic, differences }: PlannedTopic): number {
  const other = differences.find(({ setting }) => setting === "partitions");
  return other === undefined ? topic.partitions : Number(other.found);
}

async function boundsOfAll(
  log: Log,
  planned: readonly PlannedTopic[],
): Promise<KafkaFacts["bounds"]> {
  const reader = await log.openReader();
  try {
    const bounds = new Map<string, LogOffsets[]>();
    for (const it of planned) {
      const { name } = it.topic;
      const all: LogOffsets[] = [];
      for (let partition = 0; partition < partitionsOf(it); partition++) {
        all.push(await boundsOf(reader, { topic: name, partition }));
      }
      bounds.set(name, all);
    }
    return bounds;
  } finally {
    await reader.close();
  }
}

async function groupsOf(config: Config, workers: Workers): Promise<KafkaFacts["groups"]> {
  const admin = createAdmin(config.kafka);
  try {
    await admin.connect();
    const described = await admin.describeGroups(Object.values(workers).map(groupOf));
    return new Map(
      described.groups.map(({ groupId, state, members }) => {
        const assigned = new Map<string, Set<number>>();
        for (const { memberAssignment } of members) {
          if (memberAssignment.length === 0) continue; // In the middle of a rebalance.
          const { assignment = {} } = MemberAssignment.decode(memberAssignment) ?? {};
          for (const [topic, partitions] of Object.entries(assignment)) {
            assigned.set(topic, new Set([...(assigned.get(topic) ?? []), ...partitions]));
          }
        }
        return [groupId, { state, members: members.length, assigned }];
      }),
    );
  } finally {
    await admin.disconnect();
  }
}

async function committedBy(
  log: Log,
  workers: Workers,
  bounds: KafkaFacts["bounds"],
): Promise<KafkaFacts["committed"]> {
  const committed = new Map<string, readonly (bigint | null)[]>();
  for (const worker of Object.values(workers)) {
    if (worker.kind === "projector") continue; // It keeps its position in its view.
    const { name: topic } = worker.topics.commands;
    const group = groupOf(worker);
    const partitions = bounds.get(topic)?.map((_, partition) => partition) ?? [];
    const offsets = partitions.map((partition) => log.committedOffset(group, { topic, partition }));
    committed.set(group, await Promise.all(offsets));
  }
  return committed;
}

const maxCounted = 10_000;

/** By reading them: a log's offsets count transactions' markers too. */
async function countDeadLetters(
  log: Log,
  planned: readonly PlannedTopic[],
): Promise<KafkaFacts["deadLetters"]> {
  const counts = new Map<string, { count: number; isMore: boolean }>();
  const reader = await log.openReader();
  try {
    for (const it of planned) {
      if (it.topic.kind !== "dlq") continue;
      let count = 0;
      for (let partition = 0; partition < partitionsOf(it) && count < maxCounted; partition++) {
        for await (const slice of scan({ reader, of: { topic: it.topic.name, partition } })) {
          count += slice.records.length;
          if (count >= maxCounted) break;
        }
      }
      counts.set(it.topic.name, { count, isMore: count >= maxCounted });
    }
    return counts;
  } finally {
    await reader.close();
  }
}

export interface RegistryFacts {
  /** How many record types of the catalog have their newest schema registered, of how many. */
  readonly registered: number;
  readonly wanted: number;
}

const answerWithinMs = 5_000;

export function askRegistry(config: Config): Promise<Told<RegistryFacts>> {
  return told(async () => {
    const registry = registryOf(config);
    let [registered, wanted] = [0, 0];
    for (const topic of catalog) {
      for (const record of topic.records) {
        const { schema } = newestOf(record);
        wanted += 1;
        const signal = AbortSignal.timeout(answerWithinMs); // Each has its own: there may be many.
        const id = await registry.idOf(subjectOf(topic, record), schema, signal);
        if (id !== null) registered += 1;
      }
    }
    return { registered, wanted };
  });
}

export interface PostgresFacts {
  /** `null` where the database is not prepared. */
  readonly checkpoints: readonly Checkpoint[] | null;
}

export interface Checkpoint {
  readonly projection: string;
  readonly version: number;
  readonly topic: string;
  readonly partition: number;
  readonly nextOffset: bigint;
}

const checkpointsSql = `
  select projection, version, topic, partition, next_offset from foldlog.checkpoints`;
/** No such table, no such schema, or no right to see it. */
const notPrepared: readonly string[] = ["42P01", "3F000", "42501"];

export function askPostgres(config: Config): Promise<Told<PostgresFacts>> {
  return told(async () => {
    const database = openDatabase({
      url: config.databaseReadUrl ?? "",
      applicationName: "foldlog status",
      maxConnections: 1,
      answerTimeoutMs: answerWithinMs,
    });
    try {
      const { rows } = await database.query(checkpointsSql);
      const checkpoints = rows.map((row) => ({
        projection: String(row["projection"]),
        version: Number(row["version"]),
        topic: String(row["topic"]),
        partition: Number(row["partition"]),
        nextOffset: row["next_offset"] as bigint,
      }));
      return { checkpoints };
    } catch (error) {
      if (error instanceof SqlError && notPrepared.includes(error.sqlState))
        return { checkpoints: null };
      throw error;
    } finally {
      await database.close();
    }
  });
}

/** One process of workers, as its health checks tell it. */
export interface Health {
  readonly url: string;
  /** Those that run in it; empty where it does not tell. */
  readonly workers: readonly string[];
  /** What keeps it from its work, a line each; empty where it is ready. */
  readonly problems: readonly string[];
}

/** The processes that FOLDLOG_METRICS_URLS lists, else the one of FOLDLOG_METRICS_URL. */
export async function askHealth(env: Environment): Promise<readonly Health[]> {
  const list = env["FOLDLOG_METRICS_URLS"] ?? env["FOLDLOG_METRICS_URL"] ?? "";
  const urls = list.split(/[\s,]+/).filter((url) => url !== "");
  return Promise.all(urls.map(healthOf));
}

async function healthOf(url: string): Promise<Health> {
  if (!URL.canParse(url)) return { url, workers: [], problems: [`${url} is not an address`] };
  try {
    const signal = AbortSignal.timeout(answerWithinMs);
    const metrics = await (await fetch(url, { signal })).text();
    const workers = [...metrics.matchAll(/^foldlog_partitions\{worker="([^"]+)"/gm)];
    const names = [...new Set(workers.map(([, name = ""]) => name))];
    const ready = await fetch(new URL("readyz", url), { signal });
    const [, ...reasons] = (await ready.text()).trimEnd().split("\n");
    return { url, workers: names, problems: ready.ok ? [] : reasons };
  } catch (error) {
    const { cause } = error as Error;
    return { url, workers: [], problems: [`${url} does not answer: ${messageOf(cause ?? error)}`] };
  }
}
