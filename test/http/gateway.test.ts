import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { openRegistry } from "../../engine/avro/registry.ts";
import { loadConfig } from "../../engine/config.ts";
import { kafkaLog } from "../../engine/kafka/kafka-log.ts";
import type { Log } from "../../engine/log.ts";
import { partitionOf } from "../../engine/message.ts";
import { commandStatus } from "../../engine/projections/command-status.ts";
import { eventIndex } from "../../engine/projections/event-index.ts";
import { readerRole } from "../../engine/projections/tables.ts";
import { runWorkers } from "../../engine/run-workers.ts";
import { registerAll } from "../../engine/schemas/register.ts";
import type { AggregateTopics } from "../../engine/topic.ts";
import { commandProcessor, gateway, projector, type Worker } from "../../engine/worker.ts";
import { account } from "../../processors/aggregates/account.ts";
import { balances } from "../../processors/projections/balances.ts";
import { bankTopics, createTopics, topicsOf } from "../bank.ts";
import { type FreshDatabase, freshDatabase } from "../postgres/fresh-database.ts";
import { until } from "../until.ts";

/** The whole way over HTTP: a command in, its event in a view, on the real broker, registry and Postgres. */

const signal = new AbortController().signal;

let log: Log;
let topics: AggregateTopics;
let database: FreshDatabase;
let stateDir: string;
let serving: Running;
let url: string;
const running: Running[] = [];

beforeAll(async () => {
  topics = bankTopics(`gateway_${randomBytes(5).toString("hex")}`, 3);
  log = kafkaLog({
    brokers: [inject("kafkaBrokers")],
    clientId: "gateway-test",
    tls: null,
    sasl: null,
  });
  await createTopics(log, topics);
  for (const { name } of topicsOf(topics)) {
    await log.alterTopic(name, { "min.insync.replicas": "1" });
  }
  const registry = openRegistry({ url: inject("registryUrl"), requestTimeoutMs: 5_000 });
  await registerAll({ registry, topics: topicsOf(topics), idsFile: null }, signal);
  database = await freshDatabase();
  const held = { ...balances, topics: [topics.events] };
  const own = [commandStatus([topics]), eventIndex([topics])] as const;
  await database.prepare([held, ...own]);
  stateDir = mkdtempSync(join(tmpdir(), "foldlog-gateway-"));

  const served = {
    account: commandProcessor(account, topics),
    balances: projector(held),
    command_status: projector(own[0]),
    event_index: projector(own[1]),
  };
  const { balances: kept, command_status, event_index } = served;
  const api = gateway("The test bank", served);
  serving = start({ balances: kept, command_status, event_index, gateway: api });
  const port = await until(
    "the gateway to listen",
    () => serving.said("listening")?.["port"] ?? null,
  );
  url = `http://127.0.0.1:${Number(port)}`;
});

afterAll(async () => {
  for (const it of running.reverse()) await it.stop();
  await log.close();
  await database.drop();
  rmSync(stateDir, { recursive: true, force: true });
});

interface Running {
  /** The last line of log with this message. */
  said(message: string): Readonly<Record<string, unknown>> | undefined;
  stop(): Promise<void>;
}

function start(workers: Readonly<Record<string, Worker>>): Running {
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
  const it: Running = {
    said: (message) => lines.findLast(({ msg }) => msg === message),
    stop: async () => {
      stopping.abort();
      await ended;
    },
  };
  running.push(it);
  return it;
}

interface Answer {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
}

async function get(path: string): Promise<Answer> {
  const response = await fetch(`${url}${path}`);
  return { status: response.status, body: (await response.json()) as Answer["body"] };
}

async function post(type: string, fields: object, query = ""): Promise<Answer> {
  const response = await fetch(`${url}/commands/${type}${query}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(fields),
  });
  return { status: response.status, body: (await response.json()) as Answer["body"] };
}

/** Longer than any machine should need. */
const patiently = "?waitMs=30000";

const isReady = async () => (await fetch(`${url}/readyz`)).status === 200;

test("a command that no worker handles is pending, and is answered once there is one", async () => {
  await until("the gateway to be ready", isReady);
  const fields = { commandId: "open-ada", accountId: "ada", owner: "Ada" };
  // The same id until the broker has it: how a client does it, too.
  const { body } = await until("the broker to take it", async () => {
    const answer = await post("OpenAccount", fields, "?waitMs=500");
    return answer.status === 503 ? null : answer;
  });
  expect(body["outcome"]).toBe("pending");
  const address = String(body["status"]);
  expect(await get(address)).toMatchObject({ status: 200, body: { outcome: "pending" } });
  start({ account: commandProcessor(account, topics) });
  const answer = await until("the answer", async () => {
    const asked = await get(address);
    return asked.body["outcome"] === "pending" ? null : asked;
  });
  expect(answer.body).toMatchObject({ outcome: "accepted", version: 1, aggregateId: "ada" });
});

test("an accepted command is in the view for whoever holds its token, and in the events", async () => {
  for (let n = 1; n <= 20; n++) {
    const { status, body } = await post(
      "DepositFunds",
      { accountId: "ada", amountCents: 5 },
      patiently,
    );
    expect([status, body["version"]]).toEqual([200, n + 1]);
    const token = String(body["token"]);
    const row = await get(`/views/balances/ada?token=${token}&waitMs=30000`);
    expect(row).toMatchObject({ status: 200, body: { balance_cents: 5 * n, version: n + 1 } });
    const whole = await get(`/aggregates/account/ada?token=${token}&waitMs=30000`);
    expect(whole.body).toMatchObject({ version: n + 1, state: { balanceCents: 5 * n } });
    const events = await get(`/aggregates/account/ada/events?after=${n}&token=${token}&waitMs=30000`);
    expect(events.body["events"]).toMatchObject([
      { version: n + 1, type: "FundsDeposited", commandId: body["commandId"] },
    ]);
  }
});

test("one that is in flight when the gateway stops is told where to ask", async () => {
  const { status, body } = await post(
    "WithdrawFunds",
    { accountId: "ada", amountCents: 1_000 },
    patiently,
  );
  expect([status, body["reason"]]).toEqual([409, "InsufficientFunds"]);
  for (const it of running.splice(1)) await it.stop();
  const reader = await log.openReader();
  const of = {
    topic: topics.commands.name,
    partition: partitionOf("ada", topics.commands.partitions),
  };
  const endOfCommands = async () => (await reader.offsets(of, signal)).end;
  const before = await endOfCommands();
  const waiting = post("DepositFunds", { accountId: "ada", amountCents: 1 }, patiently);
  await until("the command to be sent", async () => (await endOfCommands()) > before);
  await reader.close();
  await serving.stop();
  running.splice(0);
  const answer = await waiting;
  expect([answer.status, answer.body["outcome"]]).toEqual([202, "pending"]);
});
