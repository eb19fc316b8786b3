import { execFile, execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { promisify } from "node:util";
import { processWith } from "../../../ops/stack/process-id.ts";

/**
 * What a run takes from the system that does not end with its processes: network namespaces, links and mounts.
 * Each carries the run's own name, `foldlog-<pid>-<n>`, so that whatever a killed run left can be found.
 */

const run = promisify(execFile);
let opened = 0;

/** A name for what this process takes, unlike any that it has used before. */
export function newRunName(): string {
  return `foldlog-${process.pid}-${opened++}`;
}

/** The end outside of the link to a run's hosts: the names of links are short. */
export function linkOf(runName: string): string {
  return runName.replace(/^foldlog-(\d+)-(\d+)$/, "fl$1x$2");
}

/** Ends whatever still runs in the namespaces of this run, and removes them, its link and its mounts. */
export async function removeLeftovers(runName: string): Promise<void> {
  for (const namespace of namespaces().filter((it) => it.startsWith(`${runName}-`))) {
    for (const pid of pidsIn(namespace)) killIfThere(pid);
    await unlessGone(run("ip", ["netns", "delete", namespace]));
  }
  if (links().includes(linkOf(runName))) {
    await unlessGone(run("ip", ["link", "delete", linkOf(runName)])); // Its other end took it along.
  }
  for (const mount of mountsOf(runName).toReversed()) {
    // Lazily, since a process that still ends there may hold it for a moment.
    await unlessGone(run("umount", ["--lazy", mount]));
  }
}

/** Removes what runs left whose process has ended. */
export async function sweepLeftovers(): Promise<void> {
  const ofLinks = links().map((link) => link.replace(/^fl(\d+)x(\d+)$/, "foldlog-$1-$2"));
  const names = [...namespaces(), ...ofLinks, ...mounts().map(({ source }) => source)];
  const runs = new Set(names.flatMap((name) => /^foldlog-\d+-\d+/.exec(name)?.[0] ?? []));
  for (const name of runs) {
    const pid = Number(name.split("-")[1]);
    if (processWith(pid) === undefined) await removeLeftovers(name);
  }
}

function namespaces(): readonly string[] {
  return wordsOf("ip", ["netns", "list"]);
}

function links(): readonly string[] {
  return wordsOf("ip", ["-brief", "link", "show", "type", "veth"]).map(
    (name) => name.split("@")[0] ?? name,
  );
}

function pidsIn(namespace: string): readonly number[] {
  return wordsOf("ip", ["netns", "pids", namespace]).map(Number);
}

/** The first word of each line; none where the program is not there. */
function wordsOf(command: string, args: readonly string[]): readonly string[] {
  try {
    const lines = execFileSync(command, args, { encoding: "utf8", stdio: "pipe" }).split("\n");
    return lines.map((line) => line.split(" ")[0] ?? "").filter((word) => word !== "");
  } catch {
    return []; // No such program, or no such namespace any more.
  }
}

function mountsOf(runName: string): readonly string[] {
  return mounts()
    .filter(({ source }) => source === runName)
    .map(({ path }) => path);
}

function mounts(): readonly { readonly source: string; readonly path: string }[] {
  try {
    const lines = readFileSync("/proc/mounts", "utf8").split("\n");
    return lines.flatMap((line) => {
      const [source, path] = line.split(" ");
      if (source === undefined || path === undefined) return [];
      // Blanks are written in octal.
      const plain = path.replaceAll(/\\(\d{3})/g, (_, code: string) =>
        String.fromCharCode(Number.parseInt(code, 8)),
      );
      return [{ source, path: plain }];
    });
  } catch {
    return []; // Not Linux: nothing was ever mounted.
  }
}

function killIfThere(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It ended between the look and the signal.
  }
}

/** Two may remove the same at once: a guardian, and the sweep of the next run. */
async function unlessGone(removal: Promise<unknown>): Promise<void> {
  try {
    await removal;
  } catch {
    // Already gone, or removed with something else; the next sweep sees what is not.
  }
}
