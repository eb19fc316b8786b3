import { describe, expect, test } from "vitest";
import { account } from "../../processors/aggregates/account.ts";
import { bankTopics } from "../../test/bank.ts";
import type { AccountCommand, AccountEvent, AccountState } from "../../schemas/generated.ts";
import { accept, type Decider, type Message } from "../decider.ts";
import type { Projection } from "../projection.ts";
import { commandProcessor, projector, type Worker } from "../worker.ts";
import { exploreCrashes } from "./crash-points.ts";

/** What authors get wrong, and what they are told. */

const topics = bankTopics("mistaken");

type Account = Decider<AccountState, AccountCommand, AccountEvent, string>;
type View = Projection<AccountEvent, "view">;

const opening = command("OpenAccount", { owner: "Ada" });
const deposit = command("DepositFunds", { amountCents: 500, reference: "rent" });
const elsewhere = command("OpenAccount", { owner: "Bob", accountId: "bob", commandId: "c-bob" });
const both: readonly Message[] = [opening, deposit];

function command(type: string, fields: object): Message {
  return { type, data: { commandId: `c-${type}`, accountId: "ada", ...fields } };
}

/** What an exploration says of a bank of this. */
async function saidOf(
  workers: Readonly<Record<string, Worker>>,
  commands: readonly Message[] = both,
): Promise<string> {
  try {
    await exploreCrashes({ workers }, commands);
  } catch (error) {
    return (error as Error).message;
  }
  throw new Error("It found nothing.");
}

const saidOfDecider = (changes: Partial<Account>, commands = both) =>
  saidOf({ account: commandProcessor({ ...account, ...changes }, topics) }, commands);

const view: Omit<View, "apply"> = {
  name: "view",
  version: 1,
  topics: [topics.events],
  tables: { view: "id text primary key, total bigint, last text" },
};

const saidOfView = (apply: View["apply"], commands = both) =>
  saidOf(
    { account: commandProcessor(account, topics), view: projector({ ...view, apply }) },
    commands,
  );

const withoutCrash = "No process was killed: it is so without a crash, too.";

describe("of a decider that", () => {
  test("changes the state in evolve", async () => {
    const said = await saidOfDecider({
      evolve(state, event) {
        (state as { owner: string }).owner = event.type;
        return state;
      },
    });
    expect(said).toBe(
      [
        "evolve of account changed what it was given, which is frozen here: " +
          "Cannot assign to read only property 'owner' of object '#<Object>'.",
        `  with AccountOpened {"owner":"Ada"} on {"status":"absent","owner":"","balanceCents":0}`,
        withoutCrash,
      ].join("\n"),
    );
  });

  test("changes the command in decide", async () => {
    const said = await saidOfDecider({
      decide(given, state) {
        (given.data as { commandId: string }).commandId = "mine";
        return account.decide(given, state);
      },
    });
    expect(said).toMatch(/^decide of account changed what it was given.*'commandId'/);
  });

  test("throws for a business no", async () => {
    const said = await saidOfDecider({
      decide() {
        throw new Error("No funds");
      },
    });
    expect(said).toMatch(
      /^decide of account threw: No funds\.\n {2}with OpenAccount .*"ada".* on \{/,
    );
    expect(said).toContain("A business no is reject(reason); decide never throws.");
  });

  test("answers with something else than accept or reject", async () => {
    const decide = (async () => accept("")) as unknown as Account["decide"];
    const said = await saidOfDecider({ decide });
    expect(said).toMatch(/^decide of account must return accept\(…\) or reject\(…\)\./);
    expect(said).toContain(`it returned "a Promise"`);
  });

  test("decides by something that is neither command nor state", async () => {
    let asked = 0;
    const said = await saidOfDecider({
      decide: () => accept({ type: "AccountOpened", data: { owner: `Ada ${++asked}` } }),
    });
    expect(said).toMatch(/^decide of account gives different answers to OpenAccount/);
    expect(said).toMatch(
      /at \.events\[0\]\.data\.owner\n {4}expected "Ada \d"\n {4}found {4}"Ada \d"/,
    );
    expect(said).toContain("no time, no chance, nothing that is kept outside of the state");
  });

  test("decides by what changes from run to run", async () => {
    let opened = 0;
    const said = await saidOfDecider({
      decide(given, state) {
        if (given.type !== "OpenAccount") return account.decide(given, state);
        opened += 1; // As a clock does, it stays for a while, and goes on some time.
        return accept({ type: "AccountOpened", data: { owner: opened < 20 ? "Ada" : "Eve" } });
      },
    });
    expect(said).toMatch(/^decide of account gives different answers to OpenAccount/);
    expect(said).toMatch(/The process was killed at point (\d+) of \d+: (before|after) the .*\./);
    const [, point] = /at point (\d+)/.exec(said) ?? [];
    expect(said).toContain(
      `Only this again: exploreCrashes(application, commands, { point: ${point ?? ""} })`,
    );
  });

  test("folds by chance", async () => {
    let folded = 0;
    const said = await saidOfDecider({
      evolve: (state) => ({ ...state, balanceCents: ++folded }),
    });
    expect(said).toMatch(/^evolve of account gives different states for AccountOpened/);
  });

  test("cannot fold an event that it has decided", async () => {
    const said = await saidOfDecider({
      evolve(state, event) {
        if (event.type === "FundsDeposited") throw new Error("not yet");
        return account.evolve(state, event);
      },
    });
    expect(said).toMatch(/^evolve of account threw: not yet\.\n {2}with FundsDeposited .*"rent"/);
  });

  test("makes an event that its schema cannot hold", async () => {
    const said = await saidOfDecider({
      decide: () => accept({ type: "FundsDeposited", data: { amountCents: 0.5, reference: null } }),
    });
    expect(said).toMatch(/^The event FundsDeposited of account does not fit its schema\./);
    expect(said).toContain("FundsDeposited.amountCents: expected an integer within ±(2^53 − 2)");
  });

  test("keeps in its state what the schema of the state does not have", async () => {
    const said = await saidOfDecider({
      evolve: (state, event) => ({ ...account.evolve(state, event), seen: [event.type] }),
    });
    expect(said).toMatch(/^The state of account does not survive its schema AccountState\./);
    expect(said).toContain(`at .seen\n    expected ["AccountOpened"]\n    found    nothing`);
  });

  test("folds by what an event has in memory and not in the log", async () => {
    const said = await saidOfDecider({
      decide: (given, state) =>
        given.type === "OpenAccount"
          ? accept({
              type: "AccountOpened",
              data: { owner: "Ada", vip: true } as { owner: string },
            })
          : account.decide(given, state),
      evolve: (state, event) =>
        "vip" in event.data ? { ...state, owner: "VIP" } : account.evolve(state, event),
    });
    expect(said).toMatch(
      /^evolve of account gives another state for AccountOpened once it comes from the log\./,
    );
    expect(said).toContain(`at .owner\n    expected "VIP"\n    found    "Ada"`);
  });
});

describe("of a projection that", () => {
  test("cannot take an event", async () => {
    const said = await saidOfView(({ aggregateId }, rows) => {
      rows.view.patch(aggregateId, { total: 0 });
    });
    expect(said).toMatch(/^The view view stands still at ada\/1, AccountOpened\./);
    expect(said).toContain("is not there");
    expect(said).toContain(withoutCrash);
  });

  test("changes its event", async () => {
    const said = await saidOfView((event) => {
      (event.data as { owner: string }).owner = "Eve";
    });
    expect(said).toContain("apply of view changed what it was given, which is frozen here");
  });

  test("remembers what it was given before", async () => {
    let total = 0;
    const said = await saidOfView(({ aggregateId, ...event }, rows) => {
      if (event.type === "FundsDeposited") total += event.data.amountCents;
      rows.view.upsert(aggregateId, { total });
    });
    expect(said).toBe(
      [
        "The rows of view are not those that a rebuild gives.",
        `  at ["ada"].total`,
        "    expected 1000",
        "    found    500",
        "  apply must depend on its event alone: not on what it was given before, on time, or on chance; " +
          "and a row that several aggregates write takes only add.",
        withoutCrash,
      ].join("\n"),
    );
  });

  test("writes one row from several aggregates, last one wins", async () => {
    const said = await saidOfView(
      ({ aggregateId }, rows) => {
        rows.view.upsert("all", { last: aggregateId });
      },
      [opening, elsewhere],
    );
    expect(said).toMatch(/^The rows of view (are not those that a rebuild gives|depend on how)/);
  });

  test("writes a row that another of its events has still to make", async () => {
    const said = await saidOfView(
      ({ aggregateId }, rows) => {
        if (aggregateId === "ada") rows.view.insert("all", { total: 1 });
        else rows.view.add("all", { total: 1 });
      },
      [opening, elsewhere],
    );
    expect(said).toMatch(/^The view view cannot be rebuilt from the log in one batch\./);
  });
});
