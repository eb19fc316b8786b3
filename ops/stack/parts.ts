import { createHash } from "node:crypto";
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
} from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Checklist } from "./checklist.ts";
import { plainEnvironment, runToEnd } from "./child.ts";
import { requireDisk } from "./disk.ts";
import type { Folder } from "./folder.ts";
import { findJava, type Java } from "./java.ts";
import { findPostgres, type PostgresPrograms } from "./postgres.ts";
import { processWith } from "./process-id.ts";
import { SetupError } from "./setup-error.ts";

/** The programs that a stack is made of. */
export interface Parts {
  readonly java: Java;
  readonly kafka: { readonly version: string; readonly jars: string };
  readonly apicurio: { readonly version: string; readonly dir: string };
  readonly postgres: PostgresPrograms;
}

const pomFile = fileURLToPath(new URL("../pom.xml", import.meta.url));

/** The downloads and the room they need while they are unpacked, with Maven's own copy of them. */
const downloadBytes = 700e6;
/** What a first run writes: Kafka's log segments, Postgres, logs. */
const dataBytes = 300e6;

/**
 * Finds all parts, and downloads those that come from Maven where they are not there yet: once for each
 * version of `ops/pom.xml`, never again. What stands under `partsDir` is always whole, since a download
 * gets its name when it is complete.
 */
export async function ensureParts(
  folder: Folder,
  options: {
    readonly partsDir: string;
    readonly checklist: Checklist;
    readonly signal: AbortSignal;
    readonly env: NodeJS.ProcessEnv;
  },
): Promise<Parts> {
  const { partsDir, checklist, signal, env } = options;
  const pom = readFileSync(pomFile, "utf8");
  const dir = join(partsDir, createHash("sha256").update(pom).digest("hex").slice(0, 12));
  const kafka = { version: versionOf("kafka", pom), jars: join(dir, "kafka") };
  const apicurio = { version: versionOf("apicurio", pom), dir: join(dir, "apicurio") };
  const isThere = existsSync(dir);

  const java = await checklist.step("Java", async (say) => {
    const found = findJava(env);
    say(`${found.version} in ${found.home}`);
    return found;
  });
  const postgres = findPostgres();
  await requireDisk(folder.dir, isThere ? dataBytes : downloadBytes + dataBytes, checklist);
  if (!isThere) {
    const label = `Kafka ${kafka.version} and Apicurio Registry ${apicurio.version}`;
    await checklist.step(label, async (say) => {
      say("downloading, this once");
      await download(folder, { dir, java, env, signal });
      say("downloaded");
    });
  }
  return { java, kafka, apicurio, postgres };
}

async function download(
  folder: Folder,
  options: {
    readonly dir: string;
    readonly java: Java;
    readonly env: NodeJS.ProcessEnv;
    readonly signal: AbortSignal;
  },
): Promise<void> {
  const { dir, java, env, signal } = options;
  const maven = findMaven(env);
  mkdirSync(dirname(dir), { recursive: true });
  sweepHalfDownloads(dirname(dir));
  const half = `${dir}.half-${process.pid}`;
  await runToEnd(
    folder,
    {
      name: "download",
      stage: "worker",
      command: maven,
      args: [
        ...["--batch-mode", "--no-transfer-progress", "--strict-checksums"],
        ...["--file", pomFile, `-Dparts=${half}`, "generate-resources"],
      ],
      // Maven has settings in the environment that a user behind a proxy needs, so it gets it all.
      env: { ...definedOnly(env), JAVA_HOME: java.home },
      cwd: folder.dir,
    },
    {
      message: "Maven could not fetch Kafka and Apicurio Registry",
      next: "Check the network and the mirrors in ~/.m2/settings.xml, then run it again.",
    },
    signal,
  );
  keepWhole(half, dir);
}

/**
 * Gives a complete download its name, once its bytes are on the disk: a power cut after the name is there
 * must not leave empty files. Of two that downloaded at once, the first one's copy stays.
 */
function keepWhole(half: string, dir: string): void {
  for (const entry of readdirSync(half, { recursive: true, withFileTypes: true })) {
    if (entry.isFile()) flush(join(entry.parentPath, entry.name));
  }
  try {
    renameSync(half, dir);
  } catch (error) {
    if (!existsSync(dir)) throw error;
    rmSync(half, { recursive: true });
  }
}

function flush(path: string): void {
  const file = openSync(path, "r");
  fsyncSync(file);
  closeSync(file);
}

function sweepHalfDownloads(partsDir: string): void {
  for (const name of readdirSync(partsDir)) {
    const pid = /\.half-(\d+)$/.exec(name)?.[1];
    if (pid !== undefined && processWith(Number(pid)) === undefined) {
      rmSync(join(partsDir, name), { recursive: true, force: true });
    }
  }
}

function findMaven(env: NodeJS.ProcessEnv): string {
  const dirs = (env["PATH"] ?? plainEnvironment(env)["PATH"] ?? "").split(delimiter);
  const homes = ["MAVEN_HOME", "M2_HOME"].flatMap((name) => env[name] ?? []);
  const maven = [...dirs, ...homes.map((home) => join(home, "bin"))]
    .map((dir) => join(dir, "mvn"))
    .find((file) => existsSync(file));
  if (maven !== undefined) return maven;
  throw new SetupError("Kafka and the schema registry come through Maven, and there is no `mvn`.", {
    next: "Install Maven 3.6 or later (`apt install maven`, `brew install maven`, `sdk install maven`).",
  });
}

function versionOf(part: "kafka" | "apicurio", pom: string): string {
  const version = new RegExp(`<${part}\\.version>([^<]+)<`).exec(pom)?.[1];
  if (version === undefined) throw new Error(`ops/pom.xml names no ${part}.version`);
  return version;
}

function definedOnly(env: NodeJS.ProcessEnv): Record<string, string> {
  const pairs = Object.entries(env).flatMap(([name, value]) =>
    value === undefined ? [] : [[name, value] as const],
  );
  return Object.fromEntries(pairs);
}
