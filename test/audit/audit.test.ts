import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { isAborted } from "../../engine/clock.ts";
import { eventKey, headers, partitionOf } from "../../engine/message.ts";
import type { OutRecord } from "../../engine/log.ts";
import { randomFrom } from "../../engine/testing/jumping-clock.ts";
import type { AuditReport } from "../../ops/audit/audit.ts";
import type { ClientEntry } from "../../ops/audit/client-entry.ts";
import { ClientHistory } from "../../ops/audit/clients.ts";
import { poisons } from "../poisons.ts";
import { stockClient } from "../broker/admin.ts";
import { type AuditedBank, openAuditedBank } from "./audited-bank.ts";

/** The audit on the real stack: real workers made what it reads, and then somebody meddles with it. */

const seed = Number(process.env["SEED"] ?? Date.now() % 1_000_000);

/** What is violated, and what is not as the file has it. */
const violated = ({ invariants }: AuditReport) =>
  invariants.filter((it) => it.violated > 0).map(({ id }) => id);
const violations = ({ invariants }: AuditReport) => invariants.flatMap((it) => it.violations);

const accounts = ["a", "b\n", "c/7", "@d", "é😀", "__proto__"];

/**
 * Commands as clients send them: some twice, some that must be refused. An account with money cannot be closed, so all but
 * the last one live, and have rows of versions 2 and 3.
 */
function load(bank: AuditedBank, count: number, random: () => number): OutRecord[] {
  const pick = <T>(list: readonly T[]) => list[Math.floor(random() * list.length)] as T;
  const sent: OutRecord[] = accounts.flatMap((accountId) => {
    const open = bank.command("OpenAccount", randomUUID(), { accountId, owner: accountId });
    if (accountId === accounts.at(-1)) return [open];
    const deposit = () =>
      bank.command("DepositFunds", randomUUID(), { accountId, amountCents: 1_000 });
    return [open, deposit(), deposit()];
  });
  while (sent.length < count) {
    const fields = {
      accountId: pick(accounts),
      owner: "Ada",
      amountCents: Math.floor(random() * 1_000) - 20,
      reference: random() < 0.5 ? "é" : null,
      expectedVersion: random() < 0.05 ? Math.floor(random() * 50) : null,
    };
    const type = pick(["DepositFunds", "DepositFunds", "WithdrawFunds", "CloseAccount"]);
    sent.push(random() < 0.1 ? pick(sent) : bank.command(type, randomUUID(), fields));
  }
  return sent;
}

describe("a bank that nobody meddled with", () => {
  let bank: AuditedBank;
  beforeAll(async () => {
    bank = await openAuditedBank();
  });
  afterAll(async () => {
    await bank.close();
  });

  test("that has not begun holds every invariant", async () => {
    const report = await bank.audit();
    expect(violations(report)).toEqual([]);
    expect(report.counts).toMatchObject({ consumed: 0, events: 0 });
  });

  test("holds every invariant after some hundred commands, bad ones among them", async () => {
    const random = randomFrom(seed);
    const commands = load(bank, 400, random);
    const bad = poisons
      .filter(({ what }) => what !== "a command put on the wrong partition")
      .map(({ record }) => record(bank));
    const wrong = { ...bank.command("DepositFunds", randomUUID(), { amountCents: 1 }) };
    const misplaced = { ...wrong, partition: (wrong.partition + 1) % 3 };
    await bank.send(...commands, ...bad, misplaced, ...load(bank, 50, random));
    await bank.caughtUp();

    const report = await bank.audit();
    expect(violations(report), `SEED=${seed}`).toEqual([]);
    expect(report.hasHeld).toBe(true);
    expect(report.counts).toMatchObject({
      consumed: 450 + bad.length + 1,
      replies: 450 + bad.length + 1,
      deadLetters: bad.length + 1,
      aggregates: accounts.length,
      waiting: 0,
      underWay: 0,
    });
    expect(report.counts.events).toBeGreaterThan(50);
    expect(report.rows["balances"]).toBe(accounts.length);
    const checked = new Map(report.invariants.map((it) => [it.id, it.checked]));
    expect(checked.get("oracle")).toBeGreaterThan(300);
    expect(checked.get("I13")).toBeGreaterThanOrEqual(5 * 3);
  });

  test("is held against what its clients were told", async () => {
    const told = await bank.toldToClients();
    expect(told.length).toBeGreaterThan(500);
    const history = (entries: readonly ClientEntry[]) => {
      const clients = new ClientHistory("account");
      for (const entry of entries) clients.take(entry);
      return clients;
    };
    const good = await bank.audit({ clients: history(told) });
    expect(violations(good)).toEqual([]);
    expect(good.invariants.find(({ id }) => id === "order")?.checked).toBeGreaterThan(100);

    const lied = told.map((entry, i) =>
      i === 1 && entry.f === "command" && entry.type === "ok" && entry.result
        ? { ...entry, result: { ...entry.result, version: 1_000_000 } }
        : entry,
    );
    expect(violated(await bank.audit({ clients: history(lied) }))).toEqual(["history"]);
    // As if each had been sent when the one after it was answered.
    const turned = told.filter(({ type }) => type === "invoke").reverse();
    const ends = turned.map(({ process }) =>
      told.find((it) => it.process === process && it.type === "ok"),
    );
    const backwards = turned.flatMap((begun, i) => [begun, ends[i] as ClientEntry]);
    expect(violated(await bank.audit({ clients: history(backwards) }))).toEqual(["order"]);
  });

  test("holds every invariant in each audit while commands keep coming", async () => {
    const random = randomFrom(seed + 1);
    const stop = new AbortController();
    let sent = 0;
    const sending = (async () => {
      for (; !isAborted(stop.signal); sent += 30) await bank.send(...load(bank, 30, random));
    })();
    const reports: AuditReport[] = [];
    const hasOverlapped = () => reports.some(({ counts }) => counts.underWay > 0);
    while (reports.length < 5 || (reports.length < 15 && !hasOverlapped())) {
      reports.push(await bank.audit());
    }
    stop.abort();
    await sending;
    await bank.caughtUp();
    const last = await bank.audit();
    for (const report of [...reports, last]) {
      expect(violations(report), `SEED=${seed}`).toEqual([]);
    }
    expect(sent).toBeGreaterThan(100);
    // Or the audits were not at the same time.
    expect(hasOverlapped()).toBe(true);
    expect(last.counts).toMatchObject({ waiting: 0, underWay: 0 });
  });

  test("is held against a file of balances, versions and rejections", async () => {
    const { rows } = await bank.database
      .open(bank.database.superuserUrl)
      .query("select account_id, balance_cents, version from balances");
    const { expected: all } = await bank.audit({ expected: new Map() });
    expect(all).toMatchObject({ accounts: 0, others: accounts.length, differences: [] });

    const file = new Map(
      rows.map((row) => [
        String(row["account_id"]),
        {
          balanceCents: Number(row["balance_cents"]),
          version: Number(row["version"]) + (row["account_id"] === "@d" ? 1 : 0),
          rejected: -1,
        },
      ]),
    );
    const report = await bank.audit({ expected: file });
    const versions = report.expected?.differences.filter(({ column }) => column === "version");
    expect(versions).toMatchObject([{ accountId: "@d" }]);
    expect(report.expected?.differences.some(({ column }) => column === "rejected")).toBe(true);
    expect(report.hasHeld).toBe(false);
  });
});

describe("a bank that somebody meddled with", () => {
  let bank: AuditedBank;
  beforeAll(async () => {
    bank = await openAuditedBank();
    await bank.send(...load(bank, 100, randomFrom(seed)));
    await bank.caughtUp();
    expect(violations(await bank.audit())).toEqual([]);
  });
  afterAll(async () => {
    await bank.close();
  });

  /** As the owner of the database may. */
  const meddle = async (sql: string) => {
    await bank.database.open(bank.database.superuserUrl).query(sql);
  };

  test("in the rows of a view is found out, to the column", async () => {
    const row = "projection_balances.balances_v1";
    await meddle(`update ${row} set balance_cents = balance_cents + 1 where account_id = 'c/7'`);
    const report = await bank.audit();
    expect(violated(report)).toEqual(["I7", "I8"]);
    expect(violations(report).map(({ aggregateId }) => aggregateId)).toContain("c/7");
    expect(violations(report)[1]?.found).toMatch(/^balance_cents \d+$/);
    await meddle(`update ${row} set balance_cents = balance_cents - 1 where account_id = 'c/7'`);
    await meddle(`update ${row} set updated_at = updated_at + interval '1 ms'`);
    expect(violated(await bank.audit())).toEqual(["I8"]);
    await meddle(`update ${row} set updated_at = updated_at - interval '1 ms'`);
    expect(violations(await bank.audit())).toEqual([]);
  });

  test("in the statements is found out, to the row", async () => {
    const table = "projection_statements.statements_v1";
    await meddle(`create table public.kept as select * from ${table}`);
    await meddle(`delete from ${table} where version = 2`);
    await meddle(`update ${table} set reference = 'forged' where version = 3`);
    const report = await bank.audit();
    expect(violated(report)).toEqual(["I7", "I8"]);
    const found = violations(report).map((it) => `${it.at}: ${it.found}`);
    expect(found.some((it) => /version 2: no row$/.test(it))).toBe(true);
    expect(found.some((it) => it.includes("version 3") && it.includes('"forged"'))).toBe(true);
    await meddle(`delete from ${table}; insert into ${table} select * from public.kept`);
    expect(violations(await bank.audit())).toEqual([]);
  });

  test("in a checkpoint is found out", async () => {
    await meddle("update foldlog.checkpoints set next_offset = next_offset + 1000");
    const report = await bank.audit();
    expect(violated(report)).toEqual(["I8"]);
    expect(violations(report)[0]?.expected).toMatch(/where the events end/);
    await meddle("update foldlog.checkpoints set next_offset = next_offset - 1000");
  });

  test("by a transaction that nobody ends is found out, and judged as not there", async () => {
    const producer = stockClient().producer({
      transactionalId: randomUUID(),
      maxInFlightRequests: 1,
      transactionTimeout: 60_000,
    });
    await producer.connect();
    const hanging = await producer.transaction();
    const message = { partition: 1, key: "z", value: "hanging" };
    await hanging.send({ topic: bank.topics.replies.name, messages: [message] });
    const report = await bank.audit({ patienceMs: 500 });
    expect(violated(report)).toEqual(["I13"]);
    expect(violations(report)[0]?.at).toMatch(new RegExp(`^${bank.topics.replies.name}/1/\\d+$`));
    await hanging.abort();
    await producer.disconnect();
    expect(violations(await bank.audit())).toEqual([]);
  });

  test("by an event that no worker wrote is found out, with its coordinates", async () => {
    const accountId = "forged";
    const value = bank.codec.encode(bank.topics.events, "AccountOpened", { owner: "Eve" });
    const forged: OutRecord = {
      topic: bank.topics.events.name,
      partition: partitionOf(accountId, 3),
      key: eventKey(accountId, 1),
      value: Buffer.from(value),
      headers: [
        [headers.commandId, "forged"],
        [headers.commandOffset, "0"],
      ],
      timestamp: Date.now(),
    };
    const [offset] = await (await bank.log.openProducer()).send([forged]);
    await bank.caughtUp();
    const report = await bank.audit();
    expect(violated(report)).toEqual(["I5"]);
    expect(violations(report)[0]).toMatchObject({
      at: `${forged.topic}/${forged.partition}/${offset}`,
      aggregateId: accountId,
      commandId: "forged",
    });
  });
});
