import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { ConfigError, loadConfig, printable, settings } from "./config.ts";

const folder = mkdtempSync(join(tmpdir(), "foldlog-config-"));
afterAll(() => {
  rmSync(folder, { recursive: true });
});
const file = (name: string, text: string) => {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
};
const worker = ["KAFKA_BROKERS", "SCHEMA_REGISTRY_URL"] as const;
const least = {
  KAFKA_BROKERS: "a:9092, b:9093",
  SCHEMA_REGISTRY_URL: "http://registry:8081/apis/ccompat/v7",
};
const problemsOf = (
  env: Record<string, string>,
  needed: Parameters<typeof loadConfig>[1] = worker,
) => {
  try {
    loadConfig(env, needed);
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  return [];
};

test("what is not set has its fallback", () => {
  const config = loadConfig(least, worker);
  expect(config.kafka).toEqual({
    brokers: ["a:9092", "b:9093"],
    clientId: "foldlog",
    tls: null,
    sasl: null,
  });
  expect(config).toMatchObject({
    databaseUrl: null,
    stateDir: ".foldlog/state",
    metrics: { host: "127.0.0.1", port: 9464 },
    replicationFactor: 3,
    unknownSchemaWaitMs: 30_000,
    logLevel: "info",
  });
});

test("every fault is told at once, with the name, what was found and an example", () => {
  const problems = problemsOf(
    {
      KAFKA_BROKERS: "localhost",
      FOLDLOG_METRICS_PORT: "70000",
      LOG_LEVEL: "loud",
      KAFKA_TLS: "yes",
    },
    [...worker, "DATABASE_URL"],
  );
  expect(problems).toHaveLength(6);
  expect(problems.join("\n")).toContain('KAFKA_BROKERS is "localhost"');
  expect(problems.join("\n")).toContain("for example 127.0.0.1:9092");
  for (const name of [
    "SCHEMA_REGISTRY_URL is not set",
    "DATABASE_URL is not set",
    "FOLDLOG_METRICS_PORT",
    "LOG_LEVEL",
    "KAFKA_TLS",
  ]) {
    expect(problems.some((it) => it.startsWith(name))).toBe(true);
  }
});

test("an empty variable counts as not set", () => {
  expect(problemsOf({ ...least, KAFKA_BROKERS: "" })).toHaveLength(1);
  expect(loadConfig({ ...least, LOG_LEVEL: "" }, worker).logLevel).toBe("info");
});

test("a secret may be a file, and a file that cannot be read is told", () => {
  const DATABASE_URL_FILE = file("url", "postgres://me:secret@db/foldlog\n");
  const config = loadConfig({ ...least, DATABASE_URL_FILE }, [...worker, "DATABASE_URL"]);
  expect(config.databaseUrl).toBe("postgres://me:secret@db/foldlog");
  const missing = { ...least, DATABASE_URL_FILE: join(folder, "missing") };
  expect(problemsOf(missing, [...worker, "DATABASE_URL"])[0]).toContain("cannot be read");
});

test("SASL wants a user and a password, and TLS takes its files", () => {
  const sasl = { ...least, KAFKA_SASL_MECHANISM: "scram-sha-512" };
  expect(problemsOf(sasl)).toHaveLength(1);
  const full = {
    ...sasl,
    KAFKA_SASL_USERNAME: "me",
    KAFKA_SASL_PASSWORD: "secret",
    KAFKA_TLS: "true",
    KAFKA_TLS_CA_FILE: file("ca.pem", "CA"),
  };
  expect(loadConfig(full, worker).kafka).toMatchObject({
    sasl: { mechanism: "scram-sha-512", username: "me", password: "secret" },
    tls: { ca: "CA" },
  });
});

test("no secret is ever printed, neither whole nor in an address nor in a fault", () => {
  const env = {
    KAFKA_BROKERS: "a:9092",
    KAFKA_SASL_PASSWORD: "canary1",
    SCHEMA_REGISTRY_URL: "http://me:canary2@registry:8081",
    DATABASE_URL: "postgres://me:canary3@db/foldlog",
    DATABASE_READ_URL: "canary4",
  };
  const printed = JSON.stringify(printable(env));
  expect(printed).toContain("registry:8081");
  expect(printed).toContain("postgres://me:***@db/foldlog");
  expect(printed + problemsOf(env, [...worker, "DATABASE_READ_URL"]).join("\n")).not.toMatch(
    /canary/,
  );
});

test("a secret is not printed whatever it looks like", () => {
  expect(
    printable({
      KAFKA_SASL_PASSWORD: "aB3:x9!k",
      DATABASE_URL: "postgres://me@db/foldlog?password=s3cret#s3cret",
      DATABASE_READ_URL: "postgres:s3cret@db",
      SCHEMA_REGISTRY_URL: "https://t0ken@registry:8081/ccompat",
    }),
  ).toMatchObject({
    KAFKA_SASL_PASSWORD: "***",
    DATABASE_URL: "postgres://***@db/foldlog",
    SCHEMA_REGISTRY_URL: "https://***@registry:8081/ccompat",
  });
  expect(JSON.stringify(printable({ DATABASE_READ_URL: "postgres:s3cret@db" }))).not.toMatch(
    /s3cret/,
  );
});

test("every setting says what it means and gives an example that is taken", () => {
  for (const { name, meaning, example } of settings) {
    expect(meaning).not.toBe("");
    if (name.endsWith("_FILE") || name.startsWith("KAFKA_SASL")) continue;
    expect(problemsOf({ ...least, [name]: example })).toEqual([]);
  }
});
