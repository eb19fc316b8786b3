import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { messageOf } from "../../engine/errors.ts";
import type { Checklist } from "./checklist.ts";
import {
  type Child,
  type ChildSpec,
  lastLines,
  plainEnvironment,
  rotateLogs,
  runToEnd,
  startChild,
  waitUntilReady,
} from "./child.ts";
import type { Folder } from "./folder.ts";
import { passwordOf, type Passwords } from "./passwords.ts";
import { answersOk } from "./registry.ts";
import { SetupError } from "./setup-error.ts";
import type { Stack } from "./stack.ts";
import { keepRunning } from "./supervisor.ts";

/** The processes of the bank, in the order of their metrics ports. */
export const workers = [
  "account",
  "balances",
  "statements",
  "command_status",
  "event_index",
  "gateway",
] as const;
const projectors = workers.filter((name) => name !== "account" && name !== "gateway");

/** The Postgres roles of the application, beyond the base ones of the stack. */
export const applicationRoles = ["foldlog_reader", ...projectors.map(roleOf)];

export interface Application {
  readonly folder: Folder;
  readonly stack: Stack;
  readonly metricsPort: number;
  readonly apiPort: number;
  readonly checklist: Checklist;
  readonly signal: AbortSignal;
}

/** Where everything is, for `.foldlog/env` and for the commands of `ops/cli.ts`. */
export function addresses({
  stack,
  folder,
  metricsPort,
  apiPort,
}: Pick<Application, "stack" | "folder" | "metricsPort" | "apiPort">): Readonly<
  Record<string, string>
> {
  return {
    ...logAndSchemas({ stack, folder }),
    DATABASE_URL: stack.databaseUrl("foldlog_owner"),
    DATABASE_READ_URL: stack.databaseUrl("foldlog_reader"),
    FOLDLOG_API_URL: apiUrl(apiPort),
    FOLDLOG_METRICS_URL: `${workerUrl(metricsPort, 0)}/metrics`,
    FOLDLOG_METRICS_URLS: workers.map((_, i) => `${workerUrl(metricsPort, i)}/metrics`).join(","),
  };
}

/** What workers and commands alike need to know of the broker and the registry. */
function logAndSchemas({ stack, folder }: Pick<Application, "stack" | "folder">) {
  return {
    KAFKA_BROKERS: stack.brokers,
    SCHEMA_REGISTRY_URL: stack.registryUrl,
    FOLDLOG_REPLICATION_FACTOR: "1", // There is one broker.
    SCHEMA_IDS_FILE: folder.schemaIds,
  };
}

/** The address of the gateway. */
export function apiUrl(apiPort: number): string {
  return `http://127.0.0.1:${apiPort}`;
}

/** The address of a worker's health checks and metrics, by its place in `workers`. */
export function workerUrl(metricsPort: number, index: number): string {
  return `http://127.0.0.1:${metricsPort + index}`;
}

/**
 * Brings tables, topics and schemas to what the repository says, then starts the workers and keeps them
 * running; comes back when all are ready.
 * @throws SetupError where a step fails, or a worker ends before it was ready
 */
export async function startApplication(app: Application): Promise<void> {
  const { folder, checklist, stack, signal } = app;
  rotateLogs(folder, ["migrate", "topics", "schemas", ...workers, "demo"]);
  await checklist.step("Tables", (say) => prepareTables(stack, say));
  await checklist.step("Topics", (say) => runCli(app, "topics", ["topics", "apply", "--yes"], say));
  await checklist.step("Schemas", (say) => runCli(app, "schemas", ["schemas", "register"], say));
  const started = workers.map((name, index) =>
    checklist.step(`Worker ${name}`, (say) => {
      say(workerUrl(app.metricsPort, index));
      return startWorker(app, name, index);
    }),
  );
  const children = await Promise.all(started);
  for (const [index, child] of children.entries()) {
    const next = () => workerSpec(app, String(workers[index]), index);
    const supervision = { next, isExpected: () => false, report: checklist.line };
    void keepRunning(folder, supervision, signal, child);
  }
}

/** A gentle load, another one on each start, so that there is always something to see. */
export function startDemo(app: Application): void {
  const next = () => {
    const seed = String(nextSeed(app.folder));
    const load = ["--rate", "20", "--for", "1h", "--accounts", "20", "--seed", seed];
    return cliSpec(app, "demo", ["produce", ...load]);
  };
  const isExpected = ({ code }: { code: number | null }) => code === 0;
  void keepRunning(app.folder, { next, isExpected, report: app.checklist.line }, app.signal);
}

/** Loaded when it is needed, since a start that leaves out the application needs none of it. */
async function prepareTables(stack: Stack, say: (note: string) => void): Promise<void> {
  const { prepareDatabase } = await import("../../engine/postgres/prepare-database.ts");
  const { workers: all } = await import("../../processors/workers.ts");
  const passwords = applicationRoles.map((role) => [role, passwordOf(stack.passwords, role)]);
  try {
    const done = await prepareDatabase({
      ownerUrl: stack.databaseUrl("foldlog_owner"),
      projections: Object.values(all).flatMap((worker) =>
        worker.kind === "projector" ? [worker.projection] : [],
      ),
      passwords: Object.fromEntries(passwords) as Passwords,
    });
    say(done.length === 0 ? "as they should be" : `${done.length} changes`);
  } catch (error) {
    throw new SetupError(`The tables cannot be prepared: ${messageOf(error)}`, {
      next: "Nothing was changed. Where the data may go, `npm run reset` makes room for a new beginning.",
      cause: error,
    });
  }
}

async function runCli(
  app: Application,
  name: string,
  args: readonly string[],
  say: (note: string) => void,
): Promise<void> {
  const failure = { message: `\`foldlog ${args.join(" ")}\` failed` };
  const output = await runToEnd(app.folder, cliSpec(app, name, args), failure, app.signal);
  say(lastLines(output, 1)[0] ?? "");
}

function cliSpec(app: Application, name: string, args: readonly string[]): ChildSpec {
  return nodeSpec(app, name, [fileOf("ops/cli.ts"), ...args], addresses(app));
}

async function startWorker(app: Application, name: string, index: number): Promise<Child> {
  const child = await startChild(app.folder, workerSpec(app, name, index));
  const isReady = () => answersOk(`${workerUrl(app.metricsPort, index)}/readyz`);
  // However long it restores: the time beside its line says that it is still at it.
  const patience = { label: `The worker ${name}`, withinMs: Infinity, signal: app.signal };
  await waitUntilReady(child, isReady, patience);
  return child;
}

function workerSpec(app: Application, name: string, index: number): ChildSpec {
  const { stack, folder, metricsPort, apiPort } = app;
  const isProjector = projectors.some((projector) => projector === name);
  return nodeSpec(app, name, [fileOf("processors/main.ts"), name], {
    ...logAndSchemas({ stack, folder }),
    FOLDLOG_METRICS_PORT: String(metricsPort + index),
    FOLDLOG_STATE_DIR: folder.state,
    // Each projector is its own role, which can write its own tables only.
    ...(isProjector && { DATABASE_URL: stack.databaseUrl(roleOf(name)) }),
    ...(name === "gateway" && {
      DATABASE_READ_URL: stack.databaseUrl("foldlog_reader"),
      FOLDLOG_API_PORT: String(apiPort),
    }),
  });
}

function nodeSpec(
  { folder }: Application,
  name: string,
  args: readonly string[],
  env: Readonly<Record<string, string>>,
): ChildSpec {
  return {
    name,
    stage: "worker",
    command: process.execPath,
    args,
    env: { ...plainEnvironment(process.env), ...ownSettings(process.env), ...env },
    cwd: folder.dir,
  };
}

/** What a user may set for a worker, for example a log level, reaches it. */
function ownSettings(env: NodeJS.ProcessEnv): Record<string, string> {
  const pairs = Object.entries(env).flatMap(([name, value]) =>
    /^(FOLDLOG_|LOG_|NODE_)/.test(name) && value !== undefined ? [[name, value] as const] : [],
  );
  return Object.fromEntries(pairs);
}

function nextSeed(folder: Folder): number {
  const file = join(folder.data, "demo-seed");
  let seed = 1;
  try {
    seed = Number(readFileSync(file, "utf8")) + 1;
  } catch {
    // The first time.
  }
  writeFileSync(file, String(seed));
  return seed;
}

function roleOf(projector: string): string {
  return `projector_${projector}`;
}

function fileOf(path: string): string {
  return fileURLToPath(new URL(`../../${path}`, import.meta.url));
}
