import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync } from "node:fs";
import { root } from "../../containers/docker.ts";

/** Docker's command line, as a person would type it. */

export interface Finished {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface DockerOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
  /** A file for what it prints, where that may be too much to hold. */
  readonly output?: string;
}

/**
 * Runs `docker` with these arguments until it ends. It is in a process group of its own: a Ctrl-C in the
 * terminal reaches this program only, which then ends things in order. An aborted signal ends it.
 */
export async function docker(
  args: readonly string[],
  { env = {}, signal, output }: DockerOptions = {},
): Promise<Finished> {
  const file = output === undefined ? null : openSync(output, "w");
  const child = spawn("docker", args, {
    cwd: root,
    env: { ...process.env, ...env },
    stdio: ["ignore", file ?? "pipe", "pipe"],
    detached: true,
  });
  if (file !== null) closeSync(file); // The child has its own.
  const end = () => child.kill("SIGTERM");
  signal?.addEventListener("abort", end);
  if (signal?.aborted === true) end();
  let [stdout, stderr] = ["", ""];
  child.stdout?.setEncoding("utf8").on("data", (text: string) => (stdout += text));
  child.stderr?.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  const [code] = (await once(child, "close")) as [number | null];
  signal?.removeEventListener("abort", end);
  signal?.throwIfAborted();
  return { code, stdout, stderr };
}

/**
 * The same, where it must succeed; gives what it printed.
 * @throws Error with the command and what it said
 */
export async function dockerMust(...[args, options]: Parameters<typeof docker>): Promise<string> {
  const { code, stdout, stderr } = await docker(args, options);
  if (code === 0) return stdout;
  const shown = args
    .filter((it) => !it.startsWith("-"))
    .slice(0, 4)
    .join(" ");
  throw new Error(`docker ${shown} ended with ${String(code)}: ${lastLines(stderr, 12)}`);
}

export function linesOf(text: string): readonly string[] {
  return text.split("\n").filter((line) => line.trim() !== "");
}

export function lastLines(text: string, most: number): string {
  return linesOf(text).slice(-most).join("\n");
}
