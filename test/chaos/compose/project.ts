import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { quickJava } from "../../../ops/stack/java.ts";
import { freePorts } from "../../../ops/stack/ports.ts";
import { guardLabel, root } from "../../containers/docker.ts";
import type { Plan } from "../plan.ts";
import type { Addresses } from "../system.ts";
import { docker, dockerMust } from "./docker-command.ts";

/** docker-compose.yml as a project of a run's own: free ports, data of its own, and gone with the run. */

/** The workers that docker-compose.yml has, each a service of the same name. */
export const workerServices = [
  "account",
  "balances",
  "statements",
  "command_status",
  "event_index",
  "gateway",
] as const;
/** By their number less one. */
export const brokerServices = ["kafka", "kafka2", "kafka3"] as const;

const portNames = ["API", "KAFKA", "KAFKA2", "KAFKA3", "REGISTRY", "POSTGRES"] as const;
type PortName = (typeof portNames)[number];
/** What all containers have printed, in a run's folder. */
export const containersLog = "containers.log";
export const metricsPort = "9464/tcp";

export interface ProjectOptions {
  /** Of the containers, the network, the volumes and the image. */
  readonly name: string;
  readonly plan: Pick<Plan, "brokers" | "workers">;
  /** Where the override file and the logs go; exists. */
  readonly folder: string;
  /** `keep`: nothing is removed at the end, nor if this process dies. */
  readonly afterwards: "remove" | "keep";
}

export interface Project {
  readonly name: string;
  readonly network: string;
  /** Builds the image, or finds it built. */
  build(signal: AbortSignal): Promise<void>;
  /** Starts everything that the plan needs, and waits until all of it is healthy. */
  up(signal: AbortSignal): Promise<void>;
  addresses(): Promise<Addresses>;
  /** What all containers have printed so far goes to a file in the run's folder. */
  printed(): Promise<string>;
  /** The same; then all is removed, if it is not to be kept. */
  down(): Promise<void>;
  /** The command that removes what was kept. */
  readonly removal: string;
}

export async function openProject(options: ProjectOptions): Promise<Project> {
  const { name, plan, folder } = options;
  const free = await freePorts(portNames.length);
  const ports = new Map(portNames.map((it, i) => [it, String(free[i])]));
  const overrides = join(folder, "compose.override.json");
  writeFileSync(overrides, JSON.stringify(overridesFor(plan), null, 2));
  const cluster = plan.brokers === 3 ? ["--env-file", "ops/compose/cluster.env"] : [];
  const label = `com.docker.compose.project=${name}`;
  const guardian = options.afterwards === "keep" ? null : guardLabel(label);

  const files = ["--file", "docker-compose.yml", "--file", overrides];
  const compose = [
    "compose",
    "--ansi",
    "never",
    "--project-name",
    name,
    "--project-directory",
    root,
  ];
  const args = (...rest: readonly string[]) => [...compose, ...cluster, ...files, ...rest];
  const env = Object.fromEntries([...ports].map(([it, port]) => [`FOLDLOG_${it}_PORT`, port]));
  const services = servicesFor(plan);
  const scales = services.flatMap((it) => {
    const count = plan.workers[it] ?? 1;
    return count > 1 ? ["--scale", `${it}=${count}`] : [];
  });
  const printed = async () => {
    const output = join(folder, containersLog);
    await docker(args("logs", "--timestamps", "--no-color"), { env, output });
    return output;
  };
  return {
    name,
    network: `${name}_default`,
    removal: ["docker compose -p", name, ...cluster, "down --volumes --remove-orphans"].join(" "),
    async build(signal) {
      await dockerMust(args("build", "--quiet", "secrets"), { env, signal });
    },
    async up(signal) {
      const waits = ["--wait", "--wait-timeout", String(healthyS)];
      const started = await docker(args("up", ...waits, ...scales, ...services), { env, signal });
      if (started.code === 0) return;
      const { stdout: states } = await docker(args("ps", "--all"), { env });
      const { stdout: logs } = await docker(args("logs", "--tail", "15"), { env });
      const said = `${started.stderr}\n${states}\n${logs}`;
      throw new Error(`docker compose up ended with ${String(started.code)}:\n${said}`);
    },
    addresses: () => addressesOf(ports, { args, env, plan }),
    printed,
    async down() {
      await printed();
      if (guardian === null) return;
      await docker(args("down", "--volumes", "--remove-orphans", "--timeout", "1"), { env });
      await docker(["image", "rm", "--force", `foldlog:${name}`]);
      await guardian.release();
    },
  };
}

/** Three brokers, their Java, and everybody else on two slow cores. */
const healthyS = 900;

/**
 * What a run needs beyond docker-compose.yml: each worker's metrics on a port of 127.0.0.1 that the engine
 * chooses, and brokers that come up on a machine that has little left for them. Nothing that a client of
 * theirs could see is other than it is deployed.
 */
function overridesFor({ brokers, workers }: ProjectOptions["plan"]): object {
  const wanted = workerServices.filter((it) => (workers[it] ?? 0) > 0);
  const published = wanted.map((it) => [it, { ports: ["127.0.0.1::9464"] }] as const);
  const patient = brokerServices
    .slice(0, brokers)
    .map((it) => [it, { environment: patientBroker }] as const);
  return { services: Object.fromEntries<object>([...published, ...patient]) };
}

const patientBroker = {
  KAFKA_JVM_PERFORMANCE_OPTS: quickJava.join(" "),
  // Three of them on two cores: by the usual times controllers elect for ever, and a broker gives up.
  KAFKA_CONTROLLER_QUORUM_FETCH_TIMEOUT_MS: "6000",
  KAFKA_CONTROLLER_QUORUM_ELECTION_TIMEOUT_MS: "3000",
  KAFKA_INITIAL_BROKER_REGISTRATION_TIMEOUT_MS: "600000",
} as const;

/**
 * What a plan needs of docker-compose.yml, without what is done once before it.
 * @throws Error where the plan asks for a worker that is not there
 */
export function servicesFor({ brokers, workers }: ProjectOptions["plan"]): readonly string[] {
  const known: readonly string[] = workerServices;
  const unknown = Object.keys(workers).filter((it) => !known.includes(it));
  if (unknown.length > 0) {
    throw new Error(
      `The plan asks for ${unknown.join(", ")}; docker-compose.yml has the workers ${known.join(", ")}.`,
    );
  }
  if ((workers["gateway"] ?? 0) > 1) {
    throw new Error("The plan asks for several gateways, and docker-compose.yml publishes one.");
  }
  const asked = workerServices.filter((it) => (workers[it] ?? 0) > 0);
  return [...brokerServices.slice(0, brokers), "postgres", "registry", ...asked];
}

async function addressesOf(
  ports: ReadonlyMap<PortName, string>,
  {
    args,
    env,
    plan,
  }: {
    readonly args: (...rest: readonly string[]) => readonly string[];
    readonly env: Readonly<Record<string, string>>;
    readonly plan: ProjectOptions["plan"];
  },
): Promise<Addresses> {
  // Only who set the bank up knows both passwords.
  const read = "cat /run/foldlog/database-url; echo; cat /run/foldlog/foldlog_reader.password";
  const run = ["run", "--rm", "--no-deps", "-T", "--entrypoint", "sh", "setup", "-c", read];
  const secrets = await dockerMust(args(...run), { env });
  const [ownerUrl = "", password = ""] = secrets.trim().split("\n");
  const here = (name: PortName) => `127.0.0.1:${ports.get(name) ?? ""}`;
  const databaseUrl = new URL(ownerUrl);
  databaseUrl.host = here("POSTGRES");
  const databaseReadUrl = new URL(databaseUrl);
  databaseReadUrl.username = "foldlog_reader";
  databaseReadUrl.password = password;
  const brokers = (["KAFKA", "KAFKA2", "KAFKA3"] as const).slice(0, plan.brokers);
  return {
    kafkaBrokers: brokers.map(here).join(","),
    registryUrl: `http://${here("REGISTRY")}/apis/ccompat/v7`,
    databaseUrl: databaseUrl.href,
    databaseReadUrl: databaseReadUrl.href,
    apiUrl: (plan.workers["gateway"] ?? 0) > 0 ? `http://${here("API")}` : null,
  };
}
