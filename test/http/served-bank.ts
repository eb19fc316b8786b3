import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { FastifyInstance } from "fastify";
import { pino } from "pino";
import { inject } from "vitest";
import { systemClock } from "../../engine/clock.ts";
import type { Codec } from "../../engine/codec.ts";
import { loadConfig } from "../../engine/config.ts";
import { aggregateRoutes } from "../../engine/gateway/aggregate-routes.ts";
import { openAggregates } from "../../engine/gateway/aggregates.ts";
import { commandStatusRoutes } from "../../engine/gateway/command-statuses.ts";
import { openServer } from "../../engine/gateway/server.ts";
import { tokenOf } from "../../engine/gateway/token.ts";
import { openViewDatabase } from "../../engine/gateway/view-database.ts";
import type { Log, OutRecord } from "../../engine/log.ts";
import { partitionOf } from "../../engine/message.ts";
import type { Database } from "../../engine/postgres/postgres.ts";
import { commandStatus } from "../../engine/projections/command-status.ts";
import { eventIndex } from "../../engine/projections/event-index.ts";
import { readerRole } from "../../engine/projections/tables.ts";
import { runWorkers } from "../../engine/run-workers.ts";
import type { AggregateTopics, Topic } from "../../engine/topic.ts";
import { commandProcessor, projector } from "../../engine/worker.ts";
import { account } from "../../processors/aggregates/account.ts";
import { accountDecider, commandRecord } from "../bank.ts";
import { ownBank } from "../own-bank.ts";
import { endsOf, isConsumed } from "../log-reads.ts";
import { type FreshDatabase, freshDatabase } from "../postgres/fresh-database.ts";
import { until } from "../until.ts";

/** The bank's aggregates and command statuses over HTTP, on topics and a database of a test's own. */
export interface ServedBank {
  readonly log: Log;
  readonly topics: AggregateTopics;
  readonly codec: Codec;
  readonly database: FreshDatabase;
  /** As the superuser. */
  readonly admin: Database;
  /** What the server took for faults of its own. */
  readonly faults: unknown[];
  /** Sends commands and waits until both views have all of them; resolves to their offsets. */
  send(...commands: readonly OutRecord[]): Promise<readonly bigint[]>;
  command(
    type: string,
    accountId: string,
    commandId: string,
    fields?: Readonly<Record<string, unknown>>,
  ): OutRecord;
  readonly get: Served["get"];
  /** A server over another database, or another log. */
  serve(change: { readUrl?: string; log?: Pick<Log, "openReader"> }): Promise<Served>;
  token(accountId: string, commandOffset: bigint, version: number): string;
  close(): Promise<void>;
}

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: Readonly<Record<string, unknown>>;
}

export interface Served {
  readonly app: FastifyInstance;
  readonly get: (url: string) => Promise<Answer>;
  close(): Promise<void>;
}

const partitions = 3;
const era = 2;

export async function openServedBank(): Promise<ServedBank> {
  const { log, topics, codec } = await ownBank("http", partitions);
  const database = await freshDatabase();
  const views = [commandStatus([topics]), eventIndex([topics])] as const;
  await database.prepare(views);
  const working = startWorkers(topics, database, views);
  const producer = await log.openProducer();
  const admin = database.open(database.superuserUrl);
  const faults: unknown[] = [];
  const serve: ServedBank["serve"] = async (change) =>
    served({ topics, codec, faults, log, readUrl: database.urlOf(readerRole), ...change });
  const first = await serve({});

  return {
    log,
    topics,
    codec,
    database,
    admin,
    faults,
    async send(...commands) {
      const offsets = await producer.send(commands);
      await caughtUp({ log, topics, admin });
      return offsets;
    },
    command: (type, accountId, commandId, fields = {}) =>
      commandRecord({ topics, codec }, type, { accountId, commandId, ...fields }),
    get: first.get,
    serve,
    token: (aggregateId, commandOffset, version) => {
      const partition = partitionOf(aggregateId, partitions);
      const at = { topic: topics.events.name, partition, commandOffset };
      return tokenOf({ ...at, aggregateId, version }, era);
    },
    async close() {
      await first.close();
      await working.stop();
      await producer.close();
      await log.close();
      await database.drop();
    },
  };
}

function startWorkers(
  topics: AggregateTopics,
  database: FreshDatabase,
  [statuses, index]: readonly [ReturnType<typeof commandStatus>, ReturnType<typeof eventIndex>],
) {
  const stateDir = mkdtempSync(join(tmpdir(), "foldlog-http-"));
  const stopping = new AbortController();
  const env = {
    KAFKA_BROKERS: inject("kafkaBrokers"),
    SCHEMA_REGISTRY_URL: inject("registryUrl"),
    DATABASE_URL: database.superuserUrl,
    FOLDLOG_STATE_DIR: stateDir,
    FOLDLOG_METRICS_PORT: "0",
    FOLDLOG_REPLICATION_FACTOR: "1",
    FOLDLOG_UNKNOWN_SCHEMA_WAIT_MS: "0",
  };
  const running = runWorkers(
    {
      workers: {
        account: commandProcessor(account, topics),
        command_status: projector(statuses),
        event_index: projector(index),
      },
      config: loadConfig(env, ["DATABASE_URL"]),
      version: "test",
      logger: pino({ level: "silent" }),
    },
    stopping.signal,
  );
  running.catch(() => undefined); // `stop` tells.
  return {
    async stop() {
      stopping.abort();
      await running;
      rmSync(stateDir, { recursive: true, force: true });
    },
  };
}

async function caughtUp({
  log,
  topics,
  admin,
}: Pick<ServedBank, "log" | "topics" | "admin">): Promise<void> {
  const isIn = async (projection: string, topic: Topic) => {
    for (const [partition, end] of (await endsOf(log, topic)).entries()) {
      const { count } = await admin.query(
        `select from foldlog.checkpoints
         where projection = $1 and topic = $2 and partition = $3 and next_offset >= $4`,
        [projection, topic.name, partition, end],
      );
      if (end > 0n && count === 0) return false;
    }
    return true;
  };
  await until("every worker to catch up", async () => {
    const commands = await endsOf(log, topics.commands);
    return (
      (await isConsumed(log, topics, commands)) &&
      (await isIn("event_index", topics.events)) &&
      (await isIn("command_status", topics.replies))
    );
  });
}

async function served({
  topics,
  codec,
  faults,
  log,
  readUrl,
}: {
  readonly topics: AggregateTopics;
  readonly codec: Codec;
  readonly faults: unknown[];
  readonly log: Pick<Log, "openReader">;
  readonly readUrl: string;
}): Promise<Served> {
  const api = {
    title: "test",
    version: "0",
    aggregates: [{ topics, decider: accountDecider }],
    projections: [],
  };
  const database = openViewDatabase(readUrl);
  const clock = systemClock;
  const { signal: stopping } = new AbortController();
  const deps = { log, codec, database, clock, stopping };
  const aggregates = openAggregates({ ...deps, aggregates: api.aggregates });
  const app = openServer({
    answered: () => undefined,
    fault: (error) => {
      faults.push(error);
    },
  });
  aggregateRoutes(app, { api, aggregates, era });
  commandStatusRoutes(app, { api, database, clock, era });
  await app.ready();
  return {
    app,
    async get(url) {
      const { statusCode: status, headers, payload } = await app.inject(url);
      return { status, headers, body: JSON.parse(payload) as Answer["body"] };
    },
    async close() {
      await app.close();
      await aggregates.close();
      await database.close();
    },
  };
}
