import { isDeepStrictEqual } from "node:util";
import type { Decider, Decision, Message } from "../decider.ts";
import { frozen } from "./frozen.ts";

/** What a test expects of a decision. Each fails with both sides in words. */
export interface Expectation<E, R> {
  /** These events and no others, in this order. */
  accepts(...events: readonly E[]): void;
  rejects(reason: R): void;
}

/** What has happened; the command comes next. */
export interface Given<C, E, R> {
  when(command: C): Expectation<E, R>;
}

/**
 * Given what has happened, when a command comes, then these events or this reason:
 *
 *     given(account, opened, deposited(500)).when(withdraw(501)).rejects("InsufficientFunds");
 *
 * Also holds that `decide` and `evolve` change nothing that they are given, and that they decide the same
 * twice.
 */
export function given<S, C extends Message, E extends Message, R extends string>(
  decider: Decider<S, C, E, R>,
  ...events: readonly E[]
): Given<C, E, R> {
  const fold = () =>
    events.reduce<S>(
      (state, event) => frozen(decider.evolve(state, frozen(event))),
      frozen(decider.initialState),
    );
  return {
    when: (command) => {
      const decision = decider.decide(frozen(command), fold());
      same("decided twice", decider.decide(command, fold()), decision);
      return {
        accepts: (...expected) => {
          same("answered", decision, { kind: "accepted", events: expected });
          if (decision.kind === "accepted") {
            decision.events.reduce((state, event) => frozen(decider.evolve(state, event)), fold());
          }
        },
        rejects: (reason) => {
          same("answered", decision, { kind: "rejected", reason });
        },
      };
    },
  };
}

function same<E, R>(what: string, found: Decision<E, R>, expected: unknown): void {
  if (isDeepStrictEqual(found, expected)) return;
  const text = (value: unknown) => JSON.stringify(value, null, 2);
  throw new Error(`It ${what}\n${text(found)}\nand should have\n${text(expected)}`);
}
