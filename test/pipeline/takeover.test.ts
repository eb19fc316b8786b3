import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { OutRecord, Producer } from "../../engine/log.ts";
import { partitionOf } from "../../engine/message.ts";
import { topics } from "../../topics/catalog.ts";
import { until } from "../until.ts";
import { type Bank, type BankProcess, openBank } from "./bank-processes.ts";

/**
 * From the kill -9 of a worker to the first command that its successor handles. How long that takes is printed, and
 * decides nothing: `EVENTS=300000 npx vitest run test/pipeline/takeover.test.ts` on a quiet machine tells.
 */

const { account } = topics;
const partitions = Array.from({ length: account.commands.partitions }, (_, i) => i);
const sessionMs = 10_000;
/** How long a member is silent before it dies at most: what its session has run by then. */
const heartbeatMs = 1_000;
const events = Number(process.env["EVENTS"] ?? 20_000);
let bank: Bank;

beforeAll(async () => {
  bank = await openBank();
});
afterAll(async () => {
  await bank.close();
});

/** An account of its own in each partition. */
function probes(): readonly string[] {
  const run = randomUUID().slice(0, 8);
  return partitions.map((partition) => {
    for (let i = 0; ; i++) if (partitionOf(`${run}-${i}`, 12) === partition) return `${run}-${i}`;
  });
}

function* commands(count: number): Generator<OutRecord> {
  const run = randomUUID().slice(0, 8);
  const accounts = Array.from({ length: 3_000 }, (_, i) => `${run}-${i}`);
  for (let i = 0; i < count; i++) {
    const accountId = accounts[i % accounts.length] ?? "";
    const commandId = `${run}-c${i}`;
    yield i < accounts.length
      ? bank.command("OpenAccount", { commandId, accountId, owner: "Ada" })
      : bank.command("DepositFunds", { commandId, accountId, amountCents: 1 });
  }
}

async function fill(count: number): Promise<void> {
  const producer = await bank.log.openProducer();
  let portion: OutRecord[] = [];
  for (const command of commands(count)) {
    portion.push(command);
    if (portion.length < 5_000) continue;
    await producer.send(portion);
    portion = [];
  }
  await producer.send(portion);
  await producer.close();
}

async function consumed(): Promise<void> {
  const ends = await bank.ends(account.commands);
  await until(
    "every command to be consumed",
    async () => {
      for (const partition of partitions) {
        const of = { topic: account.commands.name, partition };
        const offset = await bank.log.committedOffset("bank.account", of);
        if ((offset ?? 0n) < (ends[partition] ?? 0n)) return false;
      }
      return true;
    },
    { deadlineMs: 500_000, everyMs: 500 },
  );
}

/** Sends a command a partition until each has got an answer; when that was, by the broker's clock. */
async function firstAnswers(
  which: readonly number[],
  producer: Producer,
): Promise<Map<number, number>> {
  const from = await bank.ends(account.replies);
  const ids = probes();
  const answered = new Map<number, number>();
  for (let sent = 0; ; sent++) {
    const open = which.filter((partition) => !answered.has(partition));
    if (open.length === 0) return answered;
    await producer.send(
      open.map((partition) => {
        const accountId = ids[partition] ?? "";
        return bank.command("OpenAccount", {
          commandId: `${accountId}-${sent}`,
          accountId,
          owner: "A",
        });
      }),
    );
    await until("a while", async () => {
      for (const partition of open) {
        const replies = await bank.readAll(account.replies, partition, from[partition]);
        const [first] = replies.filter(({ key }) => String(key).startsWith(ids[partition] ?? ""));
        if (first) answered.set(partition, first.timestamp);
      }
      return true;
    });
  }
}

/** The partitions that a worker was ready for last, as it says itself. */
function readyFor(worker: BankProcess): readonly number[] {
  const lines = worker.output().matchAll(/"assigned"|"partition":"[^"]+\/(\d+)".*"msg":"ready"/g);
  let ready: number[] = [];
  for (const [, partition] of lines)
    ready = partition === undefined ? [] : [...ready, Number(partition)];
  return ready;
}

const ready = (worker: BankProcess) => worker.metric("foldlog_partitions", { state: "ready" });

test(
  `a killed worker's partitions of ${events} events are another's, whose store has nothing of them`,
  { timeout: 600_000 },
  async () => {
    const [killed, survivor] = [
      await bank.start(["account"], bank.stateDir()),
      await bank.start(["account"], bank.stateDir()),
    ];
    await until("the two to share the partitions", async () => {
      return (await ready(killed)) === 6 && (await ready(survivor)) === 6;
    });
    await fill(events);
    await consumed();
    const theirs = partitions.filter((partition) => !readyFor(survivor).includes(partition));
    const producer = await bank.log.openProducer();
    killed.kill("SIGKILL");
    const killedAt = Date.now();
    const answers = await firstAnswers(theirs, producer);
    await producer.close();
    const times = [...answers.values()].map((at) => at - killedAt);
    console.log("First answers, in ms after the kill:", ...times.sort((a, b) => a - b));
    expect(times).toHaveLength(6);
    survivor.kill("SIGTERM");
    expect(await survivor.ended).toBe(0);
  },
);

test(
  "a worker that is killed and started again takes its own place, and waits for no session to end",
  { timeout: 120_000 },
  async () => {
    const stateDir = bank.stateDir();
    const killed = await bank.start(["account"], stateDir);
    const producer = await bank.log.openProducer();
    killed.kill("SIGKILL");
    const killedAt = Date.now();
    await killed.ended;
    const successor = await bank.start(["account"], stateDir);
    const answers = await firstAnswers(partitions, producer);
    await producer.close();
    const last = Math.max(...answers.values()) - killedAt;
    console.log(`Every partition answers ${last} ms after the kill.`);
    expect(last).toBeLessThan(sessionMs - heartbeatMs);
    successor.kill("SIGTERM");
    expect(await successor.ended).toBe(0);
  },
);
