import type { Command } from "commander";
import { type Config, printable } from "../../engine/config.ts";
import { logWorkers } from "../../processors/workers.ts";
import { type ExitCode, exitCode, exitsWith } from "./outcome.ts";
import { print, printJson } from "./output.ts";
import { type Environment, readSettings, settingsHelp } from "./settings.ts";
import {
  askHealth,
  askKafka,
  askPostgres,
  askRegistry,
  type Health,
  type KafkaFacts,
  type PostgresFacts,
  type RegistryFacts,
  type Told,
} from "./status-facts.ts";
import { type Service, type Status, statusLines } from "./status-lines.ts";
import { workerProblems, type WorkerStatus, workerStatuses } from "./status-workers.ts";

interface Options {
  readonly json?: boolean;
}

export function statusCommand(program: Command): void {
  program
    .command("status")
    .summary("what is reachable, how far each worker is, and what is wrong")
    .description(
      "Shows whether the broker, the registry and Postgres can be reached, whether the topics are as the " +
        "catalog says, how far each worker is, and what is wrong.",
    )
    .option("--json", "one JSON object")
    .addHelpText(
      "after",
      `
Lag is in offsets, which count the markers of transactions too; 0 is 0. FOLDLOG_METRICS_URLS, or
FOLDLOG_METRICS_URL, is where the workers' processes serve /metrics, separated by commas.
${settingsHelp}

Exit codes: 1 where something is wrong, 5 where the broker, the registry or Postgres is away.

Example:
  npm run -s foldlog -- status`,
    )
    .action(exitsWith(status));
}

async function status({ json = false }: Options): Promise<ExitCode> {
  const needed = ["KAFKA_BROKERS", "SCHEMA_REGISTRY_URL", "DATABASE_READ_URL"] as const;
  const { config, env } = readSettings(needed);
  const [kafka, registry, postgres, health] = await Promise.all([
    askKafka(config, logWorkers),
    askRegistry(config),
    askPostgres(config),
    askHealth(env),
  ]);
  const found = statusOf({ kafka, registry, postgres, health }, config, env);
  if (json) printJson(found);
  else for (const line of statusLines(found)) print(line);
  if (found.away.length > 0) return exitCode.unavailable;
  return found.problems.length > 0 ? exitCode.failed : exitCode.ok;
}

interface Asked {
  readonly kafka: Told<KafkaFacts>;
  readonly registry: Told<RegistryFacts>;
  readonly postgres: Told<PostgresFacts>;
  readonly health: readonly Health[];
}

/** Something that everything needs. */
function statusOf(asked: Asked, config: Config, env: Environment): Status {
  const { kafka, registry, postgres, health } = asked;
  const shown = printable({
    SCHEMA_REGISTRY_URL: config.registry.url,
    DATABASE_READ_URL: env["DATABASE_READ_URL"] ?? config.databaseReadUrl ?? "",
  });
  const services: readonly Service[] = [
    service(
      "Kafka",
      config.kafka.brokers.join(", "),
      kafka,
      ({ clusterId }) => `cluster ${clusterId}`,
    ),
    service(
      "Schema registry",
      shown["SCHEMA_REGISTRY_URL"] ?? "",
      registry,
      ({ registered, wanted }) => `${registered} of ${wanted} schemas registered`,
    ),
    service(
      "Postgres",
      databaseIn(shown["DATABASE_READ_URL"] ?? ""),
      postgres,
      ({ checkpoints }) => (checkpoints === null ? "not prepared" : "prepared"),
    ),
  ];
  const checkpoints = postgres.state === "answers" ? postgres.facts.checkpoints : null;
  const facts = kafka.state === "answers" ? kafka.facts : null;
  const statuses = facts === null ? [] : workerStatuses(logWorkers, facts, checkpoints);
  return {
    at: new Date().toISOString(),
    services,
    topics:
      facts?.topics.map(({ topic, action, differences }) => ({
        name: topic.name,
        action,
        differences,
      })) ?? [],
    workers: statuses,
    health,
    away: services.filter(({ state }) => state === "away").map(({ name }) => name),
    problems: problemsIn(asked, statuses),
  };
}

function service<T>(
  name: string,
  address: string,
  told: Told<T>,
  detail: (facts: T) => string,
): Service {
  const { state } = told;
  return { name, address, state, detail: state === "answers" ? detail(told.facts) : told.problem };
}

/** `host:port/database`, without the role and its password. */
function databaseIn(url: string): string {
  if (!URL.canParse(url)) return url;
  const { host, pathname } = new URL(url);
  return `${host}${pathname}`;
}

function problemsIn(
  { kafka, registry, postgres, health }: Asked,
  statuses: readonly WorkerStatus[],
): readonly string[] {
  const problems: string[] = [];
  if (kafka.state === "refuses")
    problems.push("Kafka refuses: look at KAFKA_SASL_* and KAFKA_TLS_*");
  if (registry.state === "refuses")
    problems.push("the registry refuses: look at SCHEMA_REGISTRY_URL");
  if (postgres.state === "refuses") {
    problems.push(
      "Postgres refuses: look at DATABASE_READ_URL, or let its role be made: npm run -s foldlog -- migrate",
    );
  }
  if (kafka.state === "answers") {
    const off = kafka.facts.topics.filter(({ action }) => action !== "keep");
    if (off.length > 0) {
      const names = off.map(({ topic }) => topic.name).join(", ");
      problems.push(`not as the catalog says: ${names}: npm run -s foldlog -- topics plan`);
    }
    problems.push(...new Set(statuses.flatMap(workerProblems)));
  }
  if (registry.state === "answers" && registry.facts.registered < registry.facts.wanted) {
    problems.push("schemas are not registered: npm run -s foldlog -- schemas check");
  }
  if (postgres.state === "answers" && postgres.facts.checkpoints === null) {
    problems.push("the database is not prepared: npm run -s foldlog -- migrate");
  }
  problems.push(...health.flatMap((it) => it.problems));
  return problems;
}
