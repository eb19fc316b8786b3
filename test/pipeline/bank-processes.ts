import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { inject } from "vitest";
import { openCodec } from "../../engine/avro/avro-codec.ts";
import { openRegistry } from "../../engine/avro/registry.ts";
import { systemClock } from "../../engine/clock.ts";
import type { Codec } from "../../engine/codec.ts";
import { kafkaLog } from "../../engine/kafka/kafka-log.ts";
import type { Log, OutRecord } from "../../engine/log.ts";
import { prepareDatabase } from "../../engine/postgres/prepare-database.ts";
import { projectorRole, readerRole } from "../../engine/projections/tables.ts";
import { freePorts } from "../../ops/stack/ports.ts";
import { projectionsOf } from "../../ops/verbs/migrate.ts";
import { workers } from "../../processors/workers.ts";
import { registerAll } from "../../engine/schemas/register.ts";
import { apply, plan } from "../../engine/topic-plan.ts";
import { catalog, topics } from "../../topics/catalog.ts";
import { commandRecord } from "../bank.ts";
import { passwordOf } from "../postgres/fresh-database.ts";
import { until } from "../until.ts";

/** The bank as it is deployed: each worker a process, on the stack of the test run. */

const signal = new AbortController().signal;
const program = fileURLToPath(new URL("../../processors/main.ts", import.meta.url));

export interface Bank {
  readonly log: Log;
  readonly codec: Codec;
  /** A new folder for local stores, removed with the bank. */
  stateDir(): string;
  /** Starts a process with these workers, and waits until it is ready. */
  start(names: readonly string[], stateDir: string, options?: StartOptions): Promise<BankProcess>;
  command(
    type: string,
    fields: { readonly commandId: string; readonly accountId: string } & Readonly<
      Record<string, unknown>
    >,
  ): OutRecord;
  close(): Promise<void>;
}

export interface BankProcess {
  readonly child: ChildProcess;
  kill(signal: NodeJS.Signals): void;
  /** The exit code, or the signal that ended it. */
  readonly ended: Promise<number | string>;
  metric(name: string, labels?: Readonly<Record<string, string>>): Promise<number>;
  readonly output: () => string;
}

export async function openBank(): Promise<Bank> {
  const log = kafkaLog({
    brokers: [inject("kafkaBrokers")],
    clientId: "test",
    tls: null,
    sasl: null,
  });
  await apply(log, await plan(log, catalog, 1), 1);
  const registry = openRegistry({ url: inject("registryUrl"), requestTimeoutMs: 5_000 });
  await registerAll({ registry, topics: catalog, idsFile: null }, signal);
  const projections = projectionsOf(workers);
  const roles = [readerRole, ...projections.map(({ name }) => projectorRole(name))];
  await prepareDatabase({
    ownerUrl: inject("databaseUrl"),
    projections,
    passwords: Object.fromEntries(roles.map((role) => [role, passwordOf(role)])),
  });
  const options = { registry, topics: catalog, unknownIdWaitMs: 1_000, clock: systemClock };
  const codec = await openCodec(options, signal);
  const folder = mkdtempSync(join(tmpdir(), "foldlog-bank-"));
  const running = new Set<BankProcess>();

  return {
    log,
    codec,
    stateDir: () => mkdtempSync(join(folder, "state-")),
    start: async (names, stateDir, options) => {
      const started = await startProcess(names, stateDir, options);
      running.add(started);
      void started.ended.then(() => running.delete(started));
      await until(`${names.join(" and ")} to be ready`, async () => {
        if (started.child.exitCode !== null) throw new Error(`It ended:\n${started.output()}`);
        return (
          (await started.metric("foldlog_partitions", { state: "ready" })) > 0 && isReady(started)
        );
      });
      return started;
    },
    command: (type, fields) => commandRecord({ topics: topics.account, codec }, type, fields),
    close: async () => {
      for (const it of running) it.kill("SIGKILL");
      await Promise.all([...running].map(({ ended }) => ended));
      await log.close();
      rmSync(folder, { recursive: true });
    },
  };
}

const ports = new WeakMap<BankProcess, number>();

async function isReady(of: BankProcess): Promise<boolean> {
  const response = await fetch(`http://127.0.0.1:${ports.get(of) ?? 0}/readyz`);
  return response.ok;
}

interface StartOptions {
  /** Of another program than the bank's, which runs the same workers. */
  readonly args?: readonly string[];
  /** Where projectors find Postgres, if not where it is. */
  readonly databaseUrl?: string;
}

/** Starts a process with these workers, and does not wait for it. */
export async function startProcess(
  names: readonly string[],
  stateDir: string,
  { args = [program, ...names], databaseUrl = inject("databaseUrl") }: StartOptions = {},
): Promise<BankProcess> {
  const [port = 0] = await freePorts(1);
  const role = names.find((name) => name !== "account");
  const child = spawn(process.execPath, args, {
    env: {
      PATH: process.env["PATH"],
      KAFKA_BROKERS: inject("kafkaBrokers"),
      SCHEMA_REGISTRY_URL: inject("registryUrl"),
      FOLDLOG_METRICS_PORT: String(port),
      FOLDLOG_STATE_DIR: stateDir,
      FOLDLOG_REPLICATION_FACTOR: "1",
      ...(role && { DATABASE_URL: databaseUrl }),
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (data: Buffer) => (output += data.toString("utf8")));
  }
  const ended = once(child, "exit").then(([code, by]) => (code ?? by) as number | string);
  const metric = async (name: string, labels: Readonly<Record<string, string>> = {}) => {
    const response = await fetch(`http://127.0.0.1:${port}/metrics`).catch(() => null);
    const text = (await response?.text()) ?? "";
    const wanted = Object.entries(labels).map(([label, value]) => `${label}="${value}"`);
    const lines = text.split("\n").filter((line) => line.startsWith(`${name}{`));
    const matching = lines.filter((line) => wanted.every((it) => line.includes(it)));
    return matching.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" "))), 0);
  };
  const started: BankProcess = {
    child,
    kill: (by) => child.kill(by),
    ended,
    metric,
    output: () => output,
  };
  ports.set(started, port);
  return started;
}
