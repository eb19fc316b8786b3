import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { OutRecord } from "../../engine/log.ts";
import { partitionOf } from "../../engine/message.ts";
import { poisons } from "../poisons.ts";
import { openServedBank, type ServedBank } from "./served-bank.ts";

let bank: ServedBank;

beforeAll(async () => {
  bank = await openServedBank();
});

afterAll(async () => bank.close());

const open = (account: string, id: string) =>
  bank.command("OpenAccount", account, id, { owner: "Ada" });
const deposit = (account: string, id: string, fields: Readonly<Record<string, unknown>> = {}) =>
  bank.command("DepositFunds", account, id, { amountCents: 1, ...fields });

async function statusOf(id: string, query = ""): Promise<Readonly<Record<string, unknown>>> {
  return (await bank.get(`/commands/${encodeURIComponent(id)}${query}`)).body;
}

/** As the address in an answer 202 says where the command stands. */
function at(account: string, offset: bigint | undefined): string {
  const partition = partitionOf(account, bank.topics.commands.partitions);
  const query = new URLSearchParams({
    aggregate: "account",
    aggregateId: account,
    at: `${partition}-${String(offset)}`,
  });
  return `?${query.toString()}`;
}

describe("the status of a command", () => {
  test("is its answer, and of an accepted one has the token that its reader needs", async () => {
    const [first = 0n] = await bank.send(
      open("a", "a-open"),
      deposit("a", "a-none", { amountCents: 0 }),
      deposit("a", "a-stale", { expectedVersion: 7 }),
    );
    const accepted = await statusOf("a-open");
    expect(accepted).toEqual({
      commandId: "a-open",
      aggregate: "account",
      aggregateId: "a",
      outcome: "accepted",
      version: 1,
      reason: null,
      answeredAt: expect.stringMatching(/^\d{4}-.*Z$/) as string,
      token: bank.token("a", first, 1),
    });
    const rejected = { outcome: "rejected", reason: "AmountNotPositive", version: 1 };
    expect(await statusOf("a-none")).toMatchObject(rejected);
    expect(await statusOf("a-none")).not.toHaveProperty("token");
    expect(await statusOf("a-stale")).toMatchObject({ outcome: "conflict", version: 1 });
  });

  test("of a duplicate is the first answer with the first token", async () => {
    const [first = 0n] = await bank.send(open("twice", "twice-1"));
    await bank.send(deposit("twice", "twice-2"), open("twice", "twice-1"));
    const { outcome, version, token } = await statusOf("twice-1");
    expect({ outcome, version, token }).toEqual({
      outcome: "accepted",
      version: 1,
      token: bank.token("twice", first, 1),
    });
  });

  test("of one that nobody sent is not there", async () => {
    expect(await statusOf("never")).toMatchObject({ status: 404, code: "NOT_FOUND" });
  });

  test("is asked for by id and aggregate where several aggregates use one id", async () => {
    // On both partitions and on the same one: three accounts cannot all be apart on fewer.
    const accounts = ["m", "n", "o", "p"];
    await bank.send(...accounts.map((account) => open(account, "same")), deposit("q", "same"));
    const { status, code, aggregates } = await statusOf("same");
    expect({ status, code }).toEqual({ status: 409, code: "AMBIGUOUS" });
    expect(aggregates).toEqual(
      [...accounts, "q"].map((aggregateId) => ({ aggregate: "account", aggregateId })),
    );
    for (const account of accounts) {
      const own = await statusOf("same", `?aggregate=account&aggregateId=${account}`);
      expect(own).toMatchObject({ aggregateId: account, outcome: "accepted" });
    }
    expect(await statusOf("same", "?aggregateId=q")).toMatchObject({ outcome: "rejected" });
  });

  test("stays accepted where the id is used for another command, on whatever partition", async () => {
    const [, offset] = await bank.send(open("firm", "firm-1"), deposit("firm", "firm-1"));
    expect(await statusOf("firm-1")).toMatchObject({ outcome: "accepted", version: 1 });
    // Whoever sent the second command is told what became of that one.
    expect(await statusOf("firm-1", at("firm", offset))).toMatchObject({
      outcome: "failed",
      reason: "COMMAND_ID_REUSED",
    });
    const own = partitionOf("firm", bank.topics.commands.partitions);
    await bank.send({ ...open("firm", "firm-1"), partition: (own + 1) % 3 });
    expect(await statusOf("firm-1")).toMatchObject({ outcome: "accepted", version: 1 });
  });

  test("is that it failed, and why, until it is answered for good", async () => {
    const own = partitionOf("later", bank.topics.commands.partitions);
    await bank.send({ ...open("later", "later-1"), partition: (own + 1) % 3 });
    expect(await statusOf("later-1")).toMatchObject({
      outcome: "failed",
      reason: "WRONG_PARTITION",
    });
    await bank.send(open("later", "later-1"));
    expect(await statusOf("later-1")).toMatchObject({ outcome: "accepted", reason: null });
  });

  test("knows ids with slashes, newlines, emoji and __proto__", async () => {
    const ids = ["with/slash", "line\nbreak", "🏦", "__proto__", "%41", "@0/1", "x@1"];
    await bank.send(...ids.map((id) => open(`of ${id}`, id)));
    for (const id of ids) {
      const found = await statusOf(id, `?aggregateId=${encodeURIComponent(`of ${id}`)}`);
      expect(found, id).toMatchObject({
        commandId: id,
        aggregateId: `of ${id}`,
        outcome: "accepted",
      });
    }
  });
});

describe("the address of an answer 202", () => {
  test("says that the command is pending until it has been handled, then its answer", async () => {
    const [offset = 0n] = await bank.send(open("w", "w-1"));
    expect(await statusOf("w-1", at("w", offset))).toMatchObject({ outcome: "accepted" });
    // Sent again: the answer of the first sending is not the answer of this one yet.
    expect(await statusOf("w-1", at("w", offset + 1_000n))).toEqual({
      commandId: "w-1",
      aggregate: "account",
      aggregateId: "w",
      outcome: "pending",
      version: null,
      reason: null,
      answeredAt: null,
    });
    const [again] = await bank.send(open("w", "w-1"));
    expect(await statusOf("w-1", at("w", again))).toMatchObject({ outcome: "accepted" });
  });

  test("of a record that nobody can read says what is wrong with it", async () => {
    const record: OutRecord = { ...open("torn", "torn-1"), value: Buffer.from([0, 0, 0]) };
    const [offset] = await bank.send(record);
    expect(await statusOf("torn-1", at("torn", offset))).toMatchObject({
      outcome: "failed",
      reason: "BAD_WIRE_FORMAT",
    });
  });

  test("of every kind of record that can never be processed says why, and no view stops", async () => {
    for (const { what, code, commandId, record } of poisons) {
      const sent = record(bank);
      const [offset = 0n] = await bank.send(sent);
      const where = `?aggregate=account&at=${sent.partition}-${offset}`;
      const found = await statusOf(commandId ?? "unknown", where);
      expect(found, what).toMatchObject({ outcome: "failed", reason: code });
    }
  });

  test("of another command, handled long since, finds nothing", async () => {
    const [offset] = await bank.send(open("z", "z-1"), deposit("z", "z-2"));
    expect(await statusOf("z-9", at("z", offset))).toMatchObject({ status: 404 });
  });

  test.each([
    ["?at=0-1", "query at"],
    ["?aggregate=account&at=1", "query at"],
    ["?aggregate=account&at=3-1", "query at"],
    ["?aggregate=card", "query aggregate"],
    ["?aggregate=__proto__", "query aggregate"],
    ["?aggregateId=", "query aggregateId"],
    ["?token=x", "query token"],
  ])("with %s is refused", async (query, field) => {
    expect(await statusOf("w-1", query)).toMatchObject({ status: 400, errors: [{ field }] });
  });
});
