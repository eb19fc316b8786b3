import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { kafkaLog } from "../../engine/kafka/kafka-log.ts";
import type { Log } from "../../engine/log.ts";
import { type LogReader, openLogReader } from "../../ops/audit/log-reader.ts";
import { administer } from "../broker/admin.ts";
import { until } from "../until.ts";
import { commitsOf } from "./offset-commits.ts";

/** What a group has committed is read from the log of commits, not asked of its coordinator. */

const settings = { brokers: [inject("kafkaBrokers")], clientId: "commits", tls: null, sasl: null };
let log: Log;
let reader: LogReader;

beforeAll(() => {
  log = kafkaLog(settings);
  reader = openLogReader(settings, new AbortController().signal);
});
afterAll(async () => {
  reader.close();
  await log.close();
});

test("commits of a group are all there in their order, with what was set and what was deleted", async () => {
  const group = `ἀγορά-${randomUUID()}`;
  const topic = `commits-${randomUUID()}`;
  await log.createTopic({ name: topic, partitions: 2, replicationFactor: 1, config: {} });
  const writer = await log.openWriter({ transactionalId: group });
  for (const [partition, offset] of [
    [0, 5n],
    [1, 7n],
    [0, 6n],
  ] as const) {
    await writer.transact({ records: [], consumed: { group, topic, partition, offset } });
  }
  await writer.close();
  await (await log.openWriter({ transactionalId: group })).close(); // Waits for the last marker.
  await administer(async (admin) => {
    await admin.setOffsets({ groupId: group, topic, partitions: [{ partition: 0, offset: "2" }] });
    await admin.deleteGroups([group]);
  });
  const commits = await until("the deletion to be written", async () => {
    const found = await commitsOf(reader, group);
    return found.length >= 6 && found;
  });
  expect(commits.flatMap(({ groups }) => groups)).toEqual([
    { group, topic, partition: 0, offset: "5" },
    { group, topic, partition: 1, offset: "7" },
    { group, topic, partition: 0, offset: "6" },
    { group, topic, partition: 0, offset: "2" },
    ...[0, 1].map((partition) => ({ group, topic, partition, offset: null })),
  ]);
  expect(commits.every(({ t }) => Math.abs(t - Date.now()) < 600_000)).toBe(true);
});
