import type { BackEnd, Fault, Plan } from "./plan.ts";
import type { Ending } from "./system.ts";

/** What a run of a plan has shown: plain data, written as JSON beside its page. */
export interface ChaosResult {
  readonly plan: Plan;
  readonly backEnd: BackEnd;
  /** Of the project, for example "5bbfbbb"; with "+" where files were changed since. */
  readonly commit: string;
  /** Milliseconds since the epoch. */
  readonly startedAt: number;
  readonly endedAt: number;
  readonly verdict: "held" | "violated" | "not at rest" | "could not run";
  /** Why it is not "held", for a person; empty where it is. */
  readonly because: readonly string[];
  readonly faults: readonly FaultTime[];
  readonly samples: readonly Sample[];
  readonly commands: Commands;
  readonly invariants: readonly InvariantResult[];
  /** As the system told them, but `t` is in milliseconds since the load began. */
  readonly endings: readonly Ending[];
  readonly times: RecoveryTimes;
  /** Starts the same plan again. */
  readonly replay: string;
}

/** When a fault was in force, in milliseconds since the load began. */
export interface FaultTime {
  readonly fault: Fault;
  readonly from: number;
  readonly to: number;
  /** How many requests or processes it has hit, where that depended on what came by. */
  readonly hits?: number;
}

/** What was seen at one moment. */
export interface Sample {
  /** Milliseconds since the load began. */
  readonly t: number;
  readonly sentPerSecond: number;
  readonly answeredPerSecond: number;
  /** Commands in the log that no reply answers yet. */
  readonly commandLag: number | null;
  /** By projection: events that its view does not have yet; `null` where nobody could tell. */
  readonly viewLag: Readonly<Record<string, number | null>>;
}

export interface Commands {
  readonly sent: number;
  readonly accepted: number;
  readonly rejected: number;
  readonly conflict: number;
  readonly failed: number;
  /** No answer came in time; the log says what became of them. */
  readonly unknown: number;
}

export interface InvariantResult {
  readonly id: string;
  readonly promise: string;
  /** How many things were looked at; 0 where this run could not show it. */
  readonly checked: number;
  readonly violated: number;
  /** The first of them, a line each. */
  readonly violations: readonly string[];
}

export interface RecoveryTimes {
  /** From the end of the last fault until every command was answered and every view had all, milliseconds. */
  readonly toRestMs: number | null;
  /** The longest time without an accepted command, in milliseconds. */
  readonly longestSilenceMs: number;
}
