import { randomBytes } from "node:crypto";
import { existsSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { type Child, plainEnvironment, runToEnd, startChild, waitUntilReady } from "./child.ts";
import type { Folder } from "./folder.ts";
import { type Java, javaDefaults } from "./java.ts";

export interface KafkaPorts {
  readonly kafka: number;
  readonly controller: number;
  /** A second listener that is advertised elsewhere, so that a proxy can stand between it and its clients. */
  readonly proxied?: ProxiedPorts;
}

export interface ProxiedPorts {
  /** Where the broker listens. */
  readonly boundPort: number;
  /** Where it tells its clients to go. */
  readonly advertisedPort: number;
}

export interface KafkaOptions {
  readonly java: Java;
  readonly jars: string;
  readonly ports: KafkaPorts;
  readonly keeps: "lasting" | "passing";
}

/** Runs one broker that is its own controller, on 127.0.0.1, and comes back when it serves requests. */
export async function startKafka(
  folder: Folder,
  options: KafkaOptions,
  signal: AbortSignal,
): Promise<Child> {
  if (!existsSync(join(folder.data, "kafka"))) await format(folder, options, signal);
  const config = writeConfig(folder, kafkaProperties({ ...options, logDir: "data/kafka" }));
  const jvm = ["-Xms256m", "-Xmx512m", "-XX:+ExitOnOutOfMemoryError"];
  const child = await startChild(folder, {
    ...javaProcess(folder, options, [...jvm, ...classPath(folder, options), "kafka.Kafka", config]),
    name: "kafka",
  });
  // Its last word on the way up: controller elected, broker unfenced, requests served.
  const isReady = () => child.output().includes("Kafka Server started");
  await waitUntilReady(child, isReady, { label: "Kafka", withinMs: 120_000, signal });
  return child;
}

/** The broker's settings. Paths are relative to the folder, since Kafka splits `log.dirs` at commas. */
export function kafkaProperties(
  options: Pick<KafkaOptions, "ports" | "keeps"> & { readonly logDir: string },
): string {
  const { ports, keeps, logDir } = options;
  const { proxied } = ports;
  const at = (name: string, port: number) => `${name}://127.0.0.1:${port}`;
  const listeners = [at("PLAINTEXT", ports.kafka), at("CONTROLLER", ports.controller)];
  const advertised = [at("PLAINTEXT", ports.kafka)];
  const protocols = ["PLAINTEXT:PLAINTEXT", "CONTROLLER:PLAINTEXT"];
  if (proxied !== undefined) {
    listeners.push(at("PROXIED", proxied.boundPort));
    advertised.push(at("PROXIED", proxied.advertisedPort));
    protocols.push("PROXIED:PLAINTEXT");
  }
  const settings = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.quorum.voters": `1@127.0.0.1:${ports.controller}`,
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAINTEXT",
    listeners: listeners.join(","),
    "advertised.listeners": advertised.join(","),
    "listener.security.protocol.map": protocols.join(","),
    "log.dirs": logDir,
    ...oneMachine,
    ...(keeps === "passing" && quickToTest),
  };
  return Object.entries(settings)
    .map(([name, value]) => `${name}=${value}\n`)
    .join("");
}

const oneMachine = {
  "default.replication.factor": "1",
  "min.insync.replicas": "1",
  "offsets.topic.replication.factor": "1",
  "offsets.topic.num.partitions": "8",
  "transaction.state.log.replication.factor": "1",
  "transaction.state.log.min.isr": "1",
  "transaction.state.log.num.partitions": "8",
  "share.coordinator.state.topic.replication.factor": "1",
  "share.coordinator.state.topic.min.isr": "1",
  "auto.create.topics.enable": "false",
  "unclean.leader.election.enable": "false",
  "group.initial.rebalance.delay.ms": "0",
  "log.cleaner.threads": "1",
  "log.cleaner.dedupe.buffer.size": String(32 * 1024 * 1024),
};

/** Compaction, retention, lost members and hung transactions are seen to within a second or so. */
const quickToTest = {
  "log.cleaner.backoff.ms": "1000",
  "log.initial.task.delay.ms": "100",
  "log.retention.check.interval.ms": "1000",
  "group.min.session.timeout.ms": "1000",
  "transaction.abort.timed.out.transaction.cleanup.interval.ms": "500",
};

/** Whole or not at all: the data gets its name, with the cluster's id for good, when it is complete. */
async function format(folder: Folder, options: KafkaOptions, signal: AbortSignal): Promise<void> {
  const half = "data/kafka.new";
  rmSync(join(folder.dir, half), { recursive: true, force: true });
  const config = writeConfig(folder, kafkaProperties({ ...options, logDir: half }));
  const args = ["format", "--config", config, "--cluster-id", newClusterId()];
  await runToEnd(
    folder,
    {
      ...javaProcess(folder, options, [
        ...["-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"],
        ...classPath(folder, options),
        ...["kafka.tools.StorageTool", ...args],
      ]),
      name: "kafka-format",
    },
    { message: "Kafka could not make its data folder", next: "" },
    signal,
  );
  renameSync(join(folder.dir, half), join(folder.data, "kafka"));
}

/** A UUID in Kafka's spelling, which does not begin with "-". */
function newClusterId(): string {
  return randomBytes(16).toString("base64url").replace(/^-/, "A");
}

function javaProcess(folder: Folder, { java }: KafkaOptions, args: readonly string[]) {
  return {
    stage: "kafka",
    command: join(java.home, "bin", "java"),
    args: [...javaDefaults(folder), ...args],
    env: plainEnvironment(process.env),
    cwd: folder.dir,
  } as const;
}

function classPath(folder: Folder, { jars }: KafkaOptions): readonly string[] {
  const logging = join(folder.run, "kafka-log4j2.properties");
  writeFileSync(logging, log4j2);
  // A class path is split at ":", which a relative path is least likely to hold.
  return [`-Dlog4j2.configurationFile=${logging}`, "-cp", join(relative(folder.dir, jars), "*")];
}

const log4j2 = `\
status=error
appender.out.type=Console
appender.out.name=out
appender.out.layout.type=PatternLayout
appender.out.layout.pattern=%d{ISO8601} %p %m (%c{1})%n
rootLogger.level=info
rootLogger.appenderRef.out.ref=out
`;

function writeConfig(folder: Folder, properties: string): string {
  const file = join(folder.run, "kafka.properties");
  writeFileSync(file, properties);
  return file;
}
