import { readFileSync } from "node:fs";
import type { Upcasts } from "./avro/upcast.ts";
import { isAborted } from "./clock.ts";
import { type Config, ConfigError, loadConfig, type SettingName } from "./config.ts";
import { FatalError, messageOf, TransientError } from "./errors.ts";
import { runWorkers } from "./run-workers.ts";
import type { Worker } from "./worker.ts";

/** The life of a process that runs workers: settings, signals, exit codes. */

/** What a process may run, and how it is called. */
export interface ProcessOptions {
  /** Every worker that can be run, by the name that logs and metrics know it by. */
  readonly workers: Readonly<Record<string, Worker>>;
  readonly upcasts?: Upcasts;
  /** How this program is called, for its usage text. */
  readonly program: string;
  /** The names of workers; from the command line where left out. */
  readonly names?: readonly string[];
  /** Where the settings are; the environment of this process where left out. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Done before the workers start, for example `prepareApplication`; what it throws ends the process. */
  readonly before?: (config: Config) => Promise<void>;
}

/** After so long a drain that hangs is cut off; the next start restores from the log. */
const drainMs = 10_000;

/**
 * Runs the workers that the command line names until SIGTERM or SIGINT, then exits: 0 in good order, 1 after a
 * fatal error or a drain that did not end, 2 for wrong usage or settings. A second signal ends it at once.
 */
export async function runFromCommandLine(options: ProcessOptions): Promise<never> {
  process.exit(await exitCode(options));
}

async function exitCode(options: ProcessOptions): Promise<number> {
  const { workers, upcasts, program, names, env = process.env, before } = options;
  const chosen = names ?? process.argv.slice(2);
  const all = Object.keys(workers);
  const unknown = chosen.filter((name) => !Object.hasOwn(workers, name));
  if (chosen.length === 0 || unknown.length > 0) {
    const wrong = unknown.length > 0 ? `There is no worker ${unknown.join(", ")}.\n` : "";
    process.stderr.write(`${wrong}Usage: ${program} WORKER…\nThe workers are ${all.join(", ")}.\n`);
    return 2;
  }
  const running = Object.fromEntries(chosen.map((name) => [name, workers[name] as Worker]));
  const needed: SettingName[] = ["KAFKA_BROKERS", "SCHEMA_REGISTRY_URL"];
  if (Object.values(running).some(({ kind }) => kind === "projector")) needed.push("DATABASE_URL");
  if (Object.values(running).some(({ kind }) => kind === "gateway"))
    needed.push("DATABASE_READ_URL");

  const stop = new AbortController();
  const onSignal = () => {
    if (stop.signal.aborted) process.exit(1);
    stop.abort();
    setTimeout(() => {
      process.stderr.write(`The drain did not end within ${drainMs / 1000} s: exiting.\n`);
      process.exit(1);
    }, drainMs).unref();
  };
  process.on("SIGTERM", onSignal);
  process.on("SIGINT", onSignal);
  try {
    const config = loadConfig(env, needed);
    await before?.(config);
    if (isAborted(stop.signal)) return 0;
    await runWorkers(
      { workers: running, config, version: version(), ...(upcasts && { upcasts }) },
      stop.signal,
    );
    return 0;
  } catch (error) {
    process.stderr.write(`${explain(error)}\n`);
    return error instanceof ConfigError ? 2 : 1;
  }
}

/** What, why and what to do; the stack only of what nobody foresaw. */
function explain(error: unknown): string {
  if (error instanceof ConfigError) return error.message;
  if (error instanceof FatalError) return `${error.code}: ${error.message}`;
  if (error instanceof TransientError) return error.message;
  return error instanceof Error ? (error.stack ?? error.message) : messageOf(error);
}

/** The version in the package that this file belongs to. */
export function version(): string {
  for (const path of ["../package.json", "../../package.json"]) {
    try {
      const found = JSON.parse(readFileSync(new URL(path, import.meta.url), "utf8")) as {
        version: string;
      };
      return found.version;
    } catch {
      // Compiled files lie one folder deeper.
    }
  }
  return "unknown";
}
