import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { inject } from "vitest";
import { loadConfig } from "../../engine/config.ts";
import type { Log } from "../../engine/log.ts";
import { commandStatus } from "../../engine/projections/command-status.ts";
import { eventIndex } from "../../engine/projections/event-index.ts";
import { readerRole } from "../../engine/projections/tables.ts";
import { runWorkers } from "../../engine/run-workers.ts";
import type { AggregateTopics } from "../../engine/topic.ts";
import { commandProcessor, gateway, projector, type Worker } from "../../engine/worker.ts";
import { account } from "../../processors/aggregates/account.ts";
import { balances } from "../../processors/projections/balances.ts";
import { statements } from "../../processors/projections/statements.ts";
import { ownBank } from "../own-bank.ts";
import { type FreshDatabase, freshDatabase } from "../postgres/fresh-database.ts";
import { until } from "../until.ts";

/** The whole bank behind its gateway, on topics and a database of its own; its deciding worker apart. */
export interface WholeBank {
  readonly log: Log;
  readonly topics: AggregateTopics;
  /** Of the gateway. */
  readonly url: string;
  /** Starts the worker that decides. */
  startAccount(): Running;
  /** The projectors and the gateway. */
  readonly serving: Running;
  close(): Promise<void>;
}

export interface Running {
  stop(): Promise<void>;
}

export async function openWholeBank(): Promise<WholeBank> {
  const { log, topics } = await ownBank("gateway", 3);
  const database = await freshDatabase();
  const views = [
    { ...balances, topics: [topics.events] },
    { ...statements, topics: [topics.events] },
  ] as const;
  const own = [commandStatus([topics]), eventIndex([topics])] as const;
  await database.prepare([...views, ...own]);
  const stateDir = mkdtempSync(join(tmpdir(), "foldlog-gateway-"));
  const running: Started[] = [];
  const start = (workers: Readonly<Record<string, Worker>>) => {
    const it = run(workers, { database, stateDir });
    running.push(it);
    return it;
  };

  const projectors = {
    balances: projector(views[0]),
    statements: projector(views[1]),
    command_status: projector(own[0]),
    event_index: projector(own[1]),
  };
  const deciding = { account: commandProcessor(account, topics) };
  const api = gateway("The test bank", { ...deciding, ...projectors });
  const serving = start({ ...projectors, gateway: api });
  const port = await until("the gateway to listen", () => serving.port());
  const url = `http://127.0.0.1:${port}`;
  await until("the gateway to be ready", async () => (await fetch(`${url}/readyz`)).ok);
  return {
    log,
    topics,
    url,
    startAccount: () => start(deciding),
    serving,
    async close() {
      for (const it of running.toReversed()) await it.stop();
      await log.close();
      await database.drop();
      rmSync(stateDir, { recursive: true, force: true });
    },
  };
}

interface Started extends Running {
  /** Where its gateway listens, once it does. */
  port(): number | null;
}

function run(
  workers: Readonly<Record<string, Worker>>,
  { database, stateDir }: { readonly database: FreshDatabase; readonly stateDir: string },
): Started {
  const lines: Readonly<Record<string, unknown>>[] = [];
  const write = (line: string) => {
    lines.push(JSON.parse(line) as Readonly<Record<string, unknown>>);
  };
  const env = {
    KAFKA_BROKERS: inject("kafkaBrokers"),
    SCHEMA_REGISTRY_URL: inject("registryUrl"),
    DATABASE_URL: database.superuserUrl,
    DATABASE_READ_URL: database.urlOf(readerRole),
    FOLDLOG_STATE_DIR: stateDir,
    FOLDLOG_METRICS_PORT: "0",
    FOLDLOG_API_PORT: "0",
    FOLDLOG_REPLICATION_FACTOR: "1",
  };
  const stopping = new AbortController();
  const config = loadConfig(env, ["DATABASE_URL", "DATABASE_READ_URL"]);
  const logger = pino({ level: "info" }, { write });
  const ended = runWorkers({ workers, config, version: "test", logger }, stopping.signal);
  ended.catch(() => undefined); // `stop` tells.
  return {
    port: () => Number(lines.findLast(({ msg }) => msg === "listening")?.["port"] ?? 0) || null,
    stop: async () => {
      stopping.abort();
      await ended;
    },
  };
}
