import { randomUUID } from "node:crypto";
import { expect, test } from "vitest";
import type { TopicSpec } from "../../engine/log.ts";
import { newPartition, openLog, ourLog } from "./stock/log.ts";

const log = ourLog();
const spec = (more: Partial<TopicSpec>): TopicSpec => ({
  name: `topics-${randomUUID()}`,
  partitions: 1,
  replicationFactor: 1,
  config: {},
  ...more,
});

test.each([
  ["more replicas than brokers", { replicationFactor: 3 }, /: Replication-factor is invalid.*38/],
  ["no partition", { partitions: 0 }, /: Number of partitions is invalid.*37/],
  ["a name with a space", { name: "a b" }, /: The request attempted to perform.*invalid topic.*17/],
  ["a setting without sense", { config: { "retention.ms": "soon" } }, /: Configuration is invalid/],
])("a topic with %s is refused for good, in words that say which and why", async (_, more, why) => {
  const topic = spec(more);
  const error: unknown = await log.createTopic(topic).catch((it: unknown) => it);
  expect(error).toMatchObject({ name: "FatalError", code: "TOPIC_DRIFT" });
  expect(String(error)).toContain(`Creating ${topic.name} was refused`);
  expect(String(error)).toMatch(why);
});

test("creating a topic that is there leaves it as it is", async () => {
  const topic = spec({ partitions: 2 });
  await log.createTopic(topic);
  await log.createTopic({ ...topic, partitions: 5 });
  expect(await log.describeTopic(topic.name)).toMatchObject({ partitions: 2 });
});

test("a setting without sense is refused, and altering a topic that is not there", async () => {
  const { topic } = await newPartition(log);
  await expect(log.alterTopic(topic, { "retention.ms": "soon" })).rejects.toMatchObject({
    code: "TOPIC_DRIFT",
  });
  await expect(log.alterTopic(spec({}).name, { "retention.ms": "1" })).rejects.toMatchObject({
    code: "TOPIC_MISSING",
  });
});

test("where no broker answers the cluster's id is not told yet: its user may ask again", async () => {
  const portOfNobody = 1;
  const away = openLog(portOfNobody);
  await expect(away.clusterId()).rejects.toMatchObject({ name: "TransientError" });
  await away.close();
});
