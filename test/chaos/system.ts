import type { Fault, Plan } from "./plan.ts";

/** A bank under test, as the run of a plan sees it, whatever it is made of: processes or containers. */
export interface System {
  /** Straight to the broker, the registry and Postgres, past everything that disturbs workers. */
  readonly addresses: Addresses;
  /** Begins a fault; resolves once it is in force. */
  begin(fault: Fault): Promise<void>;
  /**
   * Ends it; what it took away is on its way back. Resolves without waiting for that, to how many requests or
   * processes it has hit where that depends on what came by; else to `null`.
   */
  end(fault: Fault): Promise<number | null>;
  /** Ends whatever is still in force and starts whatever is not running. */
  heal(): Promise<void>;
  /** Every process of a worker now, for what is sampled; not there: not running. */
  workers(): readonly RunningWorker[];
  /** Workers that ended by themselves since the start, with their exit code and last words. */
  endings(): readonly Ending[];
  /** Files with what workers have printed so far. */
  printed(): Promise<readonly string[]>;
  /** Stops and removes everything; leaves no process, namespace, mount or container. */
  stop(): Promise<void>;
}

export interface Addresses {
  readonly kafkaBrokers: string;
  readonly registryUrl: string;
  /** As the owner, for operators' faults. */
  readonly databaseUrl: string;
  readonly databaseReadUrl: string;
  /** Of the gateway; `null` where the plan has none. */
  readonly apiUrl: string | null;
}

export interface RunningWorker {
  /** For example `account/1`. */
  readonly name: string;
  readonly metricsUrl: string;
}

export interface Ending {
  /** Milliseconds since the epoch. */
  readonly t: number;
  readonly name: string;
  /** The exit code, or the signal that ended it. */
  readonly how: number | string;
  /** Whether a fault of the plan ended it. */
  readonly isWanted: boolean;
  /** The last lines that it printed. */
  readonly said: string;
}

export interface StartOptions {
  readonly plan: Plan;
  /** Where logs, stores and reports of this run go; exists. */
  readonly folder: string;
  /** Told of each step, for a line on the screen. */
  readonly onStep: (step: string) => void;
}

/** A back end brings a whole bank up for a plan: topics and views made, every worker ready. */
export type StartSystem = (options: StartOptions, signal: AbortSignal) => Promise<System>;
