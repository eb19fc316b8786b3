import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Codec } from "../../engine/codec.ts";
import { deadLetterHeaders } from "../../engine/commands/dead-letter.ts";
import { headerOf, type Log, type OutRecord } from "../../engine/log.ts";
import type { AggregateTopics } from "../../engine/topic.ts";
import { commandRecord, seen } from "../bank.ts";
import { ownBank } from "../own-bank.ts";
import { readAll } from "../log-reads.ts";
import { until } from "../until.ts";
import { type BankProcess, startProcess } from "./bank-processes.ts";

/** A command that kills the process that decides it, on a real broker with real processes. */

const program = fileURLToPath(new URL("./deadly-account.ts", import.meta.url));
const stateDir = mkdtempSync(join(tmpdir(), "foldlog-crash-"));
const running = new Set<BankProcess>();
let log: Log;
let topics: AggregateTopics;
let codec: Codec;

beforeAll(async () => {
  ({ log, topics, codec } = await ownBank("crash", 1));
});
afterAll(async () => {
  for (const it of running) it.kill("SIGKILL");
  await Promise.all([...running].map(({ ended }) => ended));
  await log.close();
  rmSync(stateDir, { recursive: true });
});

async function start(): Promise<BankProcess> {
  const started = await startProcess(["account"], stateDir, {
    args: [program, topics.namespace, "1"],
  });
  running.add(started);
  void started.ended.then(() => running.delete(started));
  return started;
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
        return (await readAll(log, { topic: topics.replies.name, partition: 0 })).length >= count
          ? "answered"
          : null;
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

    const replies = seen(
      codec,
      topics.replies,
      await readAll(log, { topic: topics.replies.name, partition: 0 }),
    );
    expect(replies.map(({ key, data }) => [key, data["outcome"], data["reason"]])).toEqual(
      records.map((_, i) =>
        i === killer ? [`@0/${killer}`, "failed", "CRASHED_WORKER"] : [`c${i}`, "accepted", null],
      ),
    );
    const letters = await readAll(log, { topic: topics.dlq.name, partition: 0 });
    expect(letters).toHaveLength(1);
    const [letter] = letters;
    expect(letter?.value).toEqual(records[killer]?.value);
    expect(String(letter?.key)).toBe("a");
    const header = (name: string) => (letter ? headerOf(letter, name) : null);
    expect(header(deadLetterHeaders.code)).toBe("CRASHED_WORKER");
    expect(header(deadLetterHeaders.offset)).toBe(String(killer));
    expect(header(deadLetterHeaders.attempts)).toBe("2");
    expect(await readAll(log, { topic: topics.events.name, partition: 0 })).toHaveLength(count - 1);
  },
);
