import { randomBytes } from "node:crypto";
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { type Child, runToEnd, startChild, waitUntilReady } from "../../../ops/stack/child.ts";
import type { Folder } from "../../../ops/stack/folder.ts";
import { type Java, quickJava } from "../../../ops/stack/java.ts";
import { kafkaProcess, newClusterId, oneMachine, quickToTest } from "../../../ops/stack/kafka.ts";
import { freePorts } from "../../../ops/stack/ports.ts";
import { activeController, leaderOf } from "./cluster-roles.ts";
import type { Hosts, NetworkHost } from "./hosts.ts";
import type { Endpoint } from "./proxies.ts";

/** Brokers that are a quorum of controllers too, each a process, in a network host where there are any. */
export interface Cluster {
  readonly brokers: readonly ClusterBroker[];
  /** For those who go straight to the brokers: checkers, load, operators. */
  readonly bootstrap: string;
  /** For workers in a host with proxies of their own. */
  readonly proxiedBootstrap: string;
  /** The number of the broker that leads this partition now; `null` where none does or none answers. */
  leaderOf(topic: string, partition: number): Promise<number | null>;
  /** The number of the active controller; `null` while there is none. */
  controller(): Promise<number | null>;
}

export interface ClusterBroker {
  /** 1, 2 or 3. */
  readonly number: number;
  /** `null` where brokers run on the machine itself. */
  readonly host: NetworkHost | null;
  /** Where it listens for those who go straight to it. */
  readonly direct: Endpoint;
  /** It sends workers to `listen`, in a host of theirs, where a proxy passes on to `to`. */
  readonly proxied: { readonly listen: Endpoint; readonly to: Endpoint };
  readonly logDir: string;
  /** Of its pid file and its log. */
  readonly childName: string;
  /** Comes back when it serves requests: of three, the first waits for a second. */
  start(signal: AbortSignal): Promise<Child>;
}

export interface ClusterOptions {
  readonly folder: Folder;
  readonly java: Java;
  readonly jars: string;
  /** Of three any one may be lost: RF 3, min ISR 2. */
  readonly brokers: 1 | 3;
  /** None: all on 127.0.0.1, and nothing can come between them. */
  readonly hosts: Hosts | null;
  /** Where a broker of that number keeps its log, if not in the folder: an empty disk, for example. */
  readonly logDirs?: Readonly<Record<number, string>>;
  /** Beyond those of every broker of a test, for example "transactional.id.expiration.ms". */
  readonly properties?: Readonly<Record<string, string>>;
}

interface Place {
  readonly number: number;
  readonly host: NetworkHost | null;
  readonly address: string;
  readonly ports: Ports;
  readonly advertisedPort: number;
  readonly logDir: string;
}

interface Ports {
  readonly direct: number;
  readonly controller: number;
  readonly internal: number;
  readonly proxied: number;
}

/** Makes the brokers' hosts and data folders; each is then started by its own `start`. */
export async function prepareCluster(
  options: ClusterOptions,
  signal: AbortSignal,
): Promise<Cluster> {
  const places = await placesOf(options);
  await format(options, places, signal);
  const bootstrap = places.map(({ address, ports }) => `${address}:${ports.direct}`).join(",");
  return {
    brokers: places.map((place) => brokerAt(options, places, place)),
    bootstrap,
    proxiedBootstrap: places.map((it) => `127.0.0.1:${it.advertisedPort}`).join(","),
    leaderOf: (topic, partition) => leaderOf(bootstrap, { topic, partition }),
    controller: () => activeController(bootstrap),
  };
}

const portsInHost: Ports = { direct: 9092, controller: 9093, internal: 9094, proxied: 9095 };

async function placesOf({ brokers, folder, hosts, logDirs }: ClusterOptions): Promise<Place[]> {
  const chosen = [...(await freePorts(5 * brokers))];
  const places: Place[] = [];
  for (let number = 1; number <= brokers; number++) {
    const [direct = 0, controller = 0, internal = 0, proxied = 0, advertised = 0] = chosen.splice(
      0,
      5,
    );
    const host = hosts === null ? null : await hosts.addHost(`broker/${number}`);
    places.push({
      number,
      host,
      address: host?.address ?? "127.0.0.1",
      ports: host === null ? { direct, controller, internal, proxied } : portsInHost,
      advertisedPort: advertised,
      logDir: logDirs?.[number] ?? join(folder.data, `broker-${number}`),
    });
  }
  return places;
}

function brokerAt(options: ClusterOptions, places: readonly Place[], place: Place): ClusterBroker {
  const { folder } = options;
  const { number, host, address, ports, advertisedPort, logDir } = place;
  const childName = `broker-${number}`;
  return {
    number,
    host,
    direct: { host: address, port: ports.direct },
    proxied: {
      listen: { host: "127.0.0.1", port: advertisedPort },
      to: { host: address, port: ports.proxied },
    },
    logDir,
    childName,
    async start(signal) {
      const config = writeConfig(options, places, place);
      const args = ["-Xms128m", "-Xmx384m", ...quickJava, "kafka.Kafka", config];
      const broker = kafkaProcess(folder, options, { name: childName, args, archive: "kafka" });
      const [command, ...rest] = [...(host?.enter ?? []), broker.command, ...broker.args] as const;
      const child = await startChild(folder, { ...broker, command: command ?? "", args: rest });
      const isReady = () => child.output().includes("Kafka Server started");
      await waitUntilReady(child, isReady, { label: childName, withinMs: 240_000, signal });
      return child;
    },
  };
}

/**
 * Once, and then copied for the others with names of their own: a JVM for each would take a second of both
 * cores. What is there already is kept.
 */
async function format(
  options: ClusterOptions,
  places: readonly Place[],
  signal: AbortSignal,
): Promise<void> {
  const [first, ...others] = places;
  if (first === undefined || existsSync(join(first.logDir, propertiesName))) return;
  mkdirSync(first.logDir, { recursive: true });
  const config = writeConfig(options, places, first);
  const tool = ["-Xmx128m", ...quickJava, "kafka.tools.StorageTool"];
  const args = [...tool, "format", "--config", config, "--cluster-id", newClusterId()];
  const { folder } = options;
  await runToEnd(
    folder,
    kafkaProcess(folder, options, { name: "kafka-format", args }),
    { message: "Kafka could not make its data folder" },
    signal,
  );
  for (const { number, logDir } of others) {
    mkdirSync(logDir, { recursive: true });
    for (const name of readdirSync(first.logDir)) {
      cpSync(join(first.logDir, name), join(logDir, name), { recursive: true });
    }
    const properties = join(logDir, propertiesName);
    const own = readFileSync(properties, "utf8")
      .replace(/^node\.id=.*$/m, `node.id=${number}`)
      .replace(/^directory\.id=.*$/m, `directory.id=${newDirectoryId()}`);
    writeFileSync(properties, own);
  }
}

const propertiesName = "meta.properties";

function newDirectoryId(): string {
  return randomBytes(16).toString("base64url").replace(/^-/, "A");
}

function writeConfig(options: ClusterOptions, places: readonly Place[], place: Place): string {
  const { folder, jars } = options;
  const file = join(folder.run, `broker-${place.number}.properties`);
  mkdirSync(dirname(file), { recursive: true });
  const lines = Object.entries(settingsOf(options, places, place));
  writeFileSync(file, lines.map(([name, value]) => `${name}=${value}\n`).join(""));
  return relative(jars, file);
}

function settingsOf(
  { brokers, properties, jars }: ClusterOptions,
  places: readonly Place[],
  { number, address, ports, advertisedPort, logDir }: Place,
): Readonly<Record<string, string>> {
  const own = {
    DIRECT: `${address}:${ports.direct}`,
    INTERNAL: `${address}:${ports.internal}`,
    PROXIED: `${address}:${ports.proxied}`,
    CONTROLLER: `${address}:${ports.controller}`,
  };
  const advertised = [
    `DIRECT://${own.DIRECT}`,
    `INTERNAL://${own.INTERNAL}`,
    `PROXIED://127.0.0.1:${advertisedPort}`,
  ];
  const voters = places.map((it) => `${it.number}@${it.address}:${it.ports.controller}`);
  const all = Object.entries(own);
  return {
    "process.roles": "broker,controller",
    "node.id": String(number),
    "controller.quorum.voters": voters.join(","),
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "INTERNAL",
    listeners: all.map(([name, at]) => `${name}://${at}`).join(","),
    "advertised.listeners": advertised.join(","),
    "listener.security.protocol.map": all.map(([name]) => `${name}:PLAINTEXT`).join(","),
    "log.dirs": relative(jars, logDir),
    ...oneMachine,
    ...quickToTest,
    ...(brokers === 3 && threeReplicas),
    ...properties,
  };
}

const threeReplicas = {
  "default.replication.factor": "3",
  "min.insync.replicas": "2",
  "offsets.topic.replication.factor": "3",
  "transaction.state.log.replication.factor": "3",
  "transaction.state.log.min.isr": "2",
  "share.coordinator.state.topic.replication.factor": "3",
  "share.coordinator.state.topic.min.isr": "2",
  // A broker that is gone is missed sooner than after the usual 9 s, and one that lags sooner than after 30.
  "broker.session.timeout.ms": "6000",
  "broker.heartbeat.interval.ms": "1000",
  "replica.lag.time.max.ms": "10000",
  // Three that start at once on two busy cores: after the usual 60 s one that is not registered yet gives up. The
  // times of elections stay as they are, since a new controller is waited for as long as those say.
  "initial.broker.registration.timeout.ms": "600000",
};
