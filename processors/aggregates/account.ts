import { accept, type Decider, reject } from "../../engine/decider.ts";
import type { AccountCommand, AccountEvent, AccountState } from "../../schemas/generated.ts";

export type AccountRejection =
  | "AlreadyOpened"
  | "NotOpen"
  | "AmountNotPositive"
  | "InsufficientFunds"
  | "BalanceLimitExceeded"
  | "BalanceNotZero";

/** The most an account can hold: the largest long that every reader of the log can read. */
const maxBalanceCents = Number.MAX_SAFE_INTEGER - 1;

/** A customer's account. Invariant: `balanceCents` is never negative. */
export const account: Decider<AccountState, AccountCommand, AccountEvent, AccountRejection> = {
  initialState: { status: "absent", owner: "", balanceCents: 0 },
  foldVersion: 1,

  decide({ type, data }, { status, balanceCents }) {
    if (type === "OpenAccount") {
      return status === "absent"
        ? accept({ type: "AccountOpened", data: { owner: data.owner } })
        : reject("AlreadyOpened");
    }
    if (status !== "open") return reject("NotOpen");
    if (type === "CloseAccount") {
      return balanceCents === 0
        ? accept({ type: "AccountClosed", data: {} })
        : reject("BalanceNotZero");
    }

    const { amountCents, reference } = data;
    if (amountCents <= 0) return reject("AmountNotPositive");
    switch (type) {
      case "DepositFunds":
        if (amountCents > maxBalanceCents - balanceCents) return reject("BalanceLimitExceeded");
        return accept({ type: "FundsDeposited", data: { amountCents, reference } });
      case "WithdrawFunds":
        if (amountCents > balanceCents) return reject("InsufficientFunds");
        return accept({ type: "FundsWithdrawn", data: { amountCents, reference } });
    }
  },

  evolve(state, { type, data }) {
    switch (type) {
      case "AccountOpened":
        return { ...state, status: "open", owner: data.owner };
      case "FundsDeposited":
        return { ...state, balanceCents: state.balanceCents + data.amountCents };
      case "FundsWithdrawn":
        return { ...state, balanceCents: state.balanceCents - data.amountCents };
      case "AccountClosed":
        return { ...state, status: "closed" };
    }
  },
};
