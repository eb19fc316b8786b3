import { afterAll, beforeAll, expect, test } from "vitest";
import { topics } from "../../topics/catalog.ts";
import type { BankOnLog } from "../bank-on-log.ts";
import { consumed, fill, firstAnswers } from "../first-answers.ts";
import { until } from "../until.ts";
import { type Bank, type BankProcess, openBank } from "./bank-processes.ts";

/**
 * From the kill -9 of a worker to the first command that its successor handles. How long another worker takes is printed,
 * and decides nothing: `bench/takeover.ts` measures it, on as long a log as one likes.
 */

const { account } = topics;
const partitions = Array.from({ length: account.commands.partitions }, (_, i) => i);
const sessionMs = 10_000;
/** How long a member is silent before it dies at most: what its session has run by then. */
const heartbeatMs = 1_000;
let bank: Bank;
let onLog: BankOnLog;

beforeAll(async () => {
  bank = await openBank();
  onLog = { ...bank, topics: account };
});
afterAll(async () => {
  await bank.close();
});

/** The partitions that a worker was ready for last, as it says itself. */
function readyFor(worker: BankProcess): readonly number[] {
  const lines = worker.output().matchAll(/"assigned"|"partition":"[^"]+\/(\d+)".*"msg":"ready"/g);
  let ready: number[] = [];
  for (const [, partition] of lines)
    ready = partition === undefined ? [] : [...ready, Number(partition)];
  return ready;
}

/** When a worker got its partitions for the first time, as it says itself. */
function assignedAt(worker: BankProcess): number {
  const [, time] = /"time":(\d+)[^\n]*"msg":"assigned"/.exec(worker.output()) ?? [];
  if (time === undefined) throw new Error(`It was assigned nothing:\n${worker.output()}`);
  return Number(time);
}

const ready = (worker: BankProcess) => worker.metric("foldlog_partitions", { state: "ready" });

test(
  "a killed worker's partitions are another's, whose store has nothing of them",
  { timeout: 180_000 },
  async () => {
    const [killed, survivor] = [
      await bank.start(["account"], bank.stateDir()),
      await bank.start(["account"], bank.stateDir()),
    ];
    await until("the two to share the partitions", async () => {
      return (await ready(killed)) === 6 && (await ready(survivor)) === 6;
    });
    await fill(onLog, 20_000);
    await consumed(onLog, 120_000);
    const theirs = partitions.filter((partition) => !readyFor(survivor).includes(partition));
    const producer = await bank.log.openProducer();
    killed.kill("SIGKILL");
    const killedAt = Date.now();
    const answers = await firstAnswers(onLog, theirs, producer);
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
  { timeout: 180_000 },
  async () => {
    const stateDir = bank.stateDir();
    let worker = await bank.start(["account"], stateDir);
    const producer = await bank.log.openProducer();
    const takeOver = async () => {
      worker.kill("SIGKILL");
      const killedAt = Date.now();
      await worker.ended;
      worker = await bank.start(["account"], stateDir);
      const answers = await firstAnswers(onLog, partitions, producer);
      const assignedMs = assignedAt(worker) - killedAt;
      const last = Math.max(...answers.values()) - killedAt;
      console.log(
        `It is assigned ${assignedMs} ms after the kill, and all answer ${last} ms after.`,
      );
      return assignedMs < sessionMs - heartbeatMs;
    };
    // Who waits for a session is later each time. On a slow machine the start of a process alone may take as long, once.
    await until("a successor in its place before a session can end", takeOver, {
      deadlineMs: 90_000,
    });
    await producer.close();
    worker.kill("SIGTERM");
    expect(await worker.ended).toBe(0);
  },
);
