import { readFileSync } from "node:fs";
import { z } from "zod";
import type { KafkaConfig } from "./kafka/kafkajs.ts";

/** The only reader of settings. They come from the environment alone; every fault is reported at once. */

interface Setting {
  readonly name: string;
  readonly meaning: string;
  readonly example: string;
  /** Its value where it is not set; a setting without one is required where it is needed. */
  readonly fallback?: string;
  /** May be given as a file by `<name>_FILE`, and is never printed. */
  readonly secret?: true;
}

/** Every setting of a worker and of the command line, with its unit in its name where it has one. */
export const settings = [
  {
    name: "KAFKA_BROKERS",
    meaning: "where to find the cluster",
    example: "127.0.0.1:9092,other:9092",
  },
  {
    name: "KAFKA_CLIENT_ID",
    meaning: "how the brokers' logs name this client",
    example: "bank",
    fallback: "foldlog",
  },
  { name: "KAFKA_TLS", meaning: "encrypt: true or false", example: "true", fallback: "false" },
  {
    name: "KAFKA_TLS_CA_FILE",
    meaning: "the authority to trust, PEM",
    example: "/etc/kafka/ca.pem",
    fallback: "",
  },
  {
    name: "KAFKA_TLS_CERT_FILE",
    meaning: "this client's certificate, PEM",
    example: "/etc/kafka/me.pem",
    fallback: "",
  },
  {
    name: "KAFKA_TLS_KEY_FILE",
    meaning: "its key, PEM",
    example: "/etc/kafka/me.key",
    fallback: "",
  },
  {
    name: "KAFKA_SASL_MECHANISM",
    meaning: "plain, scram-sha-256 or scram-sha-512",
    example: "scram-sha-512",
    fallback: "",
  },
  {
    name: "KAFKA_SASL_USERNAME",
    meaning: "the principal",
    example: "account-worker",
    fallback: "",
  },
  {
    name: "KAFKA_SASL_PASSWORD",
    meaning: "its password",
    example: "…",
    fallback: "",
    secret: true,
  },
  {
    name: "SCHEMA_REGISTRY_URL",
    meaning: "the Confluent API of a schema registry",
    example: "http://127.0.0.1:8081/apis/ccompat/v7",
  },
  {
    name: "SCHEMA_IDS_FILE",
    meaning: "where this deployment keeps its schema ids",
    example: "schema-ids.json",
    fallback: "",
  },
  {
    name: "DATABASE_URL",
    meaning: "Postgres, as a projector's own role or the owner",
    example: "postgres://projector_balances:…@127.0.0.1/foldlog",
    secret: true,
  },
  {
    name: "DATABASE_READ_URL",
    meaning: "Postgres, as the role that only reads",
    example: "postgres://foldlog_reader:…@127.0.0.1/foldlog",
    secret: true,
  },
  {
    name: "FOLDLOG_STATE_DIR",
    meaning: "where local stores are kept",
    example: "/var/lib/foldlog",
    fallback: ".foldlog/state",
  },
  {
    name: "FOLDLOG_METRICS_HOST",
    meaning: "where /metrics, /livez and /readyz listen",
    example: "0.0.0.0",
    fallback: "127.0.0.1",
  },
  {
    name: "FOLDLOG_METRICS_PORT",
    meaning: "and at which port; 0 takes any",
    example: "9464",
    fallback: "9464",
  },
  {
    name: "FOLDLOG_API_HOST",
    meaning: "where the gateway listens",
    example: "0.0.0.0",
    fallback: "127.0.0.1",
  },
  {
    name: "FOLDLOG_API_PORT",
    meaning: "and at which port; 0 takes any",
    example: "8080",
    fallback: "8080",
  },
  {
    name: "FOLDLOG_ERA",
    meaning: "a whole number, one more each time that the log moves to another cluster",
    example: "2",
    fallback: "1",
  },
  {
    name: "FOLDLOG_REPLICATION_FACTOR",
    meaning: "replicas of each topic",
    example: "3",
    fallback: "3",
  },
  {
    name: "FOLDLOG_UNKNOWN_SCHEMA_WAIT_MS",
    meaning: "how long a schema id may be unknown until its records are dead letters",
    example: "30000",
    fallback: "30000",
  },
  {
    name: "LOG_LEVEL",
    meaning: "trace, debug, info, warn, error or fatal",
    example: "debug",
    fallback: "info",
  },
] as const satisfies readonly Setting[];

/** The name of an environment variable that Foldlog reads. */
export type SettingName = (typeof settings)[number]["name"];

/** The settings of a process, read and checked. Durations are in milliseconds. */
export interface Config {
  readonly kafka: KafkaConfig;
  readonly registry: { readonly url: string; readonly idsFile: string | null };
  /** `null` where it was not asked for. */
  readonly databaseUrl: string | null;
  readonly databaseReadUrl: string | null;
  readonly stateDir: string;
  readonly metrics: { readonly host: string; readonly port: number };
  readonly api: { readonly host: string; readonly port: number };
  readonly era: number;
  readonly replicationFactor: number;
  readonly unknownSchemaWaitMs: number;
  readonly logLevel: string;
}

/** What is wrong with the environment, all of it, in sentences that name the variable. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
  readonly problems: readonly string[];
  constructor(problems: readonly string[]) {
    super(`The settings are not complete:\n${problems.map((it) => `  ${it}`).join("\n")}`);
    this.problems = problems;
  }
}

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Reads the settings that are needed beyond those with a fallback.
 * @throws ConfigError with every fault
 */
export function loadConfig(env: Environment, needed: readonly SettingName[]): Config {
  const problems: string[] = [];
  const values = new Map<string, string>();
  for (const setting of settings as readonly Setting[]) {
    const value = valueOf(env, setting, problems);
    if (value !== null && value !== "") values.set(setting.name, value);
    else if (needed.includes(setting.name as SettingName)) {
      problems.push(
        `${setting.name} is not set: ${setting.meaning}, for example ${setting.example}`,
      );
    }
  }
  const read = <T>(name: SettingName, schema: z.ZodType<T>): T | undefined => {
    const value = values.get(name);
    if (value === undefined) return undefined;
    const parsed = schema.safeParse(value);
    if (parsed.success) return parsed.data;
    const { secret, example, meaning } = settings.find((it) => it.name === name) as Setting;
    const got = secret ? "a value" : JSON.stringify(value);
    problems.push(`${name} is ${got}, which is not ${meaning}, for example ${example}`);
    return undefined;
  };

  const config: Config = {
    kafka: {
      brokers: read("KAFKA_BROKERS", brokers) ?? [],
      clientId: values.get("KAFKA_CLIENT_ID") ?? "foldlog",
      tls: read("KAFKA_TLS", flag) === true ? tlsFrom(values, problems) : null,
      sasl: saslFrom(read("KAFKA_SASL_MECHANISM", mechanism), values, problems),
    },
    registry: {
      url: read("SCHEMA_REGISTRY_URL", url(["http:", "https:"])) ?? "",
      idsFile: values.get("SCHEMA_IDS_FILE") ?? null,
    },
    databaseUrl: read("DATABASE_URL", url(["postgres:", "postgresql:"])) ?? null,
    databaseReadUrl: read("DATABASE_READ_URL", url(["postgres:", "postgresql:"])) ?? null,
    stateDir: values.get("FOLDLOG_STATE_DIR") ?? "",
    metrics: {
      host: values.get("FOLDLOG_METRICS_HOST") ?? "",
      port: read("FOLDLOG_METRICS_PORT", whole(0, 65_535)) ?? 0,
    },
    api: {
      host: values.get("FOLDLOG_API_HOST") ?? "",
      port: read("FOLDLOG_API_PORT", whole(0, 65_535)) ?? 0,
    },
    era: read("FOLDLOG_ERA", whole(1, 1_000_000)) ?? 1,
    replicationFactor: read("FOLDLOG_REPLICATION_FACTOR", whole(1, 32)) ?? 3,
    unknownSchemaWaitMs: read("FOLDLOG_UNKNOWN_SCHEMA_WAIT_MS", whole(0, 3_600_000)) ?? 30_000,
    logLevel: read("LOG_LEVEL", logLevel) ?? "info",
  };
  if (problems.length > 0) throw new ConfigError(problems);
  return config;
}

/** The settings in force as they may be printed: secrets and passwords in addresses are left out. */
export function printable(env: Environment): Readonly<Record<string, string>> {
  const shown: Record<string, string> = {};
  for (const setting of settings as readonly Setting[]) {
    const value = env[setting.name] ?? setting.fallback;
    if (value === undefined || value === "") continue;
    // Not by what it looks like: a password may look like an address.
    const isAddress = setting.name.endsWith("_URL");
    if (isAddress) shown[setting.name] = withoutSecrets(value);
    else shown[setting.name] = setting.secret ? hidden : value;
  }
  return shown;
}

const hidden = "***";

/** Where it leads: a password may stand in the query too, and a user without one may be a token. */
function withoutSecrets(value: string): string {
  const address = URL.parse(value);
  if (address === null || address.host === "") return hidden;
  if (address.password !== "") address.password = hidden;
  else if (address.username !== "") address.username = hidden;
  address.search = "";
  address.hash = "";
  return address.href;
}

function valueOf(env: Environment, setting: Setting, problems: string[]): string | null {
  const { name, fallback, secret } = setting;
  const file = secret ? env[`${name}_FILE`] : undefined;
  if (file === undefined || file === "") return env[name] ?? fallback ?? null;
  return readText(file, `${name}_FILE`, problems)?.trim() ?? null;
}

function readText(file: string, name: string, problems: string[]): string | null {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    problems.push(`${name} names ${file}, which cannot be read: ${(error as Error).message}`);
    return null;
  }
}

function tlsFrom(values: ReadonlyMap<string, string>, problems: string[]): KafkaConfig["tls"] {
  const pem = (name: SettingName) => {
    const file = values.get(name);
    return file === undefined ? null : readText(file, name, problems);
  };
  const [ca, cert, key] = [
    pem("KAFKA_TLS_CA_FILE"),
    pem("KAFKA_TLS_CERT_FILE"),
    pem("KAFKA_TLS_KEY_FILE"),
  ];
  return { ...(ca && { ca }), ...(cert && { cert }), ...(key && { key }) };
}

function saslFrom(
  mechanism: NonNullable<KafkaConfig["sasl"]>["mechanism"] | undefined,
  values: ReadonlyMap<string, string>,
  problems: string[],
): KafkaConfig["sasl"] {
  if (mechanism === undefined) return null;
  const username = values.get("KAFKA_SASL_USERNAME");
  const password = values.get("KAFKA_SASL_PASSWORD");
  if (username === undefined || password === undefined) {
    problems.push(
      "KAFKA_SASL_MECHANISM is set, so KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD (or KAFKA_SASL_PASSWORD_FILE) must be",
    );
    return null;
  }
  return { mechanism, username, password };
}

const brokers = z
  .string()
  .transform((list) => list.split(",").map((it) => it.trim()))
  .refine((list) => list.every((it) => /^[^\s:/]+:\d{1,5}$/.test(it)));
const flag = z.enum(["true", "false"]).transform((it) => it === "true");
const mechanism = z.enum(["plain", "scram-sha-256", "scram-sha-512"]);
const logLevel = z.enum(["trace", "debug", "info", "warn", "error", "fatal"]);
const url = (protocols: readonly string[]) =>
  z.string().refine((it) => URL.canParse(it) && protocols.includes(new URL(it).protocol));
const whole = (least: number, most: number) =>
  z
    .string()
    .regex(/^\d+$/)
    .transform(Number)
    .refine((it) => it >= least && it <= most);
