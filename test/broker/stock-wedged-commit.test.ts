import { afterAll, beforeAll, beforeEach, describe, expect, inject, test } from "vitest";
import { WriterLostError } from "../../engine/errors.ts";
import type { Log, TopicPartition, Writer } from "../../engine/log.ts";
import { type KafkaProxy, startKafkaProxy } from "../faults/kafka-proxy.ts";
import { until } from "../until.ts";
import { stockClient, stockProducer } from "./stock/kafkajs.ts";
import { closeAtEnd, newPartition, ourLog, ourValues, outRecord } from "./stock/log.ts";

const { boundPort, advertisedPort } = inject("kafkaProxied");
let proxy: KafkaProxy;
let log: Log;
let events: TopicPartition;
let replies: TopicPartition;

beforeAll(async () => {
  proxy = await startKafkaProxy(advertisedPort, boundPort);
  log = ourLog(proxy.port);
});
afterAll(async () => {
  await proxy.close();
});
beforeEach(async () => {
  [events, replies] = [await newPartition(log), await newPartition(log)];
});

/** A promise, and the call that resolves it. */
function gate(): { readonly opened: Promise<void>; readonly open: () => void } {
  const { promise, resolve } = Promise.withResolvers<undefined>();
  return {
    opened: promise,
    open: () => {
      resolve(undefined);
    },
  };
}

describe("A commit whose answer is lost, or which the network holds up", () => {
  test.each(["lose-answer", "strand"] as const)(
    "stock kafkajs can neither commit, nor abort, nor begin anew (%s)",
    async (does) => {
      const transactionalId = events.topic;
      const producer = await stockProducer(stockClient(proxy.port), { transactionalId });
      const transaction = await producer.transaction();
      await transaction.send({ topic: events.topic, messages: [{ value: "B" }] });
      const late = gate();
      proxy.inject({ api: "EndTxn", does, ...(does === "strand" && { until: late.opened }) });
      await expect(transaction.commit()).rejects.toThrow("Closed connection");

      const ended = "Cannot continue to use transaction once ended";
      await expect(transaction.commit()).rejects.toThrow(ended);
      await expect(transaction.abort()).rejects.toThrow(ended);
      await expect(producer.transaction()).rejects.toThrow(
        'Cannot call "beginTransaction" in state "COMMITTING"',
      );
      late.open();
    },
  );

  const openWriter = async () =>
    closeAtEnd(await log.openWriter({ transactionalId: events.topic }));

  /** An event and its reply, which belong together. */
  const write = (writer: Writer, name: string) =>
    writer.transact({
      records: [outRecord(events, name), outRecord(replies, name)],
      consumed: null,
    });

  async function losesItsWriter(writing: Promise<unknown>): Promise<void> {
    const error: unknown = await writing.then(
      () => "no error",
      (it: unknown) => it,
    );
    expect(error).toBeInstanceOf(WriterLostError);
    expect(error).toMatchObject({ reason: "indefinite" });
  }

  test("ours gives up a writer whose answer was lost; the next one finds the transaction whole", async () => {
    const writer = await openWriter();
    await write(writer, "A");
    proxy.inject({ api: "EndTxn", does: "lose-answer" });
    await losesItsWriter(write(writer, "B"));
    await write(await openWriter(), "C");
    expect(await ourValues(log, events)).toEqual(["A", "B", "C"]);
    expect(await ourValues(log, replies)).toEqual(["A", "B", "C"]);
  });

  test("ours finds the transaction whole, too, when a commit that is held up comes before the next writer", async () => {
    const writer = await openWriter();
    await write(writer, "A");
    const late = gate();
    proxy.inject({ api: "EndTxn", does: "strand", until: late.opened });
    await losesItsWriter(write(writer, "B"));
    const answered = proxy.answered("EndTxn");
    late.open();
    await until("B's commit to arrive", () => proxy.answered("EndTxn") > answered);
    await write(await openWriter(), "C");
    expect(await ourValues(log, events)).toEqual(["A", "B", "C"]);
    expect(await ourValues(log, replies)).toEqual(["A", "B", "C"]);
  });

  test("ours aborts a transaction whose commit is held up, which has no effect when it comes late", async () => {
    const writer = await openWriter();
    await write(writer, "A");
    const late = gate();
    proxy.inject({ api: "EndTxn", does: "strand", until: late.opened });
    await losesItsWriter(write(writer, "B"));

    const next = await openWriter();
    const answered = proxy.answered("EndTxn");
    const inTheMiddle = gate();
    proxy.inject({ api: "EndTxn", does: "stall", until: inTheMiddle.opened });
    const held = proxy.seen("EndTxn");
    const writing = write(next, "C");
    await until(
      "C to be produced and its commit to be on the way",
      () => proxy.seen("EndTxn") > held,
    );
    late.open();
    await until("B's commit to arrive", () => proxy.answered("EndTxn") > answered);
    inTheMiddle.open();
    await writing;

    expect(await ourValues(log, events)).toEqual(["A", "C"]);
    expect(await ourValues(log, replies)).toEqual(["A", "C"]);
  });
});
