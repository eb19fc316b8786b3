/** What the audit promises to find, and what it has found. */

export const invariants = {
  I1: "an accepted command has its events, at the versions that its answer says",
  I2: "an event is there once: no key twice, no command handled twice",
  I3: "the versions of an aggregate are 1 to n in the order of the log",
  I4: "a consumed command record has one reply, a command id one final answer",
  I5: "events, reply and position of a command are there together or not at all",
  I6: "a command that was not accepted has left no event",
  I7: "money is conserved: no balance below 0, views add up to what came in less what went out",
  I8: "views and snapshots are the fold of the events up to their checkpoint",
  I9: "the checkpoint of a view never goes back, and never beyond what there is",
  I10: "a dead letter is there once, of poison alone, with its failed reply and its bytes untouched",
  I11: "the committed offset of a group never goes back, and never beyond what there is",
  I12: "a read with a token shows at least what the token's command did",
  I13: "no transaction hangs: committed records can be read up to the end",
  I15: "of an aborted transaction nothing counts: no part of it is committed",
  I16: "no secret is in dead letters, logs or metrics",
  oracle: "what was answered and recorded is what the decider says of the events before it",
  history: "what clients were told is in the log, and what they certainly did not send is not",
  order: "the log, the answers and the reads of an aggregate fit one order that real time allows",
} as const;

export type Invariant = keyof typeof invariants;

/** One case in which an invariant does not hold. */
export interface Violation {
  readonly invariant: Invariant;
  /** `topic/partition/offset`, or the table and row; as near as it can be said. */
  readonly at: string;
  readonly aggregateId?: string | null;
  readonly commandId?: string | null;
  readonly expected: string;
  readonly found: string;
}

/** How many violations of an invariant are kept; all are counted. */
const keptPerInvariant = 10;

/** Collects violations, and how much was looked at. */
export class Findings {
  private readonly counts = new Map<Invariant, number>();
  private readonly kept = new Map<Invariant, Violation[]>();
  private readonly looked = new Map<Invariant, number>();

  /** So many more things were held against the invariant. */
  check(invariant: Invariant, things = 1): void {
    this.looked.set(invariant, this.checked(invariant) + things);
  }

  /** How many things were held against it, those that violate it among them. */
  checked(invariant: Invariant): number {
    return this.looked.get(invariant) ?? 0;
  }

  add(violation: Violation): void {
    const { invariant } = violation;
    this.counts.set(invariant, this.count(invariant) + 1);
    const kept = this.kept.get(invariant) ?? [];
    if (kept.length < keptPerInvariant) kept.push(violation);
    this.kept.set(invariant, kept);
  }

  count(invariant: Invariant): number {
    return this.counts.get(invariant) ?? 0;
  }

  /** The first of them. */
  of(invariant: Invariant): readonly Violation[] {
    return this.kept.get(invariant) ?? [];
  }
}
