import { cpSync, existsSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Clock } from "../../../engine/clock.ts";
import { openDatabase } from "../../../engine/postgres/postgres.ts";
import { plainEnvironment, runToEnd } from "../../../ops/stack/child.ts";
import type { Folder } from "../../../ops/stack/folder.ts";
import { quickJava } from "../../../ops/stack/java.ts";
import { startKafka } from "../../../ops/stack/kafka.ts";
import type { Parts } from "../../../ops/stack/parts.ts";
import { passwordOf, type Passwords, passwordsFor } from "../../../ops/stack/passwords.ts";
import { baseRoles, startPostgres } from "../../../ops/stack/postgres.ts";
import { registryUrl, startRegistry } from "../../../ops/stack/registry.ts";
import { chooseFreePorts } from "../../../ops/stack/stack.ts";
import type { Ending } from "../system.ts";
import { roleOf, workerNames } from "./system-bank.ts";
import { KeptProcess } from "./system-process.ts";

/** What a bank stands on: broker, registry, Postgres; each comes up again by itself. */

export interface Services {
  readonly kafkaBrokers: string;
  readonly registryUrl: string;
  databaseUrl(role: string, database: string): string;
  readonly passwords: Passwords;
  readonly postgres: KeptProcess;
  readonly registry: KeptProcess;
  /** By their number less one. */
  readonly brokers: readonly KeptProcess[];
  /** Resolves when the broker serves requests. */
  brokerAnswers(broker: KeptProcess): Promise<void>;
  /** The cluster's feature `transaction.version`. */
  setTransactionVersion(level: number): Promise<void>;
  /** A copy of Postgres's data as it is now, with the server stopped for a moment. */
  copyDatabase(): Promise<void>;
  /** Stops Postgres and puts the copy in its place; it is started again when it is released. */
  restoreDatabase(): Promise<void>;
}

export interface ServiceOptions {
  readonly folder: Folder;
  readonly parts: Parts;
  readonly clock: Clock;
  readonly onEnding: (ending: Ending) => void;
  readonly onStep: (step: string) => void;
}

export async function startServices(options: ServiceOptions): Promise<Services> {
  const { folder, parts, onStep } = options;
  const { java } = parts;
  const ports = await chooseFreePorts();
  const projectorRoles = workerNames.flatMap((name) => roleOf(name) ?? []);
  const roles = [...baseRoles, "foldlog_reader", ...projectorRoles];
  const passwords = passwordsFor(folder, roles);
  const keeps = "passing";
  const kept = (name: string, childName: string, start: KeptStart) =>
    new KeptProcess({ ...options, name, childName, start });

  const postgres = kept("postgres", "postgres", (signal) =>
    startPostgres(
      folder,
      { programs: parts.postgres, port: ports.postgres, passwords, keeps },
      signal,
    ),
  );
  const registry = kept("registry", "registry", (signal) =>
    startRegistry(
      folder,
      {
        java,
        dir: parts.apicurio.dir,
        ports: { registry: ports.registry, management: ports.registryManagement },
        database: { port: ports.postgres, password: passwordOf(passwords, "apicurio") },
      },
      signal,
    ),
  );
  const broker = kept("broker/1", "kafka", (signal) =>
    startKafka(folder, { java, jars: parts.kafka.jars, ports, keeps }, signal),
  );
  onStep("Postgres, the registry and the broker start");
  await Promise.all([postgres.start().then(() => registry.start()), broker.start()]);

  const data = join(folder.data, "postgres");
  const copy = join(folder.data, "postgres.copy");
  const stopPostgres = async () => {
    postgres.hold();
    postgres.signal("SIGQUIT", "alone");
    await postgres.untilGone();
  };
  return {
    kafkaBrokers: `127.0.0.1:${ports.kafka}`,
    registryUrl: registryUrl(ports.registry),
    databaseUrl: (role, database) =>
      `postgresql://${role}:${passwordOf(passwords, role)}@127.0.0.1:${ports.postgres}/${database}`,
    passwords,
    postgres,
    registry,
    brokers: [broker],
    brokerAnswers: async (it) => {
      while (!it.isUp) await options.clock.sleep(50);
    },
    setTransactionVersion: (level) => setFeature({ ...options, port: ports.kafka }, level),
    async copyDatabase() {
      await stopPostgres();
      rmSync(copy, { recursive: true, force: true });
      cpSync(data, copy, { recursive: true });
      postgres.release();
    },
    async restoreDatabase() {
      if (!existsSync(copy)) throw new Error("No copy of the database was made before");
      await stopPostgres();
      // In place: the folder itself may be a mount.
      for (const name of readdirSync(data)) rmSync(join(data, name), { recursive: true });
      cpSync(copy, data, { recursive: true });
    },
  };
}

type KeptStart = ConstructorParameters<typeof KeptProcess>[0]["start"];

/** A database of a bank's own on the server, as the starter makes the first one. */
export async function createDatabase(services: Services, name: string): Promise<void> {
  const admin = openDatabase({
    url: services.databaseUrl("postgres", "postgres"),
    applicationName: "foldlog chaos",
    maxConnections: 1,
    answerTimeoutMs: 60_000,
  });
  try {
    await admin.query(`create database ${name} owner foldlog_owner`);
  } finally {
    await admin.close();
  }
}

/** By Kafka's own tool, as an operator does it. */
async function setFeature(
  { folder, parts: { java, kafka }, port }: ServiceOptions & { readonly port: number },
  level: number,
): Promise<void> {
  const verb = level === 0 ? "downgrade" : "upgrade";
  const asked = ["--bootstrap-server", `127.0.0.1:${port}`, verb];
  await runToEnd(
    folder,
    {
      ...({ name: "kafka-features", stage: "worker", cwd: kafka.jars } as const),
      command: join(java.home, "bin", "java"),
      args: [
        ...["-Xmx128m", ...quickJava, "-cp", "*", "org.apache.kafka.tools.FeatureCommand"],
        ...[...asked, "--feature", `transaction.version=${level}`],
      ],
      env: plainEnvironment(process.env),
    },
    { message: `transaction.version cannot be set to ${level}` },
    new AbortController().signal,
  );
}
