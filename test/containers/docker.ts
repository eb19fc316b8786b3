import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { Socket } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { messageOf } from "../../engine/errors.ts";

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
  if (!dockerSucceeds(["info"])) return "no Docker engine answers";
  if (!dockerSucceeds(["compose", "version"])) return "there is no `docker compose`";
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
