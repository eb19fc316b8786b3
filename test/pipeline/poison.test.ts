import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { openRegistry } from "../../engine/avro/registry.ts";
import { systemClock } from "../../engine/clock.ts";
import type { Codec } from "../../engine/codec.ts";
import { deadLetterHeaders } from "../../engine/commands/dead-letter.ts";
import { sqliteStores } from "../../engine/commands/sqlite-store.ts";
import { headerOf, type Log, type LogRecord, type OutRecord } from "../../engine/log.ts";
import { partitionOf } from "../../engine/message.ts";
import { type AggregateTopics, subjectOf } from "../../engine/topic.ts";
import { commandRecord, processPartition, seen } from "../bank.ts";
import { ownBank } from "../own-bank.ts";
import { readAll } from "../log-reads.ts";
import { poisons } from "../poisons.ts";
import { until } from "../until.ts";

/** Every kind of bad command, sent to a real broker with a real registry, one after the other. */

const signal = new AbortController().signal;
const stateDir = mkdtempSync(join(tmpdir(), "foldlog-poison-"));
let log: Log;
let topics: AggregateTopics;
let codec: Codec;

beforeAll(async () => {
  ({ log, topics, codec } = await ownBank("poison", 2));
});
afterAll(async () => {
  await log.close();
  rmSync(stateDir, { recursive: true });
});

/** A schema that a sender has registered for this command, with an array that ours does not have. */
async function bomb(): Promise<OutRecord> {
  const [, deposit] = topics.commands.records;
  if (!deposit) throw new Error("There is no such command");
  const registry = openRegistry({ url: inject("registryUrl"), requestTimeoutMs: 5_000 });
  const newest = deposit.versions.at(-1)?.schema as { fields: object[] };
  const tags = { name: "tags", type: { type: "array", items: "null" }, default: [] };
  const schema = { ...newest, fields: [...newest.fields, tags] };
  const registered = await registry.register(
    subjectOf(topics.commands, deposit),
    schema,
    "FULL_TRANSITIVE",
    signal,
  );
  if (registered.kind === "refused") throw new Error(registered.reason);
  const record = commandRecord({ topics, codec }, "DepositFunds", {
    commandId: "bomb",
    accountId: "a",
    amountCents: 1,
  });
  const claimsBillions = Buffer.from([0x80, 0xa8, 0xd6, 0xb9, 0x07]);
  const value = Buffer.concat([record.value as Buffer, claimsBillions]);
  value.writeInt32BE(registered.id, 1);
  return { ...record, value };
}

test("each is answered and dead-lettered once, byte for byte, and the good ones between are processed", async () => {
  const records = [
    ...poisons.map((it) => ({ code: it.code, record: it.record({ topics, codec }) })),
    { code: "TOO_MANY_ITEMS", record: await bomb() },
  ];
  const producer = await log.openProducer();
  const sent: { code: string; record: OutRecord }[][] = [[], []];
  for (const [i, { code, record }] of records.entries()) {
    const { partition } = record;
    const accountId = ["a", "b", "c", "d"].find((id) => partitionOf(id, 2) === partition) ?? "";
    const good = commandRecord({ topics, codec }, "OpenAccount", {
      commandId: `good-${i}`,
      accountId,
      owner: "Ada",
    });
    expect(good.partition).toBe(partition);
    await producer.send([record, good]);
    sent[partition]?.push({ code, record }, { code: "good", record: good });
  }
  await producer.close();

  const bank = { log, topics, codec, clock: systemClock, openStore: sqliteStores(stateDir) };
  const workers = [0, 1].map((partition) => processPartition(bank, partition));
  for (const [partition, worker] of workers.entries()) {
    const count = BigInt(sent[partition]?.length ?? 0);
    await until(`partition ${partition} to be consumed`, () => worker.position() >= count);
    await worker.stop();
  }

  for (const partition of [0, 1]) {
    const all = sent[partition] ?? [];
    const replies = seen(
      codec,
      topics.replies,
      await readAll(log, { topic: topics.replies.name, partition }),
    );
    expect(replies.map(({ data }) => data["commandOffset"])).toEqual(all.map((_, i) => i));
    expect(
      replies.map(({ data }) => (data["outcome"] === "failed" ? data["reason"] : "good")),
    ).toEqual(all.map(({ code }) => code));

    const bad = all.flatMap((it, offset) => (it.code === "good" ? [] : [{ ...it, offset }]));
    const letters = await readAll(log, { topic: topics.dlq.name, partition });
    expect(letters.map((it) => headerOf(it, deadLetterHeaders.offset))).toEqual(
      bad.map(({ offset }) => String(offset)),
    );
    for (const [i, { record, code }] of bad.entries()) {
      expect(headerOf(letters[i] as LogRecord, deadLetterHeaders.code)).toBe(code);
      expect(letters[i]?.value).toEqual(record.value);
      expect(letters[i]?.key).toEqual(record.key === null ? null : Buffer.from(record.key));
    }
  }
});

test("a command of nearly a mebibyte is dead-lettered whole, one over it is refused at the sender", async () => {
  const large = (bytes: number): OutRecord => ({
    ...commandRecord({ topics, codec }, "DepositFunds", {
      commandId: "x",
      accountId: "a",
      amountCents: 1,
    }),
    value: Buffer.alloc(bytes, 7),
  });
  const producer = await log.openProducer();
  const [offset = 0n] = await producer.send([large(1_048_000)]);
  await expect(producer.send([large(1_048_600)])).rejects.toMatchObject({
    code: "BROKEN_INVARIANT",
  });
  const bank = { log, topics, codec, clock: systemClock, openStore: sqliteStores(stateDir) };
  const { partition } = large(1);
  const worker = processPartition(bank, partition);
  await until("the large one to be consumed", () => worker.position() > offset);
  await worker.stop();
  const letters = await readAll(log, { topic: topics.dlq.name, partition });
  expect(letters.at(-1)?.value).toEqual(Buffer.alloc(1_048_000, 7));
});
