/** What an author of an aggregate writes: pure functions, no clock, no chance, no I/O. */

/** A command or an event: its record type and its fields. */
export interface Message {
  readonly type: string;
  readonly data: object;
}

/** What the business answers. A "no" is an answer, never an exception nor a dead letter. */
export type Decision<E, R> =
  | { readonly kind: "accepted"; readonly events: readonly [E, ...E[]] }
  | { readonly kind: "rejected"; readonly reason: R };

/**
 * An aggregate as three values (Chassaing, "Functional event sourcing: Decider").
 *
 * `decide` and `evolve` must give the same result for the same input for ever: the log is folded again at
 * each restore. `S` must fit the state schema that the catalog names; `C` and `E` are the unions of its
 * commands and events; `R` is the union of the reasons to say no.
 */
export interface Decider<S, C extends Message, E extends Message, R extends string> {
  /** The state of an aggregate without events. */
  readonly initialState: S;
  /** Raise it when `evolve` changes its result for any event: snapshots made by the old fold are dropped. */
  readonly foldVersion: number;
  decide(command: C, state: S): Decision<E, R>;
  evolve(state: S, event: E): S;
}

/** The answer yes: these events happen, one at least, in this order. */
export function accept<E>(first: E, ...more: E[]): Decision<E, never> {
  return { kind: "accepted", events: [first, ...more] };
}

/** The answer no, with its reason. It leaves no event. */
export function reject<R extends string>(reason: R): Decision<never, R> {
  return { kind: "rejected", reason };
}
