import { expect, test } from "vitest";
import { tablesAfter } from "../../engine/testing/apply.ts";
import type { AccountEvent } from "../../schemas/generated.ts";
import { statements } from "./statements.ts";

const opened: AccountEvent = { type: "AccountOpened", data: { owner: "Ada" } };
const closed: AccountEvent = { type: "AccountClosed", data: {} };
const booked_at = new Date("2020-01-01T00:00:00.000Z");

test("each movement is one row, signed, with what it was for and which command asked for it", async () => {
  const events: AccountEvent[] = [
    opened,
    { type: "FundsDeposited", data: { amountCents: 700, reference: "salary" } },
    { type: "FundsWithdrawn", data: { amountCents: 200, reference: null } },
  ];
  expect(await tablesAfter(statements, events)).toEqual({
    statements: [
      { key: ["a-1", 2], amount_cents: 700, reference: "salary", command_id: "c-2", booked_at },
      { key: ["a-1", 3], amount_cents: -200, reference: null, command_id: "c-3", booked_at },
    ],
  });
});

test("opening and closing move no money", async () => {
  expect(await tablesAfter(statements, [opened, closed])).toEqual({ statements: [] });
});
