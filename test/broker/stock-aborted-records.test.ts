import { beforeAll, describe, expect, test } from "vitest";
import type { TopicPartition } from "../../engine/log.ts";
import { until } from "../until.ts";
import { stockClient, stockProducer } from "./stock/kafkajs.ts";
import { endOf } from "../log-reads.ts";
import { newPartition, ourLog, ourReads, stockReads } from "./stock/log.ts";

const log = ourLog();

/** Writes by several producers, each in one transaction that is aborted. */
async function abortedBy(
  names: readonly string[],
  write: (to: {
    send: (by: string, value: string, key?: Buffer) => Promise<void>;
    abort: (by: string) => Promise<void>;
  }) => Promise<void>,
): Promise<TopicPartition> {
  const at = await newPartition(log);
  const transactions = new Map(
    await Promise.all(
      names.map(async (name) => {
        const producer = await stockProducer(stockClient(), {
          transactionalId: `${at.topic}-${name}`,
        });
        return [name, await producer.transaction()] as const;
      }),
    ),
  );
  await write({
    send: async (by, value, key = Buffer.from("key")) => {
      await transactions.get(by)?.send({ topic: at.topic, messages: [{ key, value }] });
    },
    abort: async (by) => {
      const before = await endOf(log, at);
      await transactions.get(by)?.abort();
      await until("the abort marker", async () => (await endOf(log, at)) === before + 1n);
    },
  });
  const plain = await stockProducer(stockClient(), {});
  await plain.send({ topic: at.topic, messages: [{ key: "key", value: "end" }] });
  return at;
}

describe("A long aborted transaction around a short aborted one", () => {
  // Brokers name aborted transactions in the order in which they ended: the short one first.
  let at: TopicPartition;
  beforeAll(async () => {
    at = await abortedBy(["long", "short"], async ({ send, abort }) => {
      await send("long", "long 1");
      await send("long", "long 2");
      await send("short", "short");
      await abort("short");
      await send("long", "long 3");
      await abort("long");
    });
  });

  test("stock kafkajs waits for the short one to begin, and hands over what the long one wrote before", async () => {
    expect(await stockReads(log, at, "end")).toEqual(["0:long 1", "1:long 2", "6:end"]);
  });

  test("ours hands over neither", async () => {
    expect(await ourReads(log, at)).toEqual(["6:end"]);
  });
});

describe("A fetch that begins inside two open aborted transactions", () => {
  let at: TopicPartition;
  beforeAll(async () => {
    at = await abortedBy(["one", "two"], async ({ send, abort }) => {
      await send("one", "one 1");
      await send("two", "two 1");
      await send("two", "two 2");
      await send("one", "one 2");
      await abort("one");
      await abort("two");
    });
  });

  test("stock kafkajs takes note of one of them a record, and hands over a record of the other", async () => {
    expect(await stockReads(log, at, "end", 2n)).toEqual(["2:two 2", "6:end"]);
  });

  test("ours hands over neither", async () => {
    expect(await ourReads(log, at, 2n)).toEqual(["6:end"]);
  });
});

describe("A key of four zero bytes in an aborted transaction", () => {
  let at: TopicPartition;
  beforeAll(async () => {
    at = await abortedBy(["it"], async ({ send, abort }) => {
      await send("it", "before");
      await send("it", "zeros", Buffer.alloc(4));
      await send("it", "after");
      await abort("it");
    });
  });

  test("stock kafkajs takes it for the abort marker, and hands over it and all that follows", async () => {
    expect(await stockReads(log, at, "end")).toEqual(["1:zeros", "2:after", "4:end"]);
  });

  test("ours tells a control record by its batch, and hands over none", async () => {
    expect(await ourReads(log, at)).toEqual(["4:end"]);
  });
});
