import type * as kafkajs from "kafkajs";
import { describe, expect, test } from "vitest";
import { until } from "../until.ts";
import { closeAtEnd, newPartition, ourLog, ourValues, outRecord } from "./stock/log.ts";
import { stockClient, stockProducer } from "./stock/kafkajs.ts";

const log = ourLog();
const transactions = 100;
const numbers = Array.from({ length: transactions }, (_, i) => i + 1);

describe(`${transactions} transactions back to back, each with a group offset`, () => {
  test("stock kafkajs fails to the application where the offset comes first", async () => {
    const at = await newPartition(log);
    const producer = await stockProducer(stockClient(), { transactionalId: at.topic });
    const failures: string[] = [];
    for (const number of numbers) {
      const transaction = await producer.transaction();
      try {
        await consume(transaction, at.topic, number);
        await transaction.send({ topic: at.topic, messages: [{ value: String(number) }] });
        await transaction.commit();
      } catch (error) {
        failures.push((error as kafkajs.KafkaJSProtocolError).type);
        await transaction.abort();
      }
    }
    expect(failures.length).toBeGreaterThan(0);
    expect(new Set(failures)).toEqual(new Set(["CONCURRENT_TRANSACTIONS"]));
  });

  function consume(transaction: kafkajs.Transaction, topic: string, number: number) {
    const partitions = [{ partition: 0, offset: String(number) }];
    return transaction.sendOffsets({ consumerGroupId: topic, topics: [{ topic, partitions }] });
  }

  test.each([
    ["with a record each", true],
    ["of offsets alone", false],
  ])("ours commits every one (%s)", async (_, withRecord) => {
    const at = await newPartition(log);
    const writer = closeAtEnd(await log.openWriter({ transactionalId: at.topic }));
    for (const number of numbers) {
      await writer.transact({
        records: withRecord ? [outRecord(at, String(number))] : [],
        consumed: { group: at.topic, ...at, offset: BigInt(number) },
      });
    }
    const last = BigInt(transactions);
    await until("the last commit", async () => (await log.committedOffset(at.topic, at)) === last);
    expect(await ourValues(log, at)).toEqual(withRecord ? numbers.map(String) : []);
  });
});
