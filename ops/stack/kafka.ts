import { randomBytes } from "node:crypto";
import { existsSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { type Child, plainEnvironment, runToEnd, startChild, waitUntilReady } from "./child.ts";
import type { Folder } from "./folder.ts";
import { type Java, javaOptions, quickJava } from "./java.ts";

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
  const data = join(folder.data, "kafka");
  if (!existsSync(data)) await format(folder, options, signal);
  const config = writeConfig(folder, options, data);
  const jvm = ["-Xms256m", "-Xmx512m", ...(options.keeps === "passing" ? quickJava : [])];
  const child = await startChild(
    folder,
    kafkaProcess(folder, options, { name: "kafka", args: [...jvm, "kafka.Kafka", config] }),
  );
  // Its last word on the way up: controller elected, broker unfenced, requests served.
  const isReady = () => child.output().includes("Kafka Server started");
  await waitUntilReady(child, isReady, { label: "Kafka", withinMs: 120_000, signal });
  return child;
}

/** The broker's settings. */
export function kafkaProperties(
  options: Pick<KafkaOptions, "ports" | "keeps"> & {
    /** Relative, for a comma or a letter beyond ASCII in the whole path would mislead Kafka. */
    readonly logDir: string;
  },
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

/** What every broker on one machine is set to, alone or not. */
export const oneMachine = {
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
export const quickToTest = {
  "log.cleaner.backoff.ms": "1000",
  "log.initial.task.delay.ms": "100",
  "log.retention.check.interval.ms": "1000",
  "group.min.session.timeout.ms": "1000",
  "transaction.abort.timed.out.transaction.cleanup.interval.ms": "500",
};

/** Whole or not at all: the data gets its name, with the cluster's id for good, when it is complete. */
async function format(folder: Folder, options: KafkaOptions, signal: AbortSignal): Promise<void> {
  const half = join(folder.data, "kafka.new");
  rmSync(half, { recursive: true, force: true });
  const config = writeConfig(folder, options, half);
  const tool = ["-Xmx128m", ...quickJava, "kafka.tools.StorageTool"];
  const args = ["format", "--config", config, "--cluster-id", newClusterId()];
  await runToEnd(
    folder,
    kafkaProcess(folder, options, { name: "kafka-format", args: [...tool, ...args] }),
    { message: "Kafka could not make its data folder" },
    signal,
  );
  renameSync(half, join(folder.data, "kafka"));
}

/** A UUID in Kafka's spelling, which does not begin with "-". */
export function newClusterId(): string {
  return randomBytes(16).toString("base64url").replace(/^-/, "A");
}

/**
 * A program among Kafka's own. It runs where the jars are, so that the class path and all paths in the settings
 * are short and relative. Programs with the same classes share an archive of them.
 */
export function kafkaProcess(
  folder: Folder,
  { java, jars }: Pick<KafkaOptions, "java" | "jars">,
  of: { readonly name: string; readonly args: readonly string[]; readonly archive?: string },
) {
  const { name, args, archive = name } = of;
  const logging = join(folder.run, "kafka-log4j2.properties");
  writeFileSync(logging, log4j2);
  const common = [
    ...javaOptions(folder, `../${archive}.jsa`),
    `-Dlog4j2.configurationFile=${relative(jars, logging)}`,
    ...["-cp", "*"],
  ];
  return {
    name,
    stage: "kafka",
    command: join(java.home, "bin", "java"),
    args: [...common, ...args],
    env: plainEnvironment(process.env),
    cwd: jars,
  } as const;
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

function writeConfig(folder: Folder, options: KafkaOptions, data: string): string {
  const file = join(folder.run, "kafka.properties");
  writeFileSync(file, kafkaProperties({ ...options, logDir: relative(options.jars, data) }));
  return relative(options.jars, file);
}
