import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { inject } from "vitest";
import { type Application, prepareApplication } from "../../engine/application.ts";
import { type Config, loadConfig } from "../../engine/config.ts";
import { commandStatus } from "../../engine/projections/command-status.ts";
import { eventIndex } from "../../engine/projections/event-index.ts";
import { readerRole } from "../../engine/projections/tables.ts";
import { runWorkers } from "../../engine/run-workers.ts";
import { commandProcessor, gateway, projector } from "../../engine/worker.ts";
import { account } from "../../processors/aggregates/account.ts";
import { balances } from "../../processors/projections/balances.ts";
import { bankTopics } from "../bank.ts";
import { freshDatabase, passwordOf } from "../postgres/fresh-database.ts";
import { projectorRole } from "../../engine/projections/tables.ts";
import { until } from "../until.ts";

/** The bank with its gateway on the stack of the test run, on topics and a database of its own. */
export interface RealBank {
  readonly application: Application;
  readonly config: Config;
  /** The settings in `config` that a process is given. */
  readonly env: Readonly<Record<string, string>>;
  /** Of the gateway. */
  readonly url: string;
  close(): Promise<void>;
}

export async function openRealBank(topics = bankTopics(newNamespace(), 2)): Promise<RealBank> {
  const views = {
    balances: { ...balances, topics: [topics.events] },
    command_status: commandStatus([topics]),
    event_index: eventIndex([topics]),
  };
  const served = {
    account: commandProcessor(account, topics),
    balances: projector(views.balances),
    command_status: projector(views.command_status),
    event_index: projector(views.event_index),
  };
  const database = await freshDatabase();
  const stateDir = mkdtempSync(join(tmpdir(), "foldlog-client-"));
  const env = {
    KAFKA_BROKERS: inject("kafkaBrokers"),
    SCHEMA_REGISTRY_URL: inject("registryUrl"),
    DATABASE_URL: database.ownerUrl,
    DATABASE_READ_URL: database.urlOf(readerRole),
    FOLDLOG_STATE_DIR: stateDir,
    FOLDLOG_METRICS_PORT: "0",
    FOLDLOG_API_PORT: "0",
    FOLDLOG_REPLICATION_FACTOR: "1",
  };
  const config = loadConfig(env, ["DATABASE_URL", "DATABASE_READ_URL"]);
  const application = { workers: { ...served, gateway: gateway("The bank", served) } };
  const roles = [readerRole, ...Object.keys(views).map((name) => projectorRole(name))];
  const passwords = Object.fromEntries(roles.map((role) => [role, passwordOf(role)]));
  await prepareApplication(application, config, { passwords });

  const stopping = new AbortController();
  const lines: Readonly<Record<string, unknown>>[] = [];
  const write = (line: string) => {
    lines.push(JSON.parse(line) as Readonly<Record<string, unknown>>);
  };
  const running = runWorkers(
    {
      ...application,
      // The projectors write as the superuser, who may act for every role.
      config: { ...config, databaseUrl: database.superuserUrl },
      version: "test",
      logger: pino({ level: "info" }, { write }),
    },
    stopping.signal,
  );
  running.catch(() => undefined); // `close` tells.
  const said = () => lines.find(({ msg }) => msg === "listening")?.["port"];
  const port = await until("the gateway to listen", () => Number(said() ?? 0) || null);
  const url = `http://127.0.0.1:${port}`;
  await until("the gateway to be ready", async () => (await fetch(`${url}/readyz`)).ok);
  return {
    application,
    config,
    env: { ...env, FOLDLOG_API_URL: url },
    url,
    async close() {
      stopping.abort();
      await running;
      await database.drop();
      rmSync(stateDir, { recursive: true, force: true });
    },
  };
}

function newNamespace(): string {
  return `client_${randomBytes(5).toString("hex")}`;
}
