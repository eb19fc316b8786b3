import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { GenericContainer, type StartedTestContainer, Wait } from "testcontainers";
import { kafkaProperties, type ProxiedPorts } from "../../ops/stack/kafka.ts";
import { freePorts } from "../../ops/stack/ports.ts";
import { guardLabel, images, root, runName } from "./docker.ts";

/** The same as `startStack` gives, on the official images and Postgres 15. */
export interface ContainerStack {
  readonly brokers: string;
  readonly proxied: ProxiedPorts;
  readonly registryUrl: string;
  databaseUrl(role: string, database?: string): string;
  /** Removes all of it. */
  stop(): Promise<void>;
}

/** Published on 127.0.0.1 only, and removed by its label whatever becomes of this process. */
class OwnContainer extends GenericContainer {
  protected override async beforeContainerCreated(): Promise<void> {
    const published = (this.hostConfig.PortBindings ?? {}) as Record<string, { HostIp?: string }[]>;
    for (const binding of Object.values(published).flat()) binding.HostIp = "127.0.0.1";
  }
}

/**
 * Starts a broker, a registry and a Postgres, each in a container, on free ports and with empty data.
 * @throws Error where one does not come up; then nothing is left behind
 */
export async function startContainers(): Promise<ContainerStack> {
  const guardian = guardLabel(`foldlog.test=${runName}`);
  try {
    const ports = await freePorts(4);
    const [kafka = 0, boundPort = 0, advertisedPort = 0, controller = 0] = ports;
    const proxied = { boundPort, advertisedPort };
    const secret = randomBytes(12).toString("hex");
    const passwords = Object.fromEntries(
      ["postgres", "foldlog_owner", "apicurio"].map((role) => [role, `${role}-${secret}`]),
    );
    const withDatabase = async () => {
      const postgres = await startPostgres(passwords);
      const registry = await startRegistry(postgres, passwords["apicurio"] ?? "");
      return { postgres, registry };
    };
    const [{ postgres, registry }] = await Promise.all([
      withDatabase(),
      startKafka({ kafka, controller, proxied }),
    ]);
    return {
      brokers: `127.0.0.1:${kafka}`,
      proxied,
      registryUrl: `http://127.0.0.1:${registry.getMappedPort(8080)}/apis/ccompat/v7`,
      databaseUrl: (role, database = "foldlog") =>
        `postgresql://${role}:${passwords[role] ?? ""}@127.0.0.1:${postgres.getMappedPort(5432)}/${database}`,
      stop: () => guardian.release(),
    };
  } catch (error) {
    await guardian.release();
    throw error;
  }
}

function own(image: string): GenericContainer {
  return new OwnContainer(image)
    .withLabels({ "foldlog.test": runName })
    .withStartupTimeout(600_000)
    .withAutoCleanup(false); // The guardian does it.
}

/** With the settings of a broker for tests, but that it listens on every address of its container. */
function startKafka(
  ports: Required<Parameters<typeof kafkaProperties>[0]["ports"]>,
): Promise<StartedTestContainer> {
  const text = kafkaProperties({ ports, keeps: "passing", logDir: "/var/lib/kafka/data" });
  const settings = text.split("\n").flatMap((line) => {
    const [, name, value] = /^([^=]+)=(.*)$/.exec(line) ?? [];
    if (name === undefined || value === undefined) return [];
    const variable = `KAFKA_${name.toUpperCase().replaceAll(".", "_")}`;
    return [[variable, name === "listeners" ? value.replaceAll("127.0.0.1", "") : value] as const];
  });
  const published = [ports.kafka, ports.proxied.boundPort];
  return own(images.kafka)
    .withEnvironment({ ...Object.fromEntries(settings), KAFKA_HEAP_OPTS: "-Xms256m -Xmx512m" })
    .withExposedPorts(...published.map((port) => ({ container: port, host: port })))
    .withWaitStrategy(Wait.forLogMessage("Kafka Server started"))
    .start();
}

/** Roles and databases as docker-compose.yml makes them. */
function startPostgres(passwords: Readonly<Record<string, string>>): Promise<StartedTestContainer> {
  const init = readFileSync(join(root, "ops/compose/postgres-init.sql"), "utf8");
  const files = Object.entries(passwords).map(([role, password]) => ({
    content: password,
    target: `/run/foldlog/${role}`,
    mode: 0o444,
  }));
  return own(images.postgres)
    .withEnvironment({
      POSTGRES_PASSWORD: passwords["postgres"] ?? "",
      POSTGRES_INITDB_ARGS: "--encoding=UTF8 --locale=C.UTF-8 --no-sync",
    })
    .withCopyContentToContainer([
      ...files,
      { content: init, target: "/docker-entrypoint-initdb.d/foldlog.sql", mode: 0o444 },
    ])
    .withCommand(["postgres", "-c", "max_connections=200", "-c", "fsync=off"])
    .withExposedPorts(5432)
    .withWaitStrategy(Wait.forSuccessfulCommand("pg_isready -h 127.0.0.1 -U postgres"))
    .start();
}

function startRegistry(
  postgres: StartedTestContainer,
  password: string,
): Promise<StartedTestContainer> {
  return own(images.registry)
    .withEnvironment({
      APICURIO_STORAGE_KIND: "sql",
      APICURIO_STORAGE_SQL_KIND: "postgresql",
      APICURIO_DATASOURCE_URL: `jdbc:postgresql://${postgres.getIpAddress("bridge")}:5432/apicurio`,
      APICURIO_DATASOURCE_USERNAME: "apicurio",
      APICURIO_DATASOURCE_PASSWORD: password,
      JAVA_OPTS_APPEND: "-Xmx256m",
    })
    .withExposedPorts(8080)
    .withWaitStrategy(
      Wait.forHttp("/apis/ccompat/v7/subjects", 8080, { abortOnContainerExit: true }),
    )
    .start();
}
