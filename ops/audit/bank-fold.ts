import { hash } from "node:crypto";
import type { SeenEvent } from "./handling.ts";

/**
 * The bank's four events folded a second time, by other code than the decider's and the projections': what the
 * log says each account is, and whether money can have gone that way.
 */

export interface Account {
  readonly owner: string;
  readonly status: "open" | "closed";
  readonly balanceCents: number;
  readonly version: number;
  /** Of the last event, in milliseconds since the epoch. */
  readonly updatedAt: number;
  readonly movements: Movements;
}

/** Rows of the statements as a set: two sets with the same sums are the same, but for a chance of 2^-64. */
export interface Movements {
  readonly count: number;
  readonly low: number;
  readonly high: number;
}

export interface Movement {
  readonly version: number;
  readonly amountCents: number;
  readonly reference: string | null;
  readonly commandId: string;
  /** Milliseconds since the epoch. */
  readonly bookedAt: number;
}

export const noMovements: Movements = { count: 0, low: 0, high: 0 };

export function withMovement({ count, low, high }: Movements, movement: Movement): Movements {
  const { version, amountCents, reference, commandId, bookedAt } = movement;
  const row = JSON.stringify([version, amountCents, reference, commandId, bookedAt]);
  const digest = hash("sha256", row, "buffer");
  return {
    count: count + 1,
    low: (low + digest.readUInt32LE(0)) >>> 0,
    high: (high + digest.readUInt32LE(4)) >>> 0,
  };
}

/** The row of the statements that an event makes, if it moves money. */
export function movementOf({ type, data, version, commandId, record }: SeenEvent): Movement | null {
  if (type !== "FundsDeposited" && type !== "FundsWithdrawn") return null;
  const amount = Number(data["amountCents"]);
  const reference = data["reference"];
  return {
    version,
    amountCents: type === "FundsDeposited" ? amount : -amount,
    reference: typeof reference === "string" ? reference : null,
    commandId: commandId ?? "",
    bookedAt: record.timestamp,
  };
}

/** What an account was before an event, and what no event may do to it; `null` where all is well. */
export type Objection = { readonly expected: string; readonly found: string } | null;

/** The account after the event, and what speaks against it. The event counts all the same. */
export function foldEvent(
  account: Account | undefined,
  event: SeenEvent,
): { readonly account: Account; readonly objection: Objection } {
  const { type, data, version, record } = event;
  const seen = { version, updatedAt: record.timestamp };
  const before = account ?? unopened;
  if (type === "AccountOpened") {
    const isNew = account === undefined;
    return {
      account: { ...before, ...seen, owner: String(data["owner"]), status: "open" },
      objection: isNew ? null : { expected: "an account opened once", found: "opened again" },
    };
  }
  if (type === "AccountClosed") {
    const isEmpty = before.balanceCents === 0;
    const found = `closed with ${before.balanceCents}`;
    return {
      account: { ...before, ...seen, status: "closed" },
      objection: mustBeOpen(account) ?? (isEmpty ? null : { expected: "closed with 0", found }),
    };
  }
  const movement = movementOf(event);
  if (movement === null) {
    const expected = "an event of the bank's";
    return { account: { ...before, ...seen }, objection: { expected, found: type } };
  }
  const balanceCents = before.balanceCents + movement.amountCents;
  return {
    account: {
      ...before,
      ...seen,
      balanceCents,
      movements: withMovement(before.movements, movement),
    },
    objection: mustBeOpen(account) ?? mustBeSound(data["amountCents"], balanceCents),
  };
}

const unopened: Account = {
  owner: "",
  status: "open",
  balanceCents: 0,
  version: 0,
  updatedAt: 0,
  movements: noMovements,
};

function mustBeOpen(account: Account | undefined): Objection {
  if (account?.status === "open") return null;
  return { expected: "an open account", found: account?.status ?? "never opened" };
}

function mustBeSound(amount: unknown, balanceCents: number): Objection {
  if (typeof amount !== "number" || amount <= 0) {
    return { expected: "an amount above 0", found: String(amount) };
  }
  if (balanceCents < 0) return { expected: "a balance of at least 0", found: String(balanceCents) };
  if (Number.isSafeInteger(balanceCents)) return null;
  return { expected: "a balance that can be told exactly", found: String(balanceCents) };
}
