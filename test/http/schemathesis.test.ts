import { spawn, spawnSync } from "node:child_process";
import { randomBytes, randomInt } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { pino } from "pino";
import { expect, inject, onTestFinished, test } from "vitest";
import { openRegistry } from "../../engine/avro/registry.ts";
import { loadConfig } from "../../engine/config.ts";
import { kafkaLog } from "../../engine/kafka/kafka-log.ts";
import { commandStatus } from "../../engine/projections/command-status.ts";
import { eventIndex } from "../../engine/projections/event-index.ts";
import { readerRole } from "../../engine/projections/tables.ts";
import { runWorkers } from "../../engine/run-workers.ts";
import { registerAll } from "../../engine/schemas/register.ts";
import { commandProcessor, gateway, projector } from "../../engine/worker.ts";
import { account } from "../../processors/aggregates/account.ts";
import { balances } from "../../processors/projections/balances.ts";
import { statements } from "../../processors/projections/statements.ts";
import { bankTopics, createTopics, topicsOf } from "../bank.ts";
import { freshDatabase } from "../postgres/fresh-database.ts";
import { until } from "../until.ts";

/** The gateway against its own OpenAPI document, by schemathesis (https://schemathesis.io, from PyPI). */

const program = "schemathesis";
const isInstalled = spawnSync(program, ["--version"], { timeout: 60_000 }).status === 0;

/** `SEED=…` repeats a run. */
const seed = Number(process.env["SEED"] ?? randomInt(2 ** 31));

/**
 * What no schema can tell from a good request is refused all the same: a token that nobody gave, two parameters
 * that exclude each other, a command id used before. And an address of a command is one of a status too, with
 * another method. Everything else that schemathesis knows is checked.
 */
const beyondSchemas = [
  "positive_data_acceptance",
  "unsupported_method",
  "allow_header_conformance",
];

test.skipIf(!isInstalled)(
  "no request makes the gateway fail, or answer otherwise than its OpenAPI document says",
  async () => {
    const url = await serveBank();
    const { status, output } = await runSchemathesis(url);
    expect(status, `SEED=${seed}\n${output}`).toBe(0);
  },
  600_000,
);

async function runSchemathesis(url: string) {
  const args = [
    ...["run", `${url}/openapi.json`, "--seed", String(seed), "--max-examples", "15"],
    ...["--exclude-checks", beyondSchemas.join(","), "--phases", "examples,coverage,fuzzing"],
    ...["--generation-database", "none", "--request-timeout", "60", "--no-shrink", "--no-color"],
  ];
  const cwd = temporaryFolder();
  const child = spawn(program, args, { cwd, stdio: ["ignore", "pipe", "inherit"] });
  onTestFinished(() => {
    child.kill("SIGKILL");
  });
  const [output] = await Promise.all([text(child.stdout), once(child, "close")]);
  return { status: child.exitCode, output };
}

function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "foldlog-schemathesis-"));
  onTestFinished(() => {
    rmSync(folder, { recursive: true, force: true });
  });
  return folder;
}

/** Every worker of a bank on topics and a database of its own; resolves to the gateway's address. */
async function serveBank(): Promise<string> {
  const topics = bankTopics(`fuzzed_${randomBytes(5).toString("hex")}`, 2);
  const log = kafkaLog({
    brokers: [inject("kafkaBrokers")],
    clientId: "fuzz-test",
    tls: null,
    sasl: null,
  });
  onTestFinished(() => log.close());
  await createTopics(log, topics);
  for (const { name } of topicsOf(topics)) {
    await log.alterTopic(name, { "min.insync.replicas": "1" });
  }
  const registry = openRegistry({ url: inject("registryUrl"), requestTimeoutMs: 5_000 });
  const { signal } = new AbortController();
  await registerAll({ registry, topics: topicsOf(topics), idsFile: null }, signal);
  const database = await freshDatabase();
  onTestFinished(() => database.drop());

  const views = [
    { ...balances, topics: [topics.events] },
    { ...statements, topics: [topics.events] },
  ] as const;
  const own = [commandStatus([topics]), eventIndex([topics])] as const;
  await database.prepare([...views, ...own]);
  const served = {
    account: commandProcessor(account, topics),
    balances: projector(views[0]),
    statements: projector(views[1]),
    command_status: projector(own[0]),
    event_index: projector(own[1]),
  };
  const workers = { ...served, gateway: gateway("The fuzzed bank", served) };
  const env = {
    KAFKA_BROKERS: inject("kafkaBrokers"),
    SCHEMA_REGISTRY_URL: inject("registryUrl"),
    DATABASE_URL: database.superuserUrl,
    DATABASE_READ_URL: database.urlOf(readerRole),
    FOLDLOG_STATE_DIR: temporaryFolder(),
    FOLDLOG_METRICS_PORT: "0",
    FOLDLOG_API_PORT: "0",
    FOLDLOG_REPLICATION_FACTOR: "1",
  };
  const config = loadConfig(env, ["DATABASE_URL", "DATABASE_READ_URL"]);
  let port: unknown = null;
  const write = (line: string) => {
    const said = JSON.parse(line) as { readonly msg?: string; readonly port?: number };
    if (said.msg === "listening") port = said.port;
  };
  const logger = pino({ level: "info" }, { write });
  const stopping = new AbortController();
  const ended = runWorkers({ workers, config, version: "test", logger }, stopping.signal);
  onTestFinished(async () => {
    stopping.abort();
    await ended;
  });
  const url = await until("the gateway to listen", () =>
    typeof port === "number" ? `http://127.0.0.1:${port}` : null,
  );
  await until("the bank to be ready", async () => (await fetch(`${url}/readyz`)).status === 200);
  return url;
}
