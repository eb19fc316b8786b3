import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { FatalError, WriterLostError } from "../../engine/errors.ts";
import type { Log, TopicPartition } from "../../engine/log.ts";
import { type KafkaProxy, startKafkaProxy } from "../faults/kafka-proxy.ts";
import { stockClient, stockProducer } from "./stock/kafkajs.ts";
import { closeAtEnd, newPartition, ourLog, ourReads, outRecord } from "./stock/log.ts";

const { boundPort, advertisedPort } = inject("kafkaProxied");
let proxy: KafkaProxy;
let log: Log;

beforeAll(async () => {
  proxy = await startKafkaProxy(advertisedPort, boundPort);
  log = ourLog(proxy.port);
});
afterAll(async () => {
  await proxy.close();
});

/** Gives up after a few attempts within some hundred milliseconds, for the sake of the tests' time. */
const retry = { retries: 5, initialRetryTime: 10, factor: 0, multiplier: 2 };

const message = ({ topic }: TopicPartition, value: string) => ({
  topic,
  messages: [{ key: "key", value }],
});

/** Runs `send` while no answer to a produce request arrives, until it gives up. */
async function withoutAnswers(send: () => Promise<unknown>): Promise<unknown> {
  for (let i = 0; i <= retry.retries; i++) proxy.inject({ api: "Produce", does: "lose-answer" });
  try {
    return await send().then(
      () => "no error",
      (error: unknown) => error,
    );
  } finally {
    proxy.heal();
  }
}

describe("An idempotent send whose answers are lost", () => {
  test("stock kafkajs reports success for the next send, which is not in the log", async () => {
    const at = await newPartition(log);
    const producer = await stockProducer(stockClient(proxy.port), { retry });
    await producer.send(message(at, "first"));
    const error = await withoutAnswers(() => producer.send(message(at, "appended")));
    expect(error).toMatchObject({ name: "KafkaJSNumberOfRetriesExceeded" });
    // The broker takes it for the one before, which had the same sequence number.
    expect(await producer.send(message(at, "lost"))).toMatchObject([
      { errorCode: 0, baseOffset: "1" },
    ]);
    expect(await ourReads(log, at)).toEqual(["0:first", "1:appended"]);
  });

  test("ours refuses the next send; what is sent again by another producer is where it says", async () => {
    const at = await newPartition(log);
    const producer = closeAtEnd(await log.openProducer());
    expect(await producer.send([outRecord(at, "first")])).toEqual([0n]);
    const unknown = await withoutAnswers(() => producer.send([outRecord(at, "appended")]));
    expect(unknown).toBeInstanceOf(WriterLostError);
    await expect(producer.send([outRecord(at, "next")])).rejects.toBe(unknown);

    const again = closeAtEnd(await log.openProducer());
    expect(await again.send([outRecord(at, "appended")])).toEqual([2n]);
    expect(await again.send([outRecord(at, "next")])).toEqual([3n]);
    expect(await ourReads(log, at)).toEqual(["0:first", "1:appended", "2:appended", "3:next"]);
  });
});

describe("A transactional send whose answers are lost", () => {
  test("stock kafkajs aborts, and commits the next transaction without its record", async () => {
    const at = await newPartition(log);
    const transactionalId = at.topic;
    const producer = await stockProducer(stockClient(proxy.port), { transactionalId, retry });
    const first = await producer.transaction();
    await first.send(message(at, "first"));
    await first.commit();

    const failing = await producer.transaction();
    const error = await withoutAnswers(() => failing.send(message(at, "aborted")));
    expect(error).toMatchObject({ name: "KafkaJSNumberOfRetriesExceeded" });
    await failing.abort();

    const next = await producer.transaction();
    expect(await next.send(message(at, "lost"))).toMatchObject([{ errorCode: 0, baseOffset: "2" }]);
    await next.commit();
    expect(await ourReads(log, at)).toEqual(["0:first"]);
  });

  test("ours is of no more use; the next writer aborts what is open, and its record is where it says", async () => {
    const at = await newPartition(log);
    const transactionalId = at.topic;
    const transaction = (value: string) => ({ records: [outRecord(at, value)], consumed: null });
    const writer = closeAtEnd(await log.openWriter({ transactionalId }));
    expect(await writer.transact(transaction("first"))).toEqual([0n]);
    const unknown = await withoutAnswers(() => writer.transact(transaction("aborted")));
    expect(unknown).toBeInstanceOf(WriterLostError);
    expect(unknown).toMatchObject({ reason: "indefinite" });
    await expect(writer.transact(transaction("next"))).rejects.toBeInstanceOf(FatalError);

    const again = closeAtEnd(await log.openWriter({ transactionalId }));
    expect(await again.transact(transaction("next"))).toEqual([4n]); // After a marker each.
    expect(await ourReads(log, at)).toEqual(["0:first", "4:next"]);
  });
});
