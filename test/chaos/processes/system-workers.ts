import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Clock } from "../../../engine/clock.ts";
import { plainEnvironment, startChild } from "../../../ops/stack/child.ts";
import type { Folder } from "../../../ops/stack/folder.ts";
import { answersOk } from "../../../ops/stack/registry.ts";
import type { Plan } from "../plan.ts";
import type { Ending } from "../system.ts";
import { type NamedBank, roleOf, type WorkerName, workerNames } from "./system-bank.ts";
import { KeptProcess } from "./system-process.ts";

/** The workers of a plan as processes, each kept running by itself. */

export interface KeptWorker {
  /** For example "account/1". */
  readonly name: string;
  readonly worker: WorkerName;
  readonly process: KeptProcess;
  readonly metricsUrl: string;
  /** Where the gateway listens; `null` for the others. */
  readonly apiUrl: string | null;
  /** Its local stores. */
  readonly stateDir: string;
}

/** Where a worker finds what it works with: the real thing, or proxies of its own. */
export interface WorkerSurroundings {
  readonly kafkaBrokers: string;
  readonly registryUrl: string;
  databaseUrl(role: string): string;
  /** Put before its command line. */
  readonly inside: readonly string[];
  /** Its own address, where its metrics are. */
  readonly address: string;
  readonly ports: { readonly metrics: number; readonly api: number };
}

export interface WorkerOptions {
  readonly folder: Folder;
  readonly bank: NamedBank;
  readonly clock: Clock;
  readonly replicationFactor: number;
  readonly surroundingsOf: (name: string, worker: WorkerName) => Promise<WorkerSurroundings>;
  readonly onEnding: (ending: Ending) => void;
}

const program = fileURLToPath(new URL("system-worker.ts", import.meta.url));
const storeHook = new URL("system-store-hook.ts", import.meta.url).href;

/** The workers that a plan asks for, in the order of `workerNames`, not started yet. */
export async function workersOf(
  plan: Pick<Plan, "workers">,
  options: WorkerOptions,
): Promise<readonly KeptWorker[]> {
  const unknown = Object.keys(plan.workers).filter((it) => !workerNames.includes(it as WorkerName));
  if (unknown.length > 0) {
    throw new Error(
      `The plan asks for ${unknown.join(", ")}; the workers are ${workerNames.join(", ")}.`,
    );
  }
  const wanted = workerNames.flatMap((worker) =>
    Array.from({ length: plan.workers[worker] ?? 0 }, (_, i) => ({ worker, number: i + 1 })),
  );
  const kept: KeptWorker[] = [];
  for (const it of wanted) kept.push(await keptWorker(options, it));
  return kept;
}

interface Wanted {
  readonly worker: WorkerName;
  readonly number: number;
}

async function keptWorker(options: WorkerOptions, wanted: Wanted): Promise<KeptWorker> {
  const { folder, bank, surroundingsOf } = options;
  const { worker, number } = wanted;
  const name = `${worker}/${number}`;
  const childName = `${bank.namespace}-${name.replace("/", "-")}`;
  const stateDir = join(folder.state, childName);
  mkdirSync(stateDir, { recursive: true });
  const around = await surroundingsOf(name, worker);
  const env = environmentOf(options, worker, { around, stateDir });
  const [command = process.execPath, ...args] = [
    ...around.inside,
    ...[process.execPath, "--import", storeHook, program, bank.namespace, worker],
  ];
  const start = () =>
    startChild(folder, {
      ...({ name: childName, stage: "worker", command, args, env, cwd: folder.dir } as const),
    });
  return {
    name,
    worker,
    process: new KeptProcess({ ...options, name, childName, start }),
    metricsUrl: `http://${around.address}:${around.ports.metrics}/metrics`,
    apiUrl: worker === "gateway" ? `http://${around.address}:${around.ports.api}` : null,
    stateDir,
  };
}

function environmentOf(
  { replicationFactor }: WorkerOptions,
  worker: WorkerName,
  { around, stateDir }: { readonly around: WorkerSurroundings; readonly stateDir: string },
): Readonly<Record<string, string>> {
  const role = roleOf(worker);
  return {
    ...plainEnvironment(process.env),
    KAFKA_BROKERS: around.kafkaBrokers,
    SCHEMA_REGISTRY_URL: around.registryUrl,
    FOLDLOG_REPLICATION_FACTOR: String(replicationFactor),
    FOLDLOG_METRICS_HOST: around.address,
    FOLDLOG_METRICS_PORT: String(around.ports.metrics),
    FOLDLOG_STATE_DIR: stateDir,
    // An unknown schema id is a poison here; nobody registers it half a minute later.
    FOLDLOG_UNKNOWN_SCHEMA_WAIT_MS: "1000",
    ...(role !== null && { DATABASE_URL: around.databaseUrl(role) }),
    ...(worker === "gateway" && {
      DATABASE_READ_URL: around.databaseUrl("foldlog_reader"),
      // In a host of its own a proxy stands at its address.
      FOLDLOG_API_HOST: "127.0.0.1",
      FOLDLOG_API_PORT: String(around.ports.api),
    }),
  };
}

/** Whether a worker says that it can do its work. */
export function isReady({ metricsUrl }: Pick<KeptWorker, "metricsUrl">): Promise<boolean> {
  return answersOk(metricsUrl.replace(/\/metrics$/, "/readyz"));
}
