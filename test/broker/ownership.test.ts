import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { kafkaLog } from "../../engine/kafka/kafka-log.ts";
import type { Log, Membership, TopicPartition } from "../../engine/log.ts";
import { type KafkaProxy, startKafkaProxy } from "../faults/kafka-proxy.ts";
import { until } from "../until.ts";

/** Law P1: a partition is one's own where the group, just asked, says so. */

const { boundPort, advertisedPort } = inject("kafkaProxied");
let proxy: KafkaProxy;
let log: Log;
let member: Membership;
let mine: TopicPartition;

beforeAll(async () => {
  proxy = await startKafkaProxy(advertisedPort, boundPort);
  const brokers = [`127.0.0.1:${proxy.port}`];
  log = kafkaLog({ brokers, clientId: "ownership", tls: null, sasl: null });
  const topic = `ownership-${randomUUID()}`;
  await log.createTopic({ name: topic, partitions: 1, replicationFactor: 1, config: {} });
  member = await log.join({ group: topic, topics: [topic] });
  const [first] = (await member.next(new AbortController().signal)) ?? [];
  mine = first as TopicPartition;
});
afterAll(async () => {
  await member.leave();
  await log.close();
  await proxy.close();
});

test("each confirmation asks the group", async () => {
  const before = proxy.answered("Heartbeat");
  expect(await member.confirm(mine)).toBe(true);
  expect(proxy.answered("Heartbeat")).toBeGreaterThan(before);
});

test("a partition is not confirmed where the group does not answer, and is again once it does", async () => {
  // The member's own heartbeats may meet the fault, too.
  for (let i = 0; i < 20; i++) proxy.inject({ api: "Heartbeat", does: "lose-request" });
  expect(await member.confirm(mine)).toBe(false);
  proxy.heal();
  await until("the group to confirm it", () => member.confirm(mine));
});

test("a partition of another is not confirmed", async () => {
  expect(await member.confirm({ ...mine, partition: 7 })).toBe(false);
});
