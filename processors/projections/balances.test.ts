import { expect, test } from "vitest";
import { tablesAfter } from "../../engine/testing/apply.ts";
import type { AccountEvent } from "../../schemas/generated.ts";
import { balances } from "./balances.ts";

const opened: AccountEvent = { type: "AccountOpened", data: { owner: "Ada" } };
const closed: AccountEvent = { type: "AccountClosed", data: {} };
const time = new Date("2020-01-01T00:00:00.000Z");

function deposited(amountCents: number): AccountEvent {
  return { type: "FundsDeposited", data: { amountCents, reference: null } };
}

function withdrawn(amountCents: number): AccountEvent {
  return { type: "FundsWithdrawn", data: { amountCents, reference: null } };
}

test("an opened account is there with nothing on it", async () => {
  expect(await tablesAfter(balances, [opened])).toEqual({
    balances: [
      {
        key: ["a-1"],
        owner: "Ada",
        status: "open",
        balance_cents: 0,
        version: 1,
        updated_at: time,
      },
    ],
  });
});

test("the balance is what came in less what went out, as of the last event", async () => {
  const later = new Date("2020-06-01T12:00:00.000Z");
  const events = [opened, deposited(700), withdrawn(200), { ...deposited(1), time: later }];
  expect((await tablesAfter(balances, events)).balances).toMatchObject([
    { balance_cents: 501, version: 4, updated_at: later },
  ]);
});

test("a closed account stays, as closed", async () => {
  const events = [opened, deposited(5), withdrawn(5), closed];
  expect((await tablesAfter(balances, events)).balances).toMatchObject([
    { owner: "Ada", status: "closed", balance_cents: 0, version: 4 },
  ]);
});

test("each account has its own row", async () => {
  const events = [
    opened,
    { ...opened, aggregateId: "__proto__" },
    { ...deposited(3), aggregateId: "__proto__" },
    deposited(4),
  ];
  expect((await tablesAfter(balances, events)).balances).toMatchObject([
    { key: ["__proto__"], balance_cents: 3, version: 2 },
    { key: ["a-1"], balance_cents: 4, version: 2 },
  ]);
});

test("a movement on an account that was never opened is refused, not invented", async () => {
  await expect(tablesAfter(balances, [deposited(1)])).rejects.toThrow(
    'table "balances": row ["a-1"] is not there',
  );
});
