import { randomUUID } from "node:crypto";
import type { OutRecord, Producer } from "../engine/log.ts";
import { partitionOf } from "../engine/message.ts";
import type { AggregateTopics } from "../engine/topic.ts";
import { commandRecord } from "./bank.ts";
import type { BankOnLog } from "./bank-on-log.ts";
import { endsOf, isConsumed, readAll } from "./log-reads.ts";
import { until } from "./until.ts";

/** A bank with a past, and when each of its partitions answers again: what a takeover is measured with. */

const accounts = 3_000;
const portion = 5_000;

/** Sends so many commands, on a few thousand accounts, each of which leads to one event. */
export async function fill(bank: BankOnLog, count: number): Promise<void> {
  const run = randomUUID().slice(0, 8);
  const commandAt = (i: number): OutRecord => {
    const accountId = `${run}-${i % accounts}`;
    const commandId = `${run}-c${i}`;
    return i < accounts
      ? commandRecord(bank, "OpenAccount", { commandId, accountId, owner: "Ada" })
      : commandRecord(bank, "DepositFunds", { commandId, accountId, amountCents: 1 });
  };
  const producer = await bank.log.openProducer();
  for (let sent = 0; sent < count; sent += portion) {
    const length = Math.min(portion, count - sent);
    await producer.send(Array.from({ length }, (_, i) => commandAt(sent + i)));
  }
  await producer.close();
}

/** Waits until every command in the log now is consumed. */
export async function consumed({ log, topics }: BankOnLog, deadlineMs: number): Promise<void> {
  const ends = await endsOf(log, topics.commands);
  const all = async () => isConsumed(log, topics, ends);
  await until("every command to be consumed", all, { deadlineMs, everyMs: 500 });
}

/** Sends a command a partition until each has got an answer; when that was, by the broker's clock. */
export async function firstAnswers(
  bank: BankOnLog,
  which: readonly number[],
  producer: Producer,
): Promise<ReadonlyMap<number, number>> {
  const { log, topics } = bank;
  const from = await endsOf(log, topics.replies);
  const probes = probesOf(topics);
  const answered = new Map<number, number>();
  for (let sent = 0; answered.size < which.length; sent++) {
    const open = which.filter((partition) => !answered.has(partition));
    const probe = (partition: number) => {
      const accountId = probes[partition] ?? "";
      const commandId = `${accountId}-${sent}`;
      return commandRecord(bank, "OpenAccount", { commandId, accountId, owner: "Ada" });
    };
    await producer.send(open.map(probe));
    for (const partition of open) {
      const of = { topic: topics.replies.name, partition };
      const replies = await readAll(log, of, from[partition]);
      const [first] = replies.filter(({ key }) => String(key).startsWith(probes[partition] ?? ""));
      if (first) answered.set(partition, first.timestamp);
    }
  }
  return answered;
}

/** An account of its own in each partition. */
function probesOf({ commands }: AggregateTopics): readonly string[] {
  const run = randomUUID().slice(0, 8);
  return Array.from({ length: commands.partitions }, (_, partition) => {
    for (let i = 0; ; i++) {
      if (partitionOf(`${run}-${i}`, commands.partitions) === partition) return `${run}-${i}`;
    }
  });
}
