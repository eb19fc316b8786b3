import { expect, test, vi } from "vitest";
import { account } from "../../processors/aggregates/account.ts";
import { balances } from "../../processors/projections/balances.ts";
import { statements } from "../../processors/projections/statements.ts";
import { bankTopics } from "../../test/bank.ts";
import type { Application } from "../application.ts";
import type { Message } from "../decider.ts";
import { uuidV7 } from "../message.ts";
import { commandStatus } from "../projections/command-status.ts";
import { eventIndex } from "../projections/event-index.ts";
import { commandProcessor, projector } from "../worker.ts";
import { exploreCrashes } from "./crash-points.ts";
import { randomFrom } from "./jumping-clock.ts";

/** Hundreds of runs, which take two seconds where nothing else runs. */
const patienceMs = 60_000;

const topics = bankTopics("explored");
const ownTopics = { topics: [topics.events] };

const bank: Application = {
  workers: {
    account: commandProcessor(account, topics),
    balances: projector({ ...balances, ...ownTopics }),
    statements: projector({ ...statements, ...ownTopics }),
  },
};

function command(type: string, commandId: string, fields: object): Message {
  return { type, data: { commandId, ...fields } };
}

const ada = { accountId: "ada" };
const bob = { accountId: "bob" };
const commands: readonly Message[] = [
  command("OpenAccount", "c-1", { ...ada, owner: "Ada" }),
  command("DepositFunds", "c-2", { ...ada, amountCents: 500 }),
  command("OpenAccount", "c-3", { ...bob, owner: "Bob" }),
  command("WithdrawFunds", "c-4", { ...ada, amountCents: 501 }),
  command("WithdrawFunds", "c-5", { ...ada, amountCents: 200, expectedVersion: 1 }),
  command("WithdrawFunds", "c-6", { ...ada, amountCents: 200, expectedVersion: 2 }),
  command("DepositFunds", "c-7", { ...bob, amountCents: 200 }),
];

test(
  "an application that does it right survives a crash anywhere",
  async () => {
    const report = await exploreCrashes(bank, commands);
    expect(report).toMatchObject({ commands: 7, events: 5, runs: report.points + 1 });
    expect(report.places).toHaveLength(report.points);
    for (const api of ["AddPartitionsToTxn", "Produce", "TxnOffsetCommit", "EndTxn"]) {
      expect(report.places).toContain(`before ${api} of the 2nd transaction of account/0`);
      expect(report.places).toContain(`after ${api} of the 2nd transaction of account/0`);
    }
    for (const place of [
      "before the 1st InitProducerId of account/1",
      "after the 3rd Fetch of account/0",
      "before the 2nd commit of balances from account.events/0",
      "after the 1st commit of statements from account.events/0",
      "after the 2nd write to the local store of account/0",
    ]) {
      expect(report.places).toContain(place);
    }
  },
  patienceMs,
);

test(
  "the engine's own views survive it too, replies and all",
  async () => {
    const own = {
      account: commandProcessor(account, topics),
      command_status: projector(commandStatus([topics])),
      event_index: projector(eventIndex([topics])),
    };
    const report = await exploreCrashes({ workers: own }, commands.slice(0, 4));
    expect(report.places).toContain(
      "after the 1st commit of command_status from account.replies/0",
    );
  },
  patienceMs,
);

test("the same commands have the same points each time", async () => {
  const [first, second] = [
    await exploreCrashes(bank, commands, { point: 1 }),
    await exploreCrashes(bank, commands, { point: 2 }),
  ];
  expect(second.places).toEqual(first.places);
});

test("where there are more points than are to be tried, it takes an even choice and says so", async () => {
  const said = vi.spyOn(console, "log").mockImplementation(() => undefined);
  const { points, runs } = await exploreCrashes(bank, commands, { atMost: 10, seed: 3 });
  expect(runs).toBe(11);
  expect(said.mock.calls).toEqual([
    [
      `exploreCrashes tries 10 of ${points} points, evenly spread; { seed: 4 } takes others, ` +
        `{ atMost: ${points} } takes all.`,
    ],
  ]);
  said.mockRestore();
});

test("command ids that were issued just now are not ahead of the run's clock", async () => {
  const commandId = uuidV7(Date.now(), randomFrom(1));
  const opening = command("OpenAccount", commandId, { ...ada, owner: "Ada" });
  expect(await exploreCrashes(bank, [opening], { point: 1 })).toMatchObject({ events: 1 });
});

test("one point by itself is one run more than the undisturbed one", async () => {
  const { runs, places } = await exploreCrashes(bank, commands, { point: 17 });
  expect(runs).toBe(2);
  const beyond = places.length + 1;
  await expect(exploreCrashes(bank, commands, { point: beyond })).rejects.toThrow(
    `There is no point ${beyond}: these commands have the points 1 to ${places.length}.`,
  );
});

test("what cannot be a command, and no command at all, is refused", async () => {
  await expect(exploreCrashes(bank, [])).rejects.toThrow("nothing to explore");
  const stealing = [command("Steal", "c-1", ada)];
  await expect(exploreCrashes(bank, stealing)).rejects.toThrow("Steal is not a command");
});
