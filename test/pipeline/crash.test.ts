import { randomUUID } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { openCodec } from "../../engine/avro/avro-codec.ts";
import { openRegistry } from "../../engine/avro/registry.ts";
import { systemClock } from "../../engine/clock.ts";
import type { Codec } from "../../engine/codec.ts";
import { deadLetterHeaders } from "../../engine/commands/dead-letter.ts";
import { kafkaLog } from "../../engine/kafka/kafka-log.ts";
import { headerOf, type Log, type LogRecord, type OutRecord } from "../../engine/log.ts";
import { registerAll } from "../../engine/schemas/register.ts";
import type { AggregateTopics, Topic } from "../../engine/topic.ts";
import { bankTopics, commandRecord, createTopics, seen, topicsOf } from "../bank.ts";
import { until } from "../until.ts";
import { type BankProcess, startProcess } from "./bank-processes.ts";

/** A command that kills the process that decides it, on a real broker with real processes. */

const program = fileURLToPath(new URL("./deadly-account.ts", import.meta.url));
const signal = new AbortController().signal;
const stateDir = mkdtempSync(join(tmpdir(), "foldlog-crash-"));
const namespace = `crash-${randomUUID()}`;
const running = new Set<BankProcess>();
let log: Log;
let topics: AggregateTopics;
let codec: Codec;

beforeAll(async () => {
  log = kafkaLog({ brokers: [inject("kafkaBrokers")], clientId: "test", tls: null, sasl: null });
  topics = bankTopics(namespace, 1);
  await createTopics(log, topics);
  const registry = openRegistry({ url: inject("registryUrl"), requestTimeoutMs: 5_000 });
  const all = topicsOf(topics);
  await registerAll({ registry, topics: all, idsFile: null }, signal);
  const options = { registry, topics: all, unknownIdWaitMs: 1_000, clock: systemClock };
  codec = await openCodec(options, signal);
});
afterAll(async () => {
  for (const it of running) it.kill("SIGKILL");
  await Promise.all([...running].map(({ ended }) => ended));
  await log.close();
  rmSync(stateDir, { recursive: true });
});

async function start(): Promise<BankProcess> {
  const started = await startProcess(["account"], stateDir, { args: [program, namespace, "1"] });
  running.add(started);
  void started.ended.then(() => running.delete(started));
  return started;
}

async function readAll(topic: Topic): Promise<LogRecord[]> {
  const reader = await log.openReader();
  const of = { topic: topic.name, partition: 0 };
  const { end } = await reader.offsets(of, signal);
  const records: LogRecord[] = [];
  for (let offset = 0n; offset < end;) {
    const limits = { maxBytes: 1 << 20, maxWaitMs: 500 };
    const slice = await reader.read({ ...of, offset }, limits, signal);
    records.push(...slice.records);
    offset = slice.next;
  }
  await reader.close();
  return records;
}

/** Starts one process after the other until one has answered all; how those before it ended. */
async function runUntilAnswered(count: number): Promise<readonly (number | string)[]> {
  const endings: (number | string)[] = [];
  while (endings.length < 6) {
    const worker = await start();
    const outcome = await until(
      "death or the last answer",
      async () => {
        if (!running.has(worker)) return "died";
        return (await readAll(topics.replies)).length >= count ? "answered" : null;
      },
      { deadlineMs: 60_000 },
    );
    if (outcome === "answered") {
      worker.kill("SIGTERM");
      expect(await worker.ended).toBe(0);
      return endings;
    }
    endings.push(await worker.ended);
  }
  throw new Error(`It dies again and again: ${endings.join(", ")}`);
}

function deposits(count: number, killer: number): OutRecord[] {
  const accountId = "a";
  const opening = { commandId: "c0", accountId, owner: "Ada" };
  const records = [commandRecord({ topics, codec }, "OpenAccount", opening)];
  for (let i = 1; i < count; i++) {
    const reference = i === killer ? "kills" : null;
    const fields = { commandId: `c${i}`, accountId, amountCents: i, reference };
    records.push(commandRecord({ topics, codec }, "DepositFunds", fields));
  }
  return records;
}

test(
  "it is dead-lettered byte for byte once two processes have died of it alone, and its neighbours are processed",
  { timeout: 180_000 },
  async () => {
    const [count, killer] = [60, 33];
    const records = deposits(count, killer);
    const producer = await log.openProducer();
    await producer.send(records);
    await producer.close();

    const endings = await runUntilAnswered(count);
    // Among others, and twice alone; a batch of one to begin with would have saved the first.
    expect(endings).toEqual(["SIGKILL", "SIGKILL", "SIGKILL"]);

    const replies = seen(codec, topics.replies, await readAll(topics.replies));
    expect(replies.map(({ key, data }) => [key, data["outcome"], data["reason"]])).toEqual(
      records.map((_, i) =>
        i === killer ? [`@0/${killer}`, "failed", "CRASHED_WORKER"] : [`c${i}`, "accepted", null],
      ),
    );
    const letters = await readAll(topics.dlq);
    expect(letters).toHaveLength(1);
    const [letter] = letters;
    expect(letter?.value).toEqual(records[killer]?.value);
    expect(String(letter?.key)).toBe("a");
    const header = (name: string) => (letter ? headerOf(letter, name) : null);
    expect(header(deadLetterHeaders.code)).toBe("CRASHED_WORKER");
    expect(header(deadLetterHeaders.offset)).toBe(String(killer));
    expect(header(deadLetterHeaders.attempts)).toBe("2");
    expect(await readAll(topics.events)).toHaveLength(count - 1);
  },
);
