import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { FatalError } from "./errors.ts";
import type { Metrics } from "./metrics.ts";

/** What a worker's partitions are doing, and the HTTP pages that tell it. */

export type PartitionState = "opening" | "ready" | "retrying" | "stopped";

export interface PartitionHealth {
  readonly state: PartitionState;
  /** Why it is not ready, for a person. */
  readonly detail: string | null;
}

/** The health of one worker: its partitions by `<topic>/<partition>`. */
export class Health {
  readonly worker: string;
  private readonly metrics: Metrics;
  private readonly partitions = new Map<string, PartitionHealth>();
  private joined = false;

  constructor(worker: string, metrics: Metrics) {
    this.worker = worker;
    this.metrics = metrics;
    this.count();
  }

  /** The group has told which partitions are this worker's; those that are not are forgotten. */
  assigned(keys: readonly string[]): void {
    this.joined = true;
    for (const key of this.partitions.keys()) if (!keys.includes(key)) this.partitions.delete(key);
    for (const key of keys) {
      if (!this.partitions.has(key)) this.partitions.set(key, { state: "opening", detail: null });
    }
    this.count();
  }

  /** @returns whether that is a change of state */
  set(key: string, state: PartitionState, detail: string | null = null): boolean {
    const before = this.partitions.get(key);
    if (!before) return false; // Taken away meanwhile.
    this.partitions.set(key, { state, detail });
    this.count();
    return before.state !== state;
  }

  /** What keeps the worker from its work, a line each; empty where nothing does. */
  problems(): string[] {
    if (!this.joined) return [`${this.worker}: the group has not assigned partitions yet`];
    return [...this.partitions].flatMap(([key, { state, detail }]) =>
      state === "ready"
        ? []
        : [`${this.worker} ${key}: ${state}${detail === null ? "" : `, ${detail}`}`],
    );
  }

  private count(): void {
    for (const state of ["opening", "ready", "retrying", "stopped"] as const) {
      const count = [...this.partitions.values()].filter((it) => it.state === state).length;
      this.metrics.set("foldlog_partitions", { worker: this.worker, state }, count);
    }
  }
}

/** What a process waits for outside of itself, by a name for each: a broker, the registry, Postgres. */
export class Waits {
  private readonly reasons = new Map<string, string>();

  /** @returns whether that is new: nothing of this name waited, or, with `null`, something did */
  set(name: string, reason: string | null): boolean {
    const before = this.reasons.has(name);
    if (reason === null) this.reasons.delete(name);
    else this.reasons.set(name, reason);
    return before !== (reason !== null);
  }

  get count(): number {
    return this.reasons.size;
  }

  problems(): string[] {
    return [...this.reasons].map(([name, reason]) => `waiting: ${name}: ${reason}`);
  }
}

/** Anything that may keep a process from being ready. */
export interface HasProblems {
  /** A line each, for a person. */
  problems(): string[];
}

export interface HealthServer {
  readonly port: number;
  close(): Promise<void>;
}

/**
 * The answer of `/readyz`: 503 with the reasons where the work cannot go on; else 200, with what `limits` says
 * cannot be done meanwhile.
 */
export function readiness(
  parts: readonly HasProblems[],
  limits: readonly HasProblems[] = [],
): { readonly status: 200 | 503; readonly text: string } {
  const problems = parts.flatMap((it) => it.problems());
  if (problems.length > 0) return { status: 503, text: `not ready\n${problems.join("\n")}\n` };
  return { status: 200, text: ["ready", ...limits.flatMap((it) => it.problems()), ""].join("\n") };
}

/**
 * Serves `/livez` (this process turns its event loop), `/readyz` (every partition that it was assigned is at
 * work; 503 with the reasons otherwise) and `/metrics`. None of them asks a broker or a database.
 */
export async function serveHealth(
  { host, port }: { readonly host: string; readonly port: number },
  parts: readonly HasProblems[],
  metrics: Metrics,
  limits: readonly HasProblems[] = [],
): Promise<HealthServer> {
  const server: Server = createServer((request, response) => {
    const answer = (status: number, text: string, type = "text/plain; charset=utf-8") => {
      response.writeHead(status, { "content-type": type, "cache-control": "no-store" });
      response.end(request.method === "HEAD" ? "" : text);
    };
    const { pathname } = new URL(request.url ?? "/", "http://localhost");
    if (request.method !== "GET" && request.method !== "HEAD") answer(405, "Only GET.\n");
    else if (pathname === "/livez") answer(200, "alive\n");
    else if (pathname === "/readyz") {
      const { status, text } = readiness(parts, limits);
      answer(status, text);
    } else if (pathname === "/metrics") {
      void metrics.text().then((text) => {
        answer(200, text, metrics.contentType);
      });
    } else answer(404, "Here are /livez, /readyz and /metrics.\n");
  });
  server.requestTimeout = 5_000;
  await new Promise<void>((resolve, reject) => {
    server.once("error", (cause) => {
      const what = `${host}:${port} cannot be listened at: ${cause.message}`;
      reject(new FatalError("PORT_UNAVAILABLE", what, { cause }));
    });
    server.listen(port, host, resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => {
          resolve();
        });
        server.closeAllConnections();
      }),
  };
}
