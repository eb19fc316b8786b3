import type { Decider, Message } from "../decider.ts";
import { type PoisonCode, PoisonError } from "../errors.ts";
import type { Answer } from "./answers.ts";
import type { Command } from "./command.ts";

/** One command and what is known about it → its outcome. Pure; the one place where a command is judged. */

export interface Aggregate<S> {
  readonly state: S;
  /** 0 where it has no events. */
  readonly version: number;
}

/** What a command meets. */
export interface Circumstances<S> {
  readonly aggregate: Aggregate<S>;
  /** The final answer that this command id got on this aggregate, if it is still remembered. */
  readonly answered: Answer | null;
  /** The dedupe horizon H: the greatest issue time of a command id that has been forgotten. */
  readonly horizon: number | null;
  /** When the broker appended the command, in milliseconds since the epoch. */
  readonly appendTime: number;
}

export type Outcome<S, E> =
  | { readonly kind: "accepted"; readonly events: readonly E[]; readonly aggregate: Aggregate<S> }
  | { readonly kind: "rejected"; readonly reason: string; readonly version: number }
  | { readonly kind: "conflict"; readonly version: number }
  | { readonly kind: "duplicate"; readonly answer: Answer }
  | {
      readonly kind: "failed";
      readonly code: "EXPIRED" | "CLOCK_AHEAD" | "COMMAND_ID_REUSED" | "TOO_LARGE";
    }
  | { readonly kind: "poison"; readonly code: PoisonCode; readonly message: string };

/** A sender's clock may be this far ahead of the broker's, in milliseconds. */
export const toleratedClockLeadMs = 5 * 60 * 1000;

/**
 * Judges in this order: a duplicate gets the same answer again, whatever has happened since; an id that may
 * have been forgotten is refused as expired; then the version that the sender expects; then the decider.
 */
export function settle<S, C extends Message, E extends Message, R extends string>(
  decider: Decider<S, C, E, R>,
  command: Command,
  { aggregate, answered, horizon, appendTime }: Circumstances<S>,
): Outcome<S, E> {
  if (answered) {
    if (!answered.hash.equals(command.hash)) return { kind: "failed", code: "COMMAND_ID_REUSED" };
    return { kind: "duplicate", answer: answered };
  }
  const { issueTime, expectedVersion } = command;
  if (issueTime !== null && issueTime > appendTime + toleratedClockLeadMs) {
    return { kind: "failed", code: "CLOCK_AHEAD" };
  }
  if (issueTime !== null && horizon !== null && issueTime <= horizon) {
    return { kind: "failed", code: "EXPIRED" };
  }
  if (expectedVersion !== null && expectedVersion !== aggregate.version) {
    return { kind: "conflict", version: aggregate.version };
  }
  try {
    const decision = decider.decide(
      { type: command.type, data: command.data } as C,
      aggregate.state,
    );
    if (decision.kind === "rejected") {
      return { kind: "rejected", reason: decision.reason, version: aggregate.version };
    }
    let { state, version } = aggregate;
    for (const event of decision.events) {
      state = decider.evolve(state, event);
      version++;
    }
    return { kind: "accepted", events: decision.events, aggregate: { state, version } };
  } catch (error) {
    // A fault in the author's pure functions is the same at each try: an answer, not a crash loop.
    const message = error instanceof Error ? (error.stack ?? error.message) : String(error);
    const code = error instanceof PoisonError ? error.code : "DECIDER_THREW";
    return { kind: "poison", code, message };
  }
}
