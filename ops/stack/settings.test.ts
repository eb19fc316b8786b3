import { createServer } from "node:net";
import { once } from "node:events";
import { execFileSync } from "node:child_process";
import { statSync } from "node:fs";
import { parseEnv } from "node:util";
import { expect, onTestFinished, test } from "vitest";
import { envFileText, writeEnvFile } from "./env-file.ts";
import { passwordsFor } from "./passwords.ts";
import { freePorts, requireFree } from "./ports.ts";
import { loadSettings } from "./settings.ts";
import { scratchFolder } from "./testing/scratch.ts";

const workers = ["account", "balances"];

test("without settings the usual ports are taken", () => {
  const { ports, metricsPort } = loadSettings({}, workers);
  expect({ ...ports, metricsPort }).toMatchObject({
    kafka: 9092,
    registry: 8081,
    postgres: 5432,
    metricsPort: 9464,
  });
});

test("every wrong port is named at once, with what it was", () => {
  const env = { FOLDLOG_KAFKA_PORT: "ninety", FOLDLOG_POSTGRES_PORT: "70000" };
  expect(() => loadSettings(env, workers)).toThrow(
    expect.objectContaining({
      exitCode: 2,
      evidence: [
        expect.stringContaining("FOLDLOG_KAFKA_PORT=ninety"),
        expect.stringContaining("FOLDLOG_POSTGRES_PORT=70000"),
      ],
    }),
  );
});

test.each([
  [
    { FOLDLOG_REGISTRY_PORT: "9465" },
    "FOLDLOG_METRICS_PORT (the metrics of balances) are both 9465",
  ],
  [{ FOLDLOG_METRICS_PORT: "65535" }, "no port for the metrics of balances"],
])("two that would get the same port, or none, are named: %o", (env, fault) => {
  expect(() => loadSettings(env, workers)).toThrow(
    expect.objectContaining({ evidence: [expect.stringContaining(fault)] }),
  );
});

test("a taken port is named with who wants it, who has it and what moves it", async () => {
  const server = createServer().listen(0, "127.0.0.1");
  onTestFinished(() => void server.close());
  await once(server, "listening");
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  const [free = 0] = await freePorts(1);

  const claims = [
    { port, owner: "Kafka", setting: "FOLDLOG_KAFKA_PORT" },
    { port: free, owner: "Postgres", setting: "FOLDLOG_POSTGRES_PORT" },
  ];
  const failure = expect(requireFree(claims, "/nowhere")).rejects;
  await failure.toMatchObject({
    message: expect.stringMatching(
      new RegExp(`port ${port}, for Kafka \\(FOLDLOG_KAFKA_PORT\\), is held by .*`),
    ) as string,
    next: expect.stringMatching(/FOLDLOG_KAFKA_PORT=\d+ npm start/) as string,
  });
});

test("a shell that sources the file gets every value as it was", () => {
  const nasty = ["plain", "a b", "it's", `"$HOME" \`id\``, "\\", "ż€", "line\nbreak", ""];
  const variables = Object.fromEntries(nasty.map((value, i) => [`V${i}`, value]));
  const print = nasty.map((_, i) => `printf '%s\\0' "$V${i}"`).join("; ");

  const script = `${envFileText(variables)}\nsh -c '${print.replaceAll("'", `'\\''`)}'`;
  const said = execFileSync("sh", ["-c", script], { encoding: "utf8" });

  expect(said.split("\0").slice(0, -1)).toEqual(nasty);
});

test("node --env-file reads the same addresses", () => {
  const addresses = { KAFKA_BROKERS: "127.0.0.1:9092", DATABASE_URL: "postgresql://a:b-_1@h:1/d" };
  expect(parseEnv(envFileText(addresses))).toEqual(addresses);
});

test("passwords stay what they were, a new role gets its own, and only their owner may read them", () => {
  const folder = scratchFolder();
  const first = passwordsFor(folder, ["a"]);
  const second = passwordsFor(folder, ["a", "b"]);
  writeEnvFile(folder.env, { X: "y" });

  expect(second["a"]).toBe(first["a"]);
  expect(second["b"]).toMatch(/^[\w-]{32}$/);
  expect(second["b"]).not.toBe(second["a"]);
  for (const file of [folder.passwords, folder.env])
    expect(statSync(file).mode & 0o777).toBe(0o600);
});
