import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, rmSync } from "node:fs";
import { Socket } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { TestProject } from "vitest/node";
import { checklistOn } from "../ops/stack/checklist.ts";
import { folderAt, openFolder } from "../ops/stack/folder.ts";
import type { ProxiedPorts } from "../ops/stack/kafka.ts";
import { ensureParts } from "../ops/stack/parts.ts";
import { processWith } from "../ops/stack/process-id.ts";
import { endRunning } from "../ops/stack/running.ts";
import { folderSetting } from "../ops/stack/settings.ts";
import { explain } from "../ops/stack/setup-error.ts";
import { chooseFreePorts, type Stack, startStack } from "../ops/stack/stack.ts";
import { whyNoContainers } from "./containers/docker.ts";

declare module "vitest" {
  interface ProvidedContext {
    /** The broker's own listener, for example "127.0.0.1:19092". */
    readonly kafkaBrokers: string;
    /**
     * The broker's second listener: bound to one port, advertised at another. Nobody listens on the second
     * one: a test starts a fault proxy there that forwards to the first, and gives its client
     * `127.0.0.1:<advertisedPort>` as the broker.
     */
    readonly kafkaProxied: ProxiedPorts;
    /** The registry's Confluent API. */
    readonly registryUrl: string;
    /** The database `postgres`, as the superuser `postgres`. */
    readonly postgresUrl: string;
    /** The database `foldlog`, as its owner `foldlog_owner`. */
    readonly databaseUrl: string;
    /** Why the project `containers` has none, and skips its tests; `null` where it has. */
    readonly whyNoContainers: string | null;
  }
}

/**
 * Starts a broker, a registry and a Postgres of this test run's own, on free ports and with empty data, and
 * tells the tests where they are (`inject("kafkaBrokers")`): as containers for the project `containers`, else
 * as processes. A guardian process removes all of it when the run ends, whether it finishes, is interrupted
 * or is killed.
 */
export default function setup(project: TestProject): Promise<() => Promise<void>> {
  return project.name === "containers" ? startContained(project) : startProcesses(project);
}

async function startContained(project: TestProject): Promise<() => Promise<void>> {
  const why = await whyNoContainers();
  project.provide("whyNoContainers", why);
  if (why !== null) {
    process.stderr.write(`The tests on containers are skipped: ${why}.\n`);
    provideAddresses(project, nowhere);
    return () => Promise.resolve();
  }
  const { startContainers } = await import("./containers/container-stack.ts");
  const stack = await startContainers();
  provideAddresses(project, stack);
  return () => stack.stop();
}

type Addresses = Pick<Stack, "brokers" | "registryUrl" | "databaseUrl"> & {
  readonly proxied: ProxiedPorts;
};

/** For tests that are skipped: they are read all the same. */
const nowhere: Addresses = {
  brokers: "127.0.0.1:1",
  proxied: { boundPort: 1, advertisedPort: 1 },
  registryUrl: "http://127.0.0.1:1",
  databaseUrl: () => "postgresql://127.0.0.1:1/nowhere",
};

function provideAddresses(project: TestProject, at: Addresses): void {
  project.provide("kafkaBrokers", at.brokers);
  project.provide("kafkaProxied", at.proxied);
  project.provide("registryUrl", at.registryUrl);
  project.provide("postgresUrl", at.databaseUrl("postgres", "postgres"));
  project.provide("databaseUrl", at.databaseUrl("foldlog_owner"));
}

async function startProcesses(project: TestProject): Promise<() => Promise<void>> {
  const base = folderAt(folderSetting(process.env));
  openFolder(base.dir);
  await sweep(base.dir);
  const folder = openFolder(join(base.dir, `test-${process.pid}`));
  const guardian = guard(folder.dir);

  const signal = new AbortController().signal; // Interrupted, vitest exits at once; the guardian stays.
  const checklist = checklistOn(process.stderr, process.env);
  const options = { partsDir: base.parts, checklist, signal, env: process.env };
  try {
    const parts = await ensureParts(folder, options);
    const ports = await chooseFreePorts();
    const keeps = "passing";
    const stack = await startStack({ folder, parts, ports, keeps, roles: [], checklist, signal });
    provideAddresses(project, { ...stack, proxied: ports.proxied });
  } catch (error) {
    await guardian.release();
    throw new Error(explain(error), { cause: error }); // vitest shows the message alone.
  }
  return guardian.release;
}

const guardianFile = fileURLToPath(new URL("../ops/stack/guardian.ts", import.meta.url));

/** Starts the guardian of a folder; `release` comes back when it has cleared up. */
function guard(dir: string): { readonly release: () => Promise<void> } {
  const guardian = spawn(process.execPath, [guardianFile, dir], {
    detached: true, // A Ctrl-C in the terminal must not reach it.
    stdio: ["pipe", "ignore", "inherit"],
  });
  guardian.unref();
  if (guardian.stdin instanceof Socket) guardian.stdin.unref();
  return {
    async release() {
      guardian.ref();
      const gone = once(guardian, "exit");
      guardian.stdin.end();
      await gone;
    },
  };
}

/** What a run left behind whose guardian was killed too, for example by a power cut. */
async function sweep(dir: string): Promise<void> {
  for (const name of readdirSync(dir)) {
    const pid = /^test-(\d+)$/.exec(name)?.[1];
    if (pid === undefined || processWith(Number(pid)) !== undefined) continue;
    const left = folderAt(join(dir, name));
    await endRunning(left.run, 8_000);
    rmSync(left.dir, { recursive: true, force: true, maxRetries: 5 });
  }
}
