import { cpSync, existsSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Clock } from "../../../engine/clock.ts";
import type { Folder } from "../../../ops/stack/folder.ts";
import type { Parts } from "../../../ops/stack/parts.ts";
import { passwordOf, type Passwords, passwordsFor } from "../../../ops/stack/passwords.ts";
import { baseRoles, startPostgres } from "../../../ops/stack/postgres.ts";
import { registryUrl, startRegistry } from "../../../ops/stack/registry.ts";
import { freePorts } from "../../../ops/stack/ports.ts";
import type { Plan } from "../plan.ts";
import type { Ending } from "../system.ts";
import { type Cluster, prepareCluster } from "./cluster.ts";
import { setTransactionVersion } from "./cluster-roles.ts";
import { type Disk, openDisk } from "./disk.ts";
import type { Hosts } from "./hosts.ts";
import { roleOf, workerNames } from "./system-bank.ts";
import { KeptProcess } from "./system-process.ts";

/** What a bank stands on: broker, registry, Postgres; each comes up again by itself. */

export interface Services {
  readonly cluster: Cluster;
  readonly registryUrl: string;
  readonly postgresPort: number;
  readonly registryPort: number;
  databaseUrl(role: string, database: string): string;
  readonly passwords: Passwords;
  readonly postgres: KeptProcess;
  readonly registry: KeptProcess;
  /** By their number less one. */
  readonly brokers: readonly KeptProcess[];
  /** Of a size, under those whose disk the plan fills; by target. */
  readonly disks: ReadonlyMap<string, Disk>;
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
  readonly plan: Plan;
  /** Brokers run in hosts of theirs where there are any. */
  readonly hosts: Hosts | null;
  readonly clock: Clock;
  readonly onEnding: (ending: Ending) => void;
  readonly onStep: (step: string) => void;
}

export async function startServices(
  options: ServiceOptions,
  signal: AbortSignal,
): Promise<Services> {
  const { folder, parts, onStep, plan, hosts } = options;
  const { java } = parts;
  const [postgresPort = 0, registryPort = 0, managementPort = 0] = await freePorts(3);
  const projectorRoles = workerNames.flatMap((name) => roleOf(name) ?? []);
  const roles = [...baseRoles, "foldlog_reader", ...projectorRoles];
  const passwords = passwordsFor(folder, roles);
  const kept = (name: string, childName: string, start: KeptStart) =>
    new KeptProcess({ ...options, name, childName, start });

  const postgres = kept("postgres", "postgres", (until) =>
    startPostgres(
      folder,
      { programs: parts.postgres, port: postgresPort, passwords, keeps: "passing" },
      until,
    ),
  );
  const registry = kept("registry", "registry", (until) =>
    startRegistry(
      folder,
      {
        java,
        dir: parts.apicurio.dir,
        ports: { registry: registryPort, management: managementPort },
        database: { port: postgresPort, password: passwordOf(passwords, "apicurio") },
      },
      until,
    ),
  );
  const { disks, logDirs } = await openDisks(options);
  const cluster = await prepareCluster(
    {
      ...{ folder, java, jars: parts.kafka.jars, brokers: plan.brokers, hosts, logDirs },
      ...(plan.properties && { properties: plan.properties }),
    },
    signal,
  );
  const brokers = cluster.brokers.map((broker) =>
    kept(`broker/${broker.number}`, broker.childName, (until) => broker.start(until)),
  );
  onStep(`Postgres, the registry and ${plan.brokers === 1 ? "a broker" : "three brokers"} start`);
  const startBoth = async () => {
    await postgres.start();
    await registry.start();
  };
  await Promise.all([startBoth(), ...brokers.map((it) => it.start())]);

  const data = join(folder.data, "postgres");
  const copy = join(folder.data, "postgres.copy");
  const stopPostgres = async () => {
    postgres.hold();
    postgres.signal("SIGQUIT", "alone");
    await postgres.untilGone();
  };
  return {
    ...{ cluster, brokers, disks, postgresPort, registryPort },
    registryUrl: registryUrl(registryPort),
    databaseUrl: (role, database) =>
      `postgresql://${role}:${passwordOf(passwords, role)}@127.0.0.1:${postgresPort}/${database}`,
    passwords,
    postgres,
    registry,
    brokerAnswers: async (it) => {
      while (!it.isUp) await options.clock.sleep(50);
    },
    setTransactionVersion: (level) => setTransactionVersion(cluster.bootstrap, level),
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

/** In MiB: room for a run of some minutes. */
const diskSize = { postgres: 512, broker: 512 } as const;

/** A disk of a size under each whose disk the plan fills: all of Postgres's data, or one broker's log. */
async function openDisks({ folder, plan }: ServiceOptions) {
  const disks = new Map<string, Disk>();
  const logDirs: Record<number, string> = {};
  for (let number = 1; number <= plan.brokers; number++) {
    const logDir = join(folder.dir, "brokers", String(number));
    logDirs[number] = logDir;
    mkdirSync(logDir, { recursive: true });
  }
  const filled = plan.faults.flatMap((it) => (it.does === "fill-disk" ? [it.target] : []));
  for (const target of new Set(filled)) {
    const number = Number(/^broker\/(\d)$/.exec(target)?.[1] ?? 0);
    const at = target === "postgres" ? folder.data : logDirs[number];
    if (at === undefined) throw new Error(`There is no disk of a size under "${target}".`);
    const size = target === "postgres" ? diskSize.postgres : diskSize.broker;
    disks.set(target, await openDisk(at, size));
  }
  return { disks, logDirs };
}

type KeptStart = ConstructorParameters<typeof KeptProcess>[0]["start"];
