import { afterEach, expect, test } from "vitest";
import { balances } from "../../processors/projections/balances.ts";
import { account } from "../../processors/aggregates/account.ts";
import { bankTopics } from "../../test/bank.ts";
import type { Projection } from "../projection.ts";
import type { AccountEvent } from "../../schemas/generated.ts";
import { accept, type Decision } from "../decider.ts";
import { commandProcessor, projector } from "../worker.ts";
import { type MemoryApplication, runInMemory } from "./memory-application.ts";

const topics = bankTopics("memory");
const processor = commandProcessor(account, topics);
let running: MemoryApplication[] = [];

async function run(projection: Projection<never, string>, decider = processor) {
  const own = { ...projection, topics: [topics.events] };
  const app = await runInMemory({ workers: { account: decider, view: projector(own) } });
  running.push(app);
  return app;
}

afterEach(async () => {
  for (const app of running) await app.stop();
  running = [];
});

const anyView = balances as unknown as Projection<never, string>;
const open = (accountId: string) => ({
  type: "OpenAccount",
  data: { commandId: `open-${accountId}`, accountId, owner: "Ada" },
});
const deposit = (accountId: string, amountCents: number) => ({
  type: "DepositFunds",
  data: { commandId: `deposit-${accountId}-${amountCents}`, accountId, amountCents },
});

test("an application in memory answers commands and keeps its views", async () => {
  const app = await run(anyView);
  expect(await app.send(deposit("a", 5))).toMatchObject({ outcome: "rejected", reason: "NotOpen" });
  expect(await app.send(open("a"))).toMatchObject({ outcome: "accepted", version: 1 });
  expect(await app.send(open("b"))).toMatchObject({ outcome: "accepted", version: 1 });
  expect(await app.send(deposit("a", 7))).toMatchObject({ outcome: "accepted", version: 2 });
  expect(await app.send(deposit("a", 7))).toMatchObject({ outcome: "accepted", duplicate: true });
  expect(await app.rows("balances")).toMatchObject([
    { key: ["a"], balance_cents: 7, version: 2 },
    { key: ["b"], balance_cents: 0, version: 1 },
  ]);
});

test("workers in memory restore their states from the log when they start again", async () => {
  const app = await run(anyView);
  await app.send(open("a"));
  await app.send(deposit("a", 7));
  await app.restart();
  expect(await app.send(open("a"))).toMatchObject({ outcome: "accepted", duplicate: true });
  expect(await app.send(deposit("a", 3))).toMatchObject({ outcome: "accepted", version: 3 });
  expect(await app.rows("balances")).toMatchObject([{ key: ["a"], balance_cents: 10 }]);
});

test("an application in memory shows what has happened to an aggregate", async () => {
  await using app = await runInMemory({ workers: { account: processor } });
  await app.send(open("a"));
  await app.send(open("b"));
  await app.send(deposit("a", 7));
  const events = app.events("account", "a");
  expect(events).toMatchObject([
    { type: "AccountOpened", version: 1, commandId: "open-a", data: { owner: "Ada" } },
    { type: "FundsDeposited", version: 2, data: { amountCents: 7 } },
  ]);
  expect(events[0]?.time).toBeInstanceOf(Date);
  expect(app.events("account", "nobody")).toEqual([]);
  expect(() => app.events("acount", "a")).toThrow("the aggregates are account");
});

test("what the author's functions throw, or make wrong, is thrown at whoever has sent the command", async () => {
  const throwing = commandProcessor(
    {
      ...account,
      decide() {
        throw new Error("I do not know that");
      },
    },
    topics,
  );
  const half = commandProcessor(
    {
      ...account,
      decide: (): Decision<AccountEvent, never> =>
        accept({ type: "FundsDeposited", data: { amountCents: 0.5, reference: null } }),
    },
    topics,
  );
  await using first = await runInMemory({ workers: { account: throwing } });
  await expect(first.send(open("a"))).rejects.toThrow(
    /^OpenAccount failed, DECIDER_THREW: Error: I do not know that\n/,
  );
  await using second = await runInMemory({ workers: { account: half } });
  await expect(second.send(open("a"))).rejects.toThrow("INVALID_EVENT: FundsDeposited.amountCents");
});

test("what cannot be a command is refused with every fault", async () => {
  const app = await run(anyView);
  await expect(app.send({ type: "Steal", data: {} })).rejects.toThrow("Steal is not a command");
  await expect(app.send({ type: "OpenAccount", data: { commandId: 1 } })).rejects.toThrow(
    /commandId.*; .*accountId/,
  );
});

test("a view that cannot take an event says so to whoever asks for its rows", async () => {
  const deaf: Projection<never, string> = {
    ...anyView,
    apply() {
      throw new Error("not this one");
    },
  };
  const app = await run(deaf);
  await app.send(open("a"));
  await expect(app.rows("balances")).rejects.toThrow("not this one");
});

test("a table that is not there is refused by name", async () => {
  const app = await run(anyView);
  await expect(app.rows("balance")).rejects.toThrow("the tables are balances");
});
