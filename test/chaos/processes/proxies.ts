import type { Fault } from "../plan.ts";

/** What a proxy speaks: it must know where a request ends, and what it asks for. */
export type Protocol = "kafka" | "postgres" | "http";

export interface Endpoint {
  readonly host: string;
  readonly port: number;
}

/** Where a proxy listens, and where it passes on what comes. */
export interface Passage {
  readonly link: Disturbance["link"];
  readonly listen: Endpoint;
  readonly to: Endpoint;
}

export type Disturbance = Extract<Fault, { does: "disturb" }>;
export type FailpointFault = Extract<Fault, { does: "fail" }>;

/** The points at which a proxy sees that a worker is: the others are of the local store. */
export type SeenPoint = Exclude<FailpointFault["point"], "before:store" | "after:store">;

/** A process that stands between one worker and all that it speaks to. */
export interface Proxies {
  /** Applies to every request from now on that it is about; draws who is hit by `seed`. */
  disturb(fault: Disturbance, seed: number): Promise<void>;
  settle(fault: Disturbance): Promise<void>;
  /**
   * The next time that the worker comes to this point, `kill` is called, and the request (before) or its answer
   * (after) is dropped with the connection: nothing of it gets through. Once; `reached` says when it has happened.
   */
  failAt(point: SeenPoint, kill: () => void): Failing;
  /** Ends every connection, as where a router forgets them. */
  hangUp(): Promise<void>;
  /** Requests that have come, by name ("EndTxn", "COMMIT", "GET"), and how many of them were disturbed. */
  counts(): Promise<Readonly<Record<string, { readonly seen: number; readonly hit: number }>>>;
  close(): Promise<void>;
}

export interface Failing {
  readonly reached: Promise<void>;
  /** It never comes to that point: forget it. */
  cancel(): void;
}

export interface ProxyOptions {
  readonly passages: readonly Passage[];
  /** Of the host in which it runs (`NetworkHost.enter`); none: on this machine. */
  readonly enter: readonly string[];
}

/** Comes back when it listens everywhere. It ends by itself when this process does. */
export async function startProxies(_options: ProxyOptions): Promise<Proxies> {
  throw new Error("Not yet");
}
