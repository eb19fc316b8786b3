import { expect, test } from "vitest";
import { MemoryLog } from "../engine/testing/memory-log.ts";
import { checkTopics } from "../engine/topic-check.ts";
import { bankTopics, createTopics } from "./bank.ts";

test("a topic whose old records lie in remote storage is refused, and says so", async () => {
  const topics = bankTopics("test", 1);
  const log = new MemoryLog();
  await createTopics(log, topics);
  const { replicationFactor = 1 } = (await log.describeTopic(topics.commands.name)) ?? {};
  await log.alterTopic(topics.commands.name, { "remote.storage.enable": "true" });
  await expect(checkTopics(log, [topics.commands], replicationFactor)).rejects.toThrow(
    /remote\.storage\.enable is true, should be false/,
  );
});
