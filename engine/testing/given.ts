import type { Decider, Message } from "../decider.ts";
import { differences, short, told } from "./differences.ts";
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
      mustRepeat(decision, decider.decide(command, fold()));
      return {
        accepts: (...expected) => {
          mustBe({ kind: "accepted", events: expected }, decision);
          if (decision.kind === "accepted") {
            decision.events.reduce((state, event) => frozen(decider.evolve(state, event)), fold());
          }
        },
        rejects: (reason) => {
          mustBe({ kind: "rejected", reason }, decision);
        },
      };
    },
  };
}

/** A decision, or what a test thinks of as one. */
type Answer =
  | { readonly kind: "accepted"; readonly events: readonly Message[] }
  | { readonly kind: "rejected"; readonly reason: string };

function mustRepeat(first: Answer, second: Answer): void {
  if (differences(first, second).length === 0) return;
  throw new Error(
    `It ${textOf(first)}\nand, asked again, it ${textOf(second)}\n` +
      "decide must give the same for ever: no time, no chance, nothing that is kept outside of the state.",
  );
}

function mustBe(expected: Answer, found: Answer): void {
  const all = differences(expected, found);
  if (all.length === 0) return;
  const where = found.kind === expected.kind ? told(all) : [];
  throw new Error(
    [`It ${textOf(found)}`, `and should have ${textOf(expected)}`, ...where].join("\n"),
  );
}

/** `accepted` with its events, a line each; `rejected` with its reason. */
function textOf(answer: Answer): string {
  if (answer.kind === "rejected") return `rejected ${answer.reason}`;
  return ["accepted", ...answer.events.map(({ type, data }) => `  ${type} ${short(data)}`)].join(
    "\n",
  );
}
