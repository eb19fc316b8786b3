import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { KafkaClient } from "../../engine/kafka/client.ts";
import { retriable } from "../../engine/kafka/failure.ts";
import { produce, type ProducerSession } from "../../engine/kafka/produce.ts";
import { untilDefinite } from "../../engine/kafka/retry.ts";
import type { TopicPartition } from "../../engine/log.ts";
import { newPartition, ourLog, ourValues, outRecord } from "./stock/log.ts";

const log = ourLog();
const client = new KafkaClient({
  brokers: [inject("kafkaBrokers")],
  clientId: "produce",
  tls: null,
  sasl: null,
});
let at: TopicPartition;
let session: ProducerSession;

beforeAll(async () => {
  at = await newPartition(log);
});
afterAll(() => {
  client.close();
});

/** A producer whose next record has that sequence number. */
async function producerAt(sequence: number): Promise<void> {
  // A broker that has just begun is still given the ids that it may give away.
  const { producerId, producerEpoch } = await untilDefinite(
    client,
    retriable.coordinator,
    async () => (await client.anyBroker()).initProducerId({ transactionTimeout: 10_000 }),
  );
  session = {
    transactionalId: null,
    producerId: BigInt(producerId),
    producerEpoch,
    sequences: new Map([[keyOf(at), sequence]]),
    acknowledged: new Map(),
  };
}

const keyOf = ({ topic, partition }: TopicPartition) => `${partition}/${topic}`;
const send = (...values: string[]) =>
  produce(
    client,
    session,
    values.map((value) => outRecord(at, value)),
  );

describe("Sequence numbers", () => {
  test("go on at 0 after 2^31 − 1, between batches and within one, and the broker follows", async () => {
    await producerAt(2 ** 31 - 2);
    await send("2^31 - 2", "2^31 - 1");
    await send("0");
    await producerAt(2 ** 31 - 1);
    await send("2^31 - 1", "0", "1");
    await send("2");
    const expected = ["2^31 - 2", "2^31 - 1", "0", "2^31 - 1", "0", "1", "2"];
    expect(await ourValues(log, at)).toEqual(expected);
  });

  test("that were used before are found out by the offset that the broker acknowledges again", async () => {
    await producerAt(0);
    await send("first");
    await send("second");
    session.sequences.set(keyOf(at), 1); // As stock kafkajs does after a send that failed.
    await expect(send("lost")).rejects.toMatchObject({ name: "FatalError", code: "LOST_SEND" });
    expect((await ourValues(log, at)).slice(-2)).toEqual(["first", "second"]);
  });

  test("with a gap between them are refused, and nothing is appended", async () => {
    await producerAt(0);
    await send("before the gap");
    session.sequences.set(keyOf(at), 5);
    const outOfOrderSequence = 45;
    await expect(send("after the gap")).rejects.toMatchObject({ code: outOfOrderSequence });
    expect((await ourValues(log, at)).at(-1)).toBe("before the gap");
  });
});
