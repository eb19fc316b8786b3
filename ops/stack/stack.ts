import { rmSync } from "node:fs";
import { join } from "node:path";
import type { Checklist } from "./checklist.ts";
import { type Child, rotateLogs } from "./child.ts";
import type { Folder } from "./folder.ts";
import { type ProxiedPorts, startKafka } from "./kafka.ts";
import type { Parts } from "./parts.ts";
import { passwordOf, type Passwords, passwordsFor } from "./passwords.ts";
import { freePorts } from "./ports.ts";
import { baseRoles, startPostgres } from "./postgres.ts";
import { registryUrl, startRegistry } from "./registry.ts";
import { type Ended, endRunning } from "./running.ts";

export interface StackPorts {
  readonly postgres: number;
  readonly kafka: number;
  readonly controller: number;
  readonly registry: number;
  readonly registryManagement: number;
  readonly proxied?: ProxiedPorts;
}

export interface StackOptions {
  readonly folder: Folder;
  readonly parts: Parts;
  readonly ports: StackPorts;
  /** "lasting" is for use; "passing" is for tests: faster writes, eager compaction and retention. */
  readonly keeps: "lasting" | "passing";
  /** Roles beyond the base ones that need a password. */
  readonly roles: readonly string[];
  readonly checklist: Checklist;
  /** Ends the wait for what is starting; call `endRunning` afterwards. */
  readonly signal: AbortSignal;
}

/** A broker, a registry and a Postgres that run and answer. */
export interface Stack {
  /** For example "127.0.0.1:9092". */
  readonly brokers: string;
  /** The Confluent API of the registry. */
  readonly registryUrl: string;
  /** The address of a database for a role, with its password. */
  databaseUrl(role: string, database?: string): string;
  readonly passwords: Passwords;
  readonly children: readonly Child[];
  /** Stops all in order; says what it had to kill. */
  stop(budgetMs: number): Promise<readonly Ended[]>;
}

/**
 * Starts Postgres, Kafka and the registry in this folder, with whatever data it has, and comes back when all
 * three answer. Kafka comes up beside the other two, which wait for one another.
 * @throws SetupError where one of them does not come up; then nothing is left running
 */
export async function startStack(options: StackOptions): Promise<Stack> {
  const { folder, parts, ports, keeps, checklist } = options;
  const { java, kafka, apicurio } = parts;
  const passwords = passwordsFor(folder, [...baseRoles, ...options.roles]);
  const one = new AbortController(); // The first that fails ends the wait for the others.
  const signal = AbortSignal.any([options.signal, one.signal]);
  rmSync(join(folder.run, "tmp"), { recursive: true, force: true });
  rotateLogs(folder, ["postgres", "kafka", "registry"]);

  const startDatabaseAndRegistry = async () => [
    await checklist.step(`Postgres ${parts.postgres.version}`, (say) => {
      say(`127.0.0.1:${ports.postgres}`);
      const settings = { programs: parts.postgres, port: ports.postgres, passwords, keeps };
      return startPostgres(folder, settings, signal);
    }),
    await checklist.step(`Apicurio Registry ${apicurio.version}`, (say) => {
      say(`127.0.0.1:${ports.registry}`);
      const database = { port: ports.postgres, password: passwordOf(passwords, "apicurio") };
      const own = { registry: ports.registry, management: ports.registryManagement };
      const settings = { java, dir: apicurio.dir, ports: own, database };
      return startRegistry(folder, settings, signal);
    }),
  ];
  const startBroker = async () => [
    await checklist.step(`Kafka ${kafka.version}`, (say) => {
      say(`127.0.0.1:${ports.kafka}`);
      return startKafka(folder, { java, jars: kafka.jars, ports, keeps }, signal);
    }),
  ];

  const children = await allOrNothing([startDatabaseAndRegistry, startBroker], one, folder);
  return {
    brokers: `127.0.0.1:${ports.kafka}`,
    registryUrl: registryUrl(ports.registry),
    databaseUrl: (role, database = "foldlog") => {
      const password = passwordOf(passwords, role);
      return `postgresql://${role}:${password}@127.0.0.1:${ports.postgres}/${database}`;
    },
    passwords,
    children: children.flat(),
    stop: (budgetMs) => endRunning(folder.run, budgetMs),
  };
}

/** Ports for a stack that nobody else uses now, with a listener for a fault proxy. */
export async function chooseFreePorts(): Promise<Required<StackPorts>> {
  const chosen = await freePorts(7);
  const port = (i: number) => chosen[i] ?? 0;
  return {
    postgres: port(0),
    kafka: port(1),
    controller: port(2),
    registry: port(3),
    registryManagement: port(4),
    proxied: { boundPort: port(5), advertisedPort: port(6) },
  };
}

async function allOrNothing<T>(
  starts: readonly (() => Promise<T>)[],
  one: AbortController,
  folder: Folder,
): Promise<readonly T[]> {
  const failures: unknown[] = [];
  const results = await Promise.all(
    starts.map((start) =>
      start().catch((error: unknown) => {
        failures.push(error);
        one.abort(error);
        return undefined;
      }),
    ),
  );
  if (failures.length === 0) return results as readonly T[];
  await endRunning(folder.run, 10_000);
  throw failures[0];
}
