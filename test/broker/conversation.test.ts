import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { systemClock } from "../../engine/clock.ts";
import { kafkaLog } from "../../engine/kafka/kafka-log.ts";
import type { Log, OutRecord } from "../../engine/log.ts";
import { Conversation } from "../../engine/sending/conversation.ts";
import { bankCodec, bankTopics, commandRecord, createTopics } from "../bank.ts";
import { type KafkaProxy, startKafkaProxy } from "../faults/kafka-proxy.ts";
import { ourValues } from "./stock/log.ts";

const { boundPort, advertisedPort } = inject("kafkaProxied");
let proxy: KafkaProxy;
let log: Log;

beforeAll(async () => {
  proxy = await startKafkaProxy(advertisedPort, boundPort);
  const brokers = [`127.0.0.1:${proxy.port}`];
  log = kafkaLog({ brokers, clientId: "conversation", tls: null, sasl: null });
});
afterAll(async () => {
  await log.close();
  await proxy.close();
});

test("a send that hangs is broken off, and each of its partitions goes on by itself", async () => {
  const topics = bankTopics(`hung-${Date.now()}`, 2);
  await createTopics(log, topics);
  const codec = await bankCodec(topics, systemClock);
  const troubles: string[] = [];
  const conversation = await Conversation.open<{ readonly record: OutRecord }>({
    ...{ log, codec, aggregates: [topics], replies: "ignored", silenceMs: null },
    onAnswer: () => undefined,
    onTrouble: (message) => troubles.push(message),
  });
  const sent: OutRecord[] = [];
  const sendAll = async (...ids: readonly string[]) => {
    for (const accountId of ids) {
      const fields = { commandId: accountId, accountId, owner: "Ada" };
      const made = commandRecord({ topics, codec }, "OpenAccount", fields);
      const record = { ...made, value: Buffer.from(accountId) }; // Nobody reads it as a command here.
      sent.push(record);
      conversation.send({ record });
    }
    await conversation.settled();
  };
  await sendAll("a", "b", "c", "d");
  const hung = Promise.withResolvers<undefined>();
  proxy.inject({ api: "Produce", does: "stall", until: hung.promise });
  await sendAll("e", "f", "g", "h");
  await sendAll("i", "j", "k", "l");
  hung.resolve(undefined);
  await conversation.close();
  expect(troubles).toEqual(["Nothing was acknowledged within 2000 ms"]);
  for (const partition of [0, 1]) {
    const inLog = await ourValues(log, { topic: topics.commands.name, partition });
    const inOrder = sent.filter((it) => it.partition === partition).map((it) => String(it.value));
    // What was broken off may be delivered yet: behind what was sent in its stead, and under the same ids.
    expect([...new Set(inLog)]).toEqual(inOrder);
  }
});
