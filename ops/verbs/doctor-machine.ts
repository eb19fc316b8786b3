import { existsSync, readdirSync, readFileSync } from "node:fs";
import { statfs } from "node:fs/promises";
import { createRequire } from "node:module";
import { delimiter, dirname, join, resolve } from "node:path";
import { verifyClient } from "../../engine/kafka/kafkajs.ts";
import { inWords } from "../stack/disk.ts";
import { type Folder } from "../stack/folder.ts";
import { findJava, majorOf } from "../stack/java.ts";
import { portHolder } from "../stack/port-holder.ts";
import { isAnswered, type PortClaim } from "../stack/ports.ts";
import { runningIn } from "../stack/running.ts";
import { type Finding, good, mends, orGood, warning, wrong } from "./doctor-finding.ts";
import { plural } from "./output.ts";
import type { Environment } from "./settings.ts";

/** This machine: versions, ports and disk. */

const oldestNode = 24;

export interface NodeFacts {
  readonly running: string;
  /** Of the npm package `node`; `null` where it is not installed. */
  readonly packaged: string | null;
}

export function askNode(): NodeFacts {
  return { running: process.versions.node, packaged: packagedNode() };
}

function packagedNode(): string | null {
  try {
    const manifest = createRequire(import.meta.url).resolve("node/package.json");
    return (JSON.parse(readFileSync(manifest, "utf8")) as { version: string }).version;
  } catch {
    return null; // Not installed: an image has a Node of its own.
  }
}

export function nodeFindings({ running, packaged }: NodeFacts): readonly Finding[] {
  const runs =
    majorOf(running) >= oldestNode
      ? good("node", `Node ${running} runs this`)
      : wrong("node", {
          found: `Node ${running} runs this, and ${oldestNode} or later is needed`,
          why: "older ones run no TypeScript and have no SQLite for the local stores",
          mend: `${mends.install}   (brings Node ${oldestNode}; run foldlog by npm)`,
        });
  if (packaged === null) {
    return [runs, good("node-package", "the npm package node is not installed, and not needed")];
  }
  if (packaged !== running) {
    const found = `the npm package node is ${packaged}, and Node ${running} runs this`;
    const why = "workers that npm start runs, and this, behave as different versions do";
    return [
      runs,
      warning("node-package", { found, why, mend: `run it by npm, after ${mends.install}` }),
    ];
  }
  return [runs, good("node-package", `the npm package node is ${packaged}`)];
}

/** Whether the stack of `npm start` is what the settings lead to, or may yet be. */
export type Use = "local" | "elsewhere";

/** @param localDir where a stack was started here, whether it is up or not */
export function useOf(brokers: readonly string[], localDir: string | null): Use {
  if (brokers.length === 0) return "local";
  const isHere = brokers.every((it) => /^(127\.\d+\.\d+\.\d+|localhost):/.test(it));
  return localDir !== null && isHere ? "local" : "elsewhere";
}

/** @throws FatalError `UNSUPPORTED_CLIENT` */
export function clientFindings(): readonly Finding[] {
  verifyClient();
  return [good("kafkajs", "kafkajs is the code that was hardened, to the byte")];
}

/** @throws SetupError where the local stack needs a newer one */
export function javaFindings(env: Environment, use: Use): readonly Finding[] {
  if (use === "elsewhere") return [good("java", "not needed: nothing runs on this machine")];
  const { version, home } = findJava({ ...env });
  return [good("java", `Java ${version} in ${home}`)];
}

export interface MavenFacts {
  readonly program: string | null;
  /** Whether what it would download is there. */
  readonly isDownloaded: boolean;
}

export function askMaven(env: Environment, { parts }: Folder): MavenFacts {
  const homes = [env["MAVEN_HOME"], env["M2_HOME"]].flatMap((home) => home ?? []);
  const dirs = [...(env["PATH"] ?? "").split(delimiter), ...homes.map((it) => join(it, "bin"))];
  const program = dirs
    .filter((dir) => dir !== "")
    .map((dir) => join(dir, "mvn"))
    .find(existsSync);
  const downloads = existsSync(parts) ? readdirSync(parts) : [];
  // A download gets its name when it is complete.
  const isDownloaded = downloads.some((name) => !name.includes(".half-"));
  return { program: program ?? null, isDownloaded };
}

export function mavenFindings({ program, isDownloaded }: MavenFacts, use: Use): readonly Finding[] {
  if (program !== null) return [good("maven", program)];
  const notNeeded = use === "elsewhere" ? "nothing runs on this machine" : "all is downloaded";
  if (use === "elsewhere" || isDownloaded) return [good("maven", `none, not needed: ${notNeeded}`)];
  return [
    wrong("maven", {
      found: "there is no mvn on the path",
      why: "npm start downloads Kafka and the schema registry by it",
      mend: "install Maven 3.6 or later: apt install maven, brew install maven or sdk install maven",
    }),
  ];
}

export interface PortFacts extends PortClaim {
  /** `free`, a process of this stack, or somebody else in words. */
  readonly held: "free" | "ours" | { readonly by: string };
}

export async function askPorts(
  claims: readonly PortClaim[],
  { dir, run }: Folder,
): Promise<readonly PortFacts[]> {
  const ours = runningIn(run).map(({ pid }) => String(pid));
  return Promise.all(
    claims.map(async (claim): Promise<PortFacts> => {
      if (!(await isAnswered(claim.port))) return { ...claim, held: "free" };
      const by = portHolder(claim.port, dir);
      const pid = /^pid (\d+)/.exec(by)?.[1];
      const isOurs = pid !== undefined && ours.includes(pid);
      return { ...claim, held: isOurs ? "ours" : { by } };
    }),
  );
}

/** @param isUp whether the local stack runs, be it at other ports: then these are for its next start */
export function portFindings(
  ports: readonly PortFacts[],
  use: Use,
  isUp: boolean,
): readonly Finding[] {
  if (use === "elsewhere") return [good("ports", "none needed: nothing runs on this machine")];
  const judge = isUp ? warning : wrong;
  const taken = ports.flatMap(({ port, owner, setting, held }) =>
    typeof held === "string"
      ? []
      : [
          judge(`ports/${port}`, {
            found: `port ${port}, for ${owner}, is held by ${held.by}`,
            why: isUp
              ? "npm start, run without the settings of the stack that is up, would not come up"
              : "npm start does not come up",
            mend: `stop what holds it, or choose another: ${setting}=${elsewhere(port)} npm start`,
          }),
        ],
  );
  const ours = ports.filter(({ held }) => held === "ours").length;
  const said = ours === 0 ? "all free" : `${ours} held by the stack itself, the others free`;
  return orGood(taken, good("ports", `${plural(ports.length, "port")}: ${said}`));
}

function elsewhere(port: number): number {
  return port < 50_000 ? port + 10_000 : port - 10_000;
}

export interface DiskFacts {
  readonly what: string;
  readonly dir: string;
  readonly freeBytes: number;
}

/** Where a folder is not there yet, of the one in which it would be made. */
export async function askDisk(what: string, dir: string): Promise<DiskFacts> {
  let there = resolve(dir);
  while (!existsSync(there)) there = dirname(there);
  const { bavail, bsize } = await statfs(there);
  return { what, dir: resolve(dir), freeBytes: bavail * bsize };
}

const fullBytes = 300e6;
const narrowBytes = 2e9;

export function diskFindings(disks: readonly DiskFacts[]): readonly Finding[] {
  return disks.map(({ what, dir, freeBytes }) => {
    const id = `disk/${what}`;
    const found = `${inWords(freeBytes)} free at ${dir}`;
    if (freeBytes >= narrowBytes) return good(id, found);
    const trouble = {
      found,
      why: "a broker, a database or a local store whose disk is full stops",
      mend: `make room there, or set ${what === "state" ? "FOLDLOG_STATE_DIR" : "FOLDLOG_DIR"} to a folder on another disk`,
    };
    return freeBytes < fullBytes ? wrong(id, trouble) : warning(id, trouble);
  });
}
