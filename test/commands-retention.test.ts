import { expect, test } from "vitest";
import { systemClock } from "../engine/clock.ts";
import { MemoryLog } from "../engine/testing/memory-log.ts";
import { MemoryStoreFiles } from "../engine/testing/memory-store.ts";
import {
  bankCodec,
  bankTopics,
  commandRecord,
  createTopics,
  processPartition,
  seen,
} from "./bank.ts";
import { until } from "./until.ts";

test("a fresh id is not refused as expired because retention has deleted what was answered long ago", async () => {
  const log = new MemoryLog();
  const topics = bankTopics("retained", 1);
  await createTopics(log, topics);
  const codec = await bankCodec(topics, systemClock);
  const bank = { log, topics, codec, clock: systemClock };
  const producer = await log.openProducer();
  const shortWindow = { window: { maxAgeMs: 0, maxCount: 1_000 } };
  const start = () =>
    processPartition({ ...bank, openStore: new MemoryStoreFiles().open, limits: shortWindow }, 0);
  const open = (accountId: string, day: number) =>
    producer.send([
      commandRecord(bank, "OpenAccount", {
        ...{ commandId: `open ${accountId}`, accountId, owner: "Ada" },
        issuedAt: Date.UTC(2026, 0, day),
      }),
    ]);

  const worker = start();
  await open("a", 1);
  await until("the first to be handled", () => worker.position() === 1n);
  const replies = { topic: topics.replies.name, partition: 0 };
  log.deleteBefore(replies, log.bounds(replies).end);
  await open("b", 15);
  await until("the second to be handled", () => worker.position() === 2n);
  await worker.stop();

  const next = start(); // It has no store: what it knows is what the log says.
  await open("c", 15);
  await until("the third to be handled", () => next.position() === 3n);
  await next.stop();
  const outcomes = seen(codec, topics.replies, log.committed(replies)).map(({ data }) => [
    data["aggregateId"],
    data["outcome"],
  ]);
  expect(outcomes).toEqual([
    ["b", "accepted"],
    ["c", "accepted"],
  ]);
});
