import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { given } from "../../engine/testing/given.ts";
import type { AccountCommand, AccountEvent } from "../../schemas/generated.ts";
import { account } from "./account.ts";

const about = { commandId: "c", accountId: "a", issuedAt: null, expectedVersion: null };
const open: AccountCommand = { type: "OpenAccount", data: { ...about, owner: "Ada" } };
const close: AccountCommand = { type: "CloseAccount", data: about };
const deposit = (amountCents: number, reference: string | null = null): AccountCommand => ({
  type: "DepositFunds",
  data: { ...about, amountCents, reference },
});
const withdraw = (amountCents: number, reference: string | null = null): AccountCommand => ({
  type: "WithdrawFunds",
  data: { ...about, amountCents, reference },
});
const opened: AccountEvent = { type: "AccountOpened", data: { owner: "Ada" } };
const closed: AccountEvent = { type: "AccountClosed", data: {} };
const deposited = (amountCents: number, reference: string | null = null): AccountEvent => ({
  type: "FundsDeposited",
  data: { amountCents, reference },
});
const withdrawn = (amountCents: number, reference: string | null = null): AccountEvent => ({
  type: "FundsWithdrawn",
  data: { amountCents, reference },
});
const most = Number.MAX_SAFE_INTEGER - 1;

describe("an account", () => {
  test("is opened once", () => {
    given(account).when(open).accepts(opened);
    given(account, opened).when(open).rejects("AlreadyOpened");
  });

  test("takes nothing before it is opened nor after it is closed", () => {
    for (const command of [deposit(1), withdraw(1), close]) {
      given(account).when(command).rejects("NotOpen");
      given(account, opened, closed).when(command).rejects("NotOpen");
    }
    given(account, opened, closed).when(open).rejects("AlreadyOpened");
  });

  test("takes deposits and gives withdrawals, with their reference", () => {
    given(account, opened).when(deposit(500, "salary")).accepts(deposited(500, "salary"));
    given(account, opened, deposited(500))
      .when(withdraw(500, "rent"))
      .accepts(withdrawn(500, "rent"));
  });

  test("is never overdrawn", () => {
    given(account, opened, deposited(500)).when(withdraw(501)).rejects("InsufficientFunds");
  });

  test.each([0, -1, -most])("refuses an amount of %d", (amountCents) => {
    given(account, opened, deposited(5)).when(deposit(amountCents)).rejects("AmountNotPositive");
    given(account, opened, deposited(5)).when(withdraw(amountCents)).rejects("AmountNotPositive");
  });

  test("holds no more than every reader of the log can read", () => {
    given(account, opened).when(deposit(most)).accepts(deposited(most));
    given(account, opened, deposited(1)).when(deposit(most)).rejects("BalanceLimitExceeded");
  });

  test("is closed only when it holds nothing", () => {
    given(account, opened, deposited(1)).when(close).rejects("BalanceNotZero");
    given(account, opened, deposited(1), withdrawn(1)).when(close).accepts(closed);
  });

  test("holds exactly what came in and did not go out, whatever is asked of it", () => {
    const amount = fc.integer({ min: -10, max: 1_000 });
    const command = fc.oneof(
      fc.constant(open),
      fc.constant(close),
      amount.map(deposit1),
      amount.map(withdraw1),
    );
    fc.assert(
      fc.property(fc.array(command, { maxLength: 60 }), (commands) => {
        let state = account.initialState;
        let held = 0;
        for (const it of commands) {
          const decision = account.decide(it, state);
          if (decision.kind === "rejected") continue;
          for (const event of decision.events) {
            if (event.type === "FundsDeposited") held += event.data.amountCents;
            if (event.type === "FundsWithdrawn") held -= event.data.amountCents;
            state = account.evolve(state, event);
          }
          expect(state.balanceCents).toBe(held);
          expect(held).toBeGreaterThanOrEqual(0);
        }
      }),
    );
  });
});

const deposit1 = (amountCents: number) => deposit(amountCents);
const withdraw1 = (amountCents: number) => withdraw(amountCents);
