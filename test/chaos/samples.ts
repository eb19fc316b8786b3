import { createRequire } from "node:module";
import { createWriteStream } from "node:fs";
import type * as kafkajs from "kafkajs";
import type { Clock } from "../../engine/clock.ts";
import { openDatabase, type Database } from "../../engine/postgres/postgres.ts";
import type { AggregateTopics } from "../../engine/topic.ts";
import type {
  GroupPosition,
  PositionsAnnounced,
  PositionSample,
  TopicEnd,
  ViewPosition,
} from "../../ops/audit/samples.ts";
import type { LoadCounts } from "./load.ts";
import type { Fault } from "./plan.ts";
import type { Sample } from "./result.ts";
import type { Addresses } from "./system.ts";

/** What somebody beside the bank sees of it about each second, straight from the broker and Postgres. */

export interface SamplerOptions {
  readonly addresses: Addresses;
  readonly topics: AggregateTopics;
  /** By name. */
  readonly projections: readonly string[];
  readonly counts: LoadCounts;
  /** When the load began, by `clock`. */
  readonly startedAt: number;
  readonly clock: Clock;
  /** Where positions are written, as JSON lines. */
  readonly file: string;
  readonly onSample: (sample: Sample) => void;
}

export interface Sampler {
  readonly samples: readonly Sample[];
  /** Writes what a fault is about to move back, where it does. */
  announce(fault: Fault): void;
  stop(): Promise<void>;
}

const stock = createRequire(import.meta.url)("kafkajs") as typeof kafkajs;
const everyMs = 1_000;
const answerMs = 1_000;

export function startSampler(options: SamplerOptions): Sampler {
  const { clock, file, counts, startedAt, topics, onSample } = options;
  const stopping = new AbortController();
  const output = createWriteStream(file);
  const write = (sample: PositionSample) => output.write(`${JSON.stringify(sample)}\n`);
  const samples: Sample[] = [];
  const eyes = openEyes(options);

  const run = async () => {
    let before = { t: clock.now(), sent: 0, answered: 0 };
    while (!stopping.signal.aborted) {
      await clock.sleep(everyMs, stopping.signal);
      const seen = await eyes.look();
      const t = clock.now();
      write({ kind: "seen", t, views: seen.views, groups: seen.groups, ends: seen.ends });
      const { sent } = counts;
      const answered = answeredOf(counts);
      const seconds = Math.max(0.001, (t - before.t) / 1_000);
      const sample: Sample = {
        t: t - startedAt,
        sentPerSecond: Math.round((sent - before.sent) / seconds),
        answeredPerSecond: Math.round((answered - before.answered) / seconds),
        commandLag: lagOf(seen.groups, seen.ends, topics.commands.name),
        viewLag: viewLagOf(seen, options),
      };
      samples.push(sample);
      onSample(sample);
      before = { t, sent, answered };
    }
  };
  const running = run();
  return {
    samples,
    announce: (fault) => {
      const announced = announcementOf(fault, topics);
      if (announced !== null) write({ kind: "announced", t: clock.now(), ...announced });
    },
    stop: async () => {
      stopping.abort();
      await running;
      await eyes.close();
      await new Promise<void>((resolve) => {
        output.end(resolve);
      });
    },
  };
}

export function answeredOf({ accepted, rejected, conflict, failed }: LoadCounts): number {
  return accepted + rejected + conflict + failed;
}

interface Seen {
  readonly views: readonly ViewPosition[];
  readonly groups: readonly GroupPosition[];
  readonly ends: readonly TopicEnd[];
}

/** Connections that last as long as the sampling. */
function openEyes({ addresses, topics, clock }: SamplerOptions) {
  const database = openDatabase({
    url: addresses.databaseReadUrl,
    applicationName: "chaos samples",
    maxConnections: 1,
    answerTimeoutMs: answerMs,
  });
  const admin = new stock.Kafka({
    brokers: addresses.kafkaBrokers.split(","),
    clientId: "chaos-samples",
    logLevel: stock.logLevel.NOTHING,
    connectionTimeout: answerMs,
    requestTimeout: answerMs,
    retry: { retries: 0 },
  }).admin();
  let isConnected = false;
  const group = `${topics.namespace}.${topics.aggregate}`;
  const kafka = patiently(clock);
  const postgres = patiently(clock);
  return {
    /** At once, but `ends` after the others. */
    async look(): Promise<Seen> {
      if (!isConnected) {
        isConnected = (await kafka(() => admin.connect().then(() => true))) === true;
      }
      const [views, groups] = await Promise.all([
        postgres(() => viewsIn(database)),
        kafka(() => groupsIn(admin, group, topics)),
      ]);
      const ends = await kafka(() =>
        Promise.all([topics.commands, topics.events].map(({ name }) => endsOf(admin, name))),
      );
      return { views: views ?? [], groups: groups ?? [], ends: ends?.flat() ?? [] };
    },
    async close() {
      await kafka(() => admin.disconnect());
      await database.close();
    },
  };
}

/**
 * Asks one thing after the other, and waits a little for each: `null` where it cannot be told at this moment, which is
 * what faults are for. While an answer is overdue, nothing else is asked.
 */
function patiently(clock: Clock) {
  let overdue = false;
  return async <T>(ask: () => Promise<T>): Promise<T | null> => {
    if (overdue) return null;
    overdue = true;
    const answer = ask()
      .catch(() => null)
      .finally(() => {
        overdue = false;
      });
    return Promise.race([answer, clock.sleep(answerMs).then(() => null)]);
  };
}

async function viewsIn(database: Database): Promise<readonly ViewPosition[]> {
  const { rows } = await database.query(
    "select projection, version, topic, partition, next_offset from foldlog.checkpoints",
  );
  return rows.map((row) => ({
    projection: String(row["projection"]),
    version: Number(row["version"]),
    topic: String(row["topic"]),
    partition: Number(row["partition"]),
    nextOffset: String(row["next_offset"]),
  }));
}

async function groupsIn(
  admin: kafkajs.Admin,
  group: string,
  { commands }: AggregateTopics,
): Promise<readonly GroupPosition[]> {
  const found = await admin.fetchOffsets({ groupId: group, topics: [commands.name] });
  return found.flatMap(({ topic, partitions }) =>
    partitions.map(({ partition, offset }) => ({
      group,
      topic,
      partition,
      offset: Number(offset) < 0 ? null : offset,
    })),
  );
}

async function endsOf(admin: kafkajs.Admin, topic: string): Promise<readonly TopicEnd[]> {
  const found = await admin.fetchTopicOffsets(topic);
  return found.map(({ partition, high }) => ({ topic, partition, end: high }));
}

/** `null` where something of it was not seen. */
function lagOf(
  groups: readonly GroupPosition[],
  ends: readonly TopicEnd[],
  topic: string,
): number | null {
  const known = ends.filter((it) => it.topic === topic);
  if (known.length === 0 || groups.length === 0) return null;
  return known.reduce((sum, { partition, end }) => {
    const at = groups.find((it) => it.partition === partition)?.offset ?? "0";
    return sum + Math.max(0, Number(BigInt(end) - BigInt(at)));
  }, 0);
}

function viewLagOf(
  { views, ends }: Seen,
  { projections, topics }: SamplerOptions,
): Readonly<Record<string, number | null>> {
  const known = ends.filter((it) => it.topic === topics.events.name);
  return Object.fromEntries(
    projections.map((projection) => {
      const own = views.filter((it) => it.projection === projection);
      if (known.length === 0 || own.length === 0) return [projection, null];
      const lag = known.reduce((sum, { partition, end }) => {
        const at = own.find((it) => it.partition === partition)?.nextOffset ?? "0";
        return sum + Math.max(0, Number(BigInt(end) - BigInt(at)));
      }, 0);
      return [projection, lag];
    }),
  );
}

/** The positions that a fault moves back on purpose. */
export function announcementOf(
  fault: Fault,
  topics: AggregateTopics,
): Pick<PositionsAnnounced, "what" | "of"> | null {
  const group = `${topics.namespace}.${topics.aggregate}`;
  switch (fault.does) {
    case "delete-group":
    case "reset-group":
    case "idle":
      return { what: "reset", of: group };
    case "recreate-topic":
      return { what: "recreate", of: null };
    case "fail-over-postgres":
      return { what: "fail-over", of: null };
    case "kill":
    case "terminate":
    case "pause":
    case "fail":
    case "isolate":
    case "disturb":
    case "fill-disk":
    case "storm":
    case "delete-store":
    case "restore-old-store":
    case "swap-stores":
    case "add-partitions":
    case "compact":
    case "hang-transaction":
    case "register-breaking-schema":
    case "lock-tables":
    case "use-up-connections":
    case "roll-brokers":
    case "lower-transaction-version":
      return null;
  }
}
