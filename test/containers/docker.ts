import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { Socket } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { messageOf } from "../../engine/errors.ts";
import { ownProcess, type ProcessId, processWith } from "../../ops/stack/process-id.ts";
import { listed, removeLabelled } from "./labelled.ts";

/** The Docker engine of this machine, where there is one. */

export const root = fileURLToPath(new URL("../../", import.meta.url));

const composeFile = readFileSync(join(root, "docker-compose.yml"), "utf8");

/** The image of this name in docker-compose.yml, with its tag: tests run on what is deployed. */
export function imageOf(name: string): string {
  const image = new RegExp(`^ +image: (${name}:\\S+)$`, "m").exec(composeFile)?.[1];
  if (image === undefined) throw new Error(`docker-compose.yml has no image ${name}`);
  return image;
}

export const images = {
  kafka: imageOf("apache/kafka"),
  postgres: imageOf("postgres"),
  registry: imageOf("apicurio/apicurio-registry"),
} as const;

/** Why nothing can be tested on containers here; `null` where it can. Fetches the images on the way. */
export async function whyNoContainers(): Promise<string | null> {
  // Everything that is started here has a guardian of its own.
  process.env["TESTCONTAINERS_RYUK_DISABLED"] = "true";
  // Where everything is published. Run in a container itself, testcontainers would look at the bridge.
  process.env["TESTCONTAINERS_HOST_OVERRIDE"] = "127.0.0.1";
  if (!dockerSucceeds(["info"])) return "no Docker engine answers";
  if (!dockerSucceeds(["compose", "version"])) return "there is no `docker compose`";
  sweep();
  const { getContainerRuntimeClient, ImageName } = await import("testcontainers");
  const { image: local } = await getContainerRuntimeClient();
  for (const image of Object.values(images)) {
    const name = ImageName.fromString(image);
    if (await local.exists(name)) continue;
    try {
      await local.pull(name);
    } catch (error) {
      return `the image ${image} is not here and cannot be pulled: ${messageOf(error)}`;
    }
  }
  return null;
}

function dockerSucceeds(args: readonly string[]): boolean {
  return spawnSync("docker", args, { stdio: "ignore", timeout: 20_000 }).status === 0;
}

/** A name for what this process starts, by which a later run knows whether it is still there. */
export const runName = nameOf(ownProcess());

function nameOf({ pid, startedAt }: ProcessId): string {
  return `${pid}-${createHash("sha256").update(startedAt).digest("hex").slice(0, 8)}`;
}

/**
 * Removes what a run left behind whose guardian was killed too, for example by a power cut. The engine starts
 * such containers again, and they take the processors from the tests.
 */
function sweep(): void {
  for (const key of ["foldlog.test", "com.docker.compose.project"]) {
    const format = `{{.Label "${key}"}}`;
    for (const value of new Set(listed(["ps", "--all", "--format", format]))) {
      if (isLeftBehind(value)) removeLabelled(`${key}=${value}`);
    }
  }
  for (const tag of listed(["image", "ls", "foldlog", "--format", "{{.Tag}}"])) {
    if (isLeftBehind(tag)) dockerSucceeds(["image", "rm", "--force", `foldlog:${tag}`]);
  }
}

/** Whether it has the name of a run, and no process has that name now. */
function isLeftBehind(value: string): boolean {
  const [, name, pid] = /^(?:foldlog-test-)?((\d+)-[0-9a-f]{8})$/.exec(value) ?? [];
  if (name === undefined) return false;
  const running = processWith(Number(pid));
  return running === undefined || nameOf(running) !== name;
}

export interface Guardian {
  /** Has it clear up now, and comes back when it has. */
  release(): Promise<void>;
}

const guardianFile = fileURLToPath(new URL("guardian.ts", import.meta.url));

/**
 * Starts a process that removes every container, volume and network with this label when this process ends,
 * however it ends.
 */
export function guardLabel(label: string): Guardian {
  const guardian = spawn(process.execPath, [guardianFile, label], {
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
