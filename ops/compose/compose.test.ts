import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { workers } from "../../processors/workers.ts";
import type { Passwords } from "../stack/passwords.ts";
import { allRoles, secretsOf } from "./secrets.ts";

/** What holds docker-compose.yml to the rest of the repository; that it works is test/containers/. */

const composeFile = read("../../docker-compose.yml");
const prometheusFile = read("../prometheus/prometheus.yml");
const pom = read("../pom.xml");

function read(path: string): string {
  return readFileSync(new URL(path, import.meta.url), "utf8");
}

/** The text of each service, by its name. */
const services = new Map(
  (/^services:\n([^]*?)^volumes:/m.exec(composeFile)?.[1] ?? "")
    .split(/^ {2}(?=[\w-]+:$)/m)
    .slice(1)
    .map((text) => [text.slice(0, text.indexOf(":")), text]),
);
const workerNames = Object.keys(workers);
const projectorNames = workerNames.filter(
  (name) => workers[name as keyof typeof workers].kind === "projector",
);
const passwords: Passwords = Object.fromEntries(allRoles.map((role) => [role, `secret-${role}`]));

test("every worker is a service of its name", () => {
  for (const name of workerNames) expect(services.get(name)).toContain(`command: [${name}]`);
});

test("every worker is scraped, and asked by `foldlog status`", () => {
  const names = /names: \[(.*)\]/.exec(prometheusFile)?.[1]?.split(", ");
  expect(names).toEqual(expect.arrayContaining(workerNames));
  const urls = workerNames.map((name) => `http://${name}:9464/metrics`);
  for (const url of urls) expect(services.get("foldlog")).toContain(url);
});

test("every service that has secrets finds them in a volume of its own", () => {
  const folders = [...Object.keys(secretsOf(passwords)), "kafka"];
  const making = services.get("secrets");
  for (const folder of folders)
    expect(making).toContain(`- ${folder}-secrets:/secrets/${folder}\n`);
  for (const [name, text] of services) {
    if (name === "secrets") continue;
    const mounted = [...text.matchAll(/([\w-]+)-secrets:\/run\/foldlog:ro/g)].map(([, it]) => it);
    expect(mounted.length, name).toBeLessThan(2);
    if (projectorNames.includes(name)) expect(mounted).toEqual([name]);
  }
});

test("a projector gets its own password and no other", () => {
  for (const name of projectorNames) {
    const text = JSON.stringify(secretsOf(passwords)[name]);
    const known = allRoles.filter((role) => text.includes(`:secret-${role}@`));
    expect(known).toEqual([`projector_${name}`]);
  }
});

test("nothing is published beyond this machine, and every port can be moved", () => {
  const ports = [...composeFile.matchAll(/^ +ports: \["([^"]*)"\]$/gm)].map(([, port]) => port);
  expect(ports.length).toBe(composeFile.split("ports:").length - 1);
  for (const port of ports) {
    expect(port).toMatch(/^127\.0\.0\.1:\$\{FOLDLOG_[A-Z0-9_]+_PORT:-\d+\}:\d+$/);
  }
});

test("two clones do not meet: no container has a name that is fixed", () => {
  expect(composeFile).not.toMatch(/container_name|^name:/m);
});

test("containers run the same versions as `npm start`", () => {
  for (const [part, image] of [
    ["kafka", "apache/kafka"],
    ["apicurio", "apicurio/apicurio-registry"],
  ]) {
    const version = new RegExp(`<${String(part)}\\.version>([^<]+)<`).exec(pom)?.[1];
    expect(composeFile).toContain(`image: ${String(image)}:${String(version)}\n`);
  }
});
