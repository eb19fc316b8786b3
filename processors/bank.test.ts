import { expect, test } from "vitest";
import { exploreCrashes } from "../engine/testing/index.ts";
import { logWorkers } from "./workers.ts";

/** The bank as a whole, killed wherever it does anything. */

const { account, balances, statements } = logWorkers;

let sent = 0;
const command = (type: string, accountId: string, fields: object = {}) => {
  sent += 1;
  return { type, data: { commandId: `c-${sent}`, accountId, ...fields } };
};

const commands = [
  command("OpenAccount", "ada", { owner: "Ada" }),
  command("OpenAccount", "bob", { owner: "Bob" }),
  command("DepositFunds", "ada", { amountCents: 500, reference: "wages" }),
  command("WithdrawFunds", "ada", { amountCents: 501 }),
  command("WithdrawFunds", "ada", { amountCents: 200, expectedVersion: 2 }),
  command("DepositFunds", "bob", { amountCents: 200, reference: "from Ada" }),
  command("DepositFunds", "ada", { amountCents: 5, expectedVersion: 2 }),
  command("CloseAccount", "ada"),
  command("WithdrawFunds", "ada", { amountCents: 300 }),
  command("CloseAccount", "ada"),
  command("DepositFunds", "ada", { amountCents: 5 }),
  command("OpenAccount", "ada", { owner: "Eve" }),
];

test("the bank survives a crash anywhere", async () => {
  const workers = { account, balances, statements };
  const { points, runs, events } = await exploreCrashes({ workers }, commands);
  expect(points).toBeGreaterThan(300);
  expect(runs).toBe(points + 1);
  expect(events).toBe(7);
}, 60_000);
