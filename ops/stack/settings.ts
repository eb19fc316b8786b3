import { fileURLToPath } from "node:url";
import type { PortClaim } from "./ports.ts";
import { SetupError } from "./setup-error.ts";
import type { StackPorts } from "./stack.ts";

/** What a user may set for the local stack. */
export interface Settings {
  readonly dir: string;
  readonly ports: StackPorts;
  /** The first of as many ports as there are workers. */
  readonly metricsPort: number;
  /** Of the gateway. */
  readonly apiPort: number;
}

/** Every setting, in the order in which --help shows them. */
const portSettings = {
  FOLDLOG_KAFKA_PORT: { default: 9092, owner: "Kafka" },
  FOLDLOG_CONTROLLER_PORT: { default: 9093, owner: "Kafka's controller" },
  FOLDLOG_REGISTRY_PORT: { default: 8081, owner: "the schema registry" },
  FOLDLOG_REGISTRY_MANAGEMENT_PORT: { default: 8082, owner: "the registry's own health checks" },
  FOLDLOG_POSTGRES_PORT: { default: 5432, owner: "Postgres" },
  FOLDLOG_API_PORT: { default: 8080, owner: "the HTTP gateway" },
  FOLDLOG_METRICS_PORT: { default: 9464, owner: "the workers' metrics" },
} as const;

type PortSetting = keyof typeof portSettings;

/**
 * Reads the settings from the environment; a worker takes the metrics port plus its place in `workers`.
 * @throws SetupError that names every fault at once
 */
export function loadSettings(env: NodeJS.ProcessEnv, workers: readonly string[]): Settings {
  const faults: string[] = [];
  const port = (name: PortSetting): number => {
    const text = env[name] ?? "";
    if (text === "") return portSettings[name].default;
    const value = /^\d{1,5}$/.test(text) ? Number(text) : 0;
    if (value < 1 || value > 65_535) {
      faults.push(`${name}=${text} is not a port: a number from 1 to 65535, for example 19092.`);
    }
    return value;
  };
  const settings: Settings = {
    dir: folderSetting(env),
    ports: {
      kafka: port("FOLDLOG_KAFKA_PORT"),
      controller: port("FOLDLOG_CONTROLLER_PORT"),
      registry: port("FOLDLOG_REGISTRY_PORT"),
      registryManagement: port("FOLDLOG_REGISTRY_MANAGEMENT_PORT"),
      postgres: port("FOLDLOG_POSTGRES_PORT"),
    },
    metricsPort: port("FOLDLOG_METRICS_PORT"),
    apiPort: port("FOLDLOG_API_PORT"),
  };
  if (faults.length === 0) faults.push(...sharedPorts(portClaims(settings, workers)));
  if (faults.length === 0) return settings;
  throw new SetupError("The settings cannot be used:", {
    evidence: faults,
    next: "All settings: npm start -- --help",
    exitCode: 2,
  });
}

/** `FOLDLOG_DIR`, else `.foldlog` in the repository. */
export function folderSetting(env: NodeJS.ProcessEnv): string {
  const dir = env["FOLDLOG_DIR"] ?? "";
  return dir === "" ? fileURLToPath(new URL("../../.foldlog", import.meta.url)) : dir;
}

/** Every port that the stack and these workers will listen on. */
export function portClaims(settings: Settings, workers: readonly string[]): readonly PortClaim[] {
  const { ports, metricsPort, apiPort } = settings;
  const claim = (
    setting: PortSetting,
    port: number,
    owner: string = portSettings[setting].owner,
  ) => ({
    port,
    owner,
    setting,
  });
  return [
    claim("FOLDLOG_KAFKA_PORT", ports.kafka),
    claim("FOLDLOG_CONTROLLER_PORT", ports.controller),
    claim("FOLDLOG_REGISTRY_PORT", ports.registry),
    claim("FOLDLOG_REGISTRY_MANAGEMENT_PORT", ports.registryManagement),
    claim("FOLDLOG_POSTGRES_PORT", ports.postgres),
    ...(workers.includes("gateway") ? [claim("FOLDLOG_API_PORT", apiPort)] : []),
    ...workers.map((worker, i) =>
      claim("FOLDLOG_METRICS_PORT", metricsPort + i, `the metrics of ${worker}`),
    ),
  ];
}

/** The settings as --help shows them. */
export function settingsHelp(): string {
  const rows = Object.entries(portSettings).map(
    ([name, { default: port, owner }]) => [name, String(port), `port of ${owner}`] as const,
  );
  return [
    ["FOLDLOG_DIR", ".foldlog", "the folder of all data, logs and downloads"] as const,
    ...rows,
  ]
    .map(([name, standard, meaning]) => `  ${name.padEnd(34)}${standard.padEnd(10)}${meaning}`)
    .join("\n");
}

function sharedPorts(claims: readonly PortClaim[]): readonly string[] {
  return claims.flatMap((claim, i) => {
    if (claim.port > 65_535) {
      return [`${claim.setting} leaves no port for ${claim.owner}: ${claim.port} is beyond 65535.`];
    }
    const earlier = claims.slice(0, i).find((other) => other.port === claim.port);
    if (earlier === undefined) return [];
    const [a, b] = [earlier, claim].map(({ setting, owner }) => `${setting} (${owner})`);
    return [`${String(a)} and ${String(b)} are both ${claim.port}.`];
  });
}
