import { expect, test } from "vitest";
import { kafkaProperties } from "./kafka.ts";

const ports = { kafka: 1, controller: 2 };

function settings(options: Parameters<typeof kafkaProperties>[0]): ReadonlyMap<string, string> {
  const lines = kafkaProperties(options).trimEnd().split("\n");
  return new Map(lines.map((line) => line.split(/=(.*)/s).slice(0, 2) as [string, string]));
}

test("every listener is on 127.0.0.1", () => {
  const proxied = { boundPort: 3, advertisedPort: 4 };
  const kafka = settings({ ports: { ...ports, proxied }, keeps: "passing", logDir: "x" });
  const hosts = (name: string) =>
    (kafka.get(name) ?? "").split(",").map((url) => new URL(url).hostname);
  expect(new Set([...hosts("listeners"), ...hosts("advertised.listeners")])).toEqual(
    new Set(["127.0.0.1"]),
  );
});

test("the proxied listener is bound to one port and advertised at the other", () => {
  const proxied = { boundPort: 3, advertisedPort: 4 };
  const kafka = settings({ ports: { ...ports, proxied }, keeps: "passing", logDir: "x" });
  expect(kafka.get("listeners")).toContain("PROXIED://127.0.0.1:3");
  expect(kafka.get("advertised.listeners")).toContain("PROXIED://127.0.0.1:4");
});

test("what is kept for good has none of the haste of tests", () => {
  const kafka = settings({ ports, keeps: "lasting", logDir: "x" });
  expect(kafka.get("log.cleaner.backoff.ms")).toBeUndefined();
  expect(kafka.get("unclean.leader.election.enable")).toBe("false");
  expect(kafka.get("auto.create.topics.enable")).toBe("false");
});
