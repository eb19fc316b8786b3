import type { Child } from "../../../ops/stack/child.ts";
import type { Folder } from "../../../ops/stack/folder.ts";
import type { Java } from "../../../ops/stack/java.ts";
import type { Hosts, NetworkHost } from "./hosts.ts";

/** Brokers, each its own controller too, each a process in a network host: any one may be lost. */
export interface Cluster {
  readonly brokers: readonly ClusterBroker[];
  /** For those who go straight to the brokers: checkers, load, operators. */
  readonly bootstrap: string;
  /** For workers in a host with proxies: 127.0.0.1 and each broker's proxied port. */
  readonly proxiedBootstrap: string;
  /** The number of the broker that leads this partition now; `null` where none does. */
  leaderOf(topic: string, partition: number): Promise<number | null>;
  /** The number of the active controller; `null` while there is none. */
  controller(): Promise<number | null>;
  /** Starts whatever does not run, and goes on with whatever is paused. */
  heal(signal: AbortSignal): Promise<void>;
  close(): Promise<void>;
}

export interface ClusterBroker {
  /** 1, 2 or 3. */
  readonly number: number;
  /** `null` where brokers run on the machine itself. */
  readonly host: NetworkHost | null;
  /** Where a worker's proxy passes on to (`to`), and where it listens (`listen`). */
  readonly proxied: { readonly listen: number; readonly to: { host: string; port: number } };
  readonly logDir: string;
  isRunning(): boolean;
  /** Comes back when it serves requests. */
  start(signal: AbortSignal): Promise<Child>;
  kill(): Promise<void>;
  /** Asks it to stop in order, which hands its partitions over. */
  terminate(): Promise<void>;
  pause(): void;
  resume(): void;
}

export interface ClusterOptions {
  readonly folder: Folder;
  readonly java: Java;
  readonly jars: string;
  readonly brokers: 1 | 3;
  /** None: all on 127.0.0.1, and nothing can come between them. */
  readonly hosts: Hosts | null;
  /** Where a broker keeps its log, if not in the folder: for example on a disk of a size. */
  readonly logDirs?: Readonly<Record<number, string>>;
  /** Beyond those of every broker of a test, for example "transactional.id.expiration.ms". */
  readonly properties?: Readonly<Record<string, string>>;
}

/** Comes back when every broker serves requests and knows the others. */
export async function startCluster(
  _options: ClusterOptions,
  _signal: AbortSignal,
): Promise<Cluster> {
  throw new Error("Not yet");
}
