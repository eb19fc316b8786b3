import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { partitionOf } from "../../engine/message.ts";
import { until } from "../until.ts";
import { DefaultPartitioner, stockClient, stockConsumer, stockProducer } from "./stock/kafkajs.ts";
import { closeAtEnd, newPartition, ourLog, ourValues, outRecord } from "./stock/log.ts";

/** What the design relies on beside the faults: facts about Kafka that a new broker must not change. */

/** fast-check prints the seed of a failure; `SEED=…` repeats it. */
const seed = Number(process.env["SEED"] ?? Date.now() % 2 ** 31);

const log = ourLog();

describe("The partition of a key", () => {
  // That ours is Java's, too, stands in `engine/message.test.ts`.
  test("is the same by kafkajs's default partitioner and by ours", () => {
    const partitioner = DefaultPartitioner();
    const partition = (key: string, partitions: number) =>
      partitioner({
        topic: "any",
        partitionMetadata: Array.from({ length: partitions }, (_, partitionId) => ({
          partitionErrorCode: 0,
          partitionId,
          leader: 0,
          replicas: [0],
          isr: [0],
        })),
        message: { key, value: null },
      });
    const key = fc.string({ unit: "binary", minLength: 1, maxLength: 64 });
    fc.assert(
      fc.property(key, fc.integer({ min: 1, max: 60 }), (key, partitions) => {
        expect(partitionOf(key, partitions)).toBe(partition(key, partitions));
      }),
      { seed, numRuns: 5_000 },
    );
  });
});

describe("A group offset committed in a transaction", () => {
  // Why the offset of a group is a hint to us, and the log decides where to resume.
  test("is accepted from a writer that is no member, and takes the group back", async () => {
    const at = await newPartition(log);
    const group = at.topic;
    const writer = closeAtEnd(await log.openWriter({ transactionalId: group }));
    for (let i = 0; i < 10; i++) {
      await writer.transact({ records: [outRecord(at, String(i))], consumed: null });
    }
    const member = await stockConsumer(at.topic, group);
    let joined = false;
    member.on(member.events.GROUP_JOIN, () => (joined = true));
    await member.run({ autoCommit: false, eachMessage: async () => undefined });
    await until("the member to join", () => joined);
    await member.commitOffsets([{ topic: at.topic, partition: 0, offset: "9" }]);
    expect(await log.committedOffset(group, at)).toBe(9n);

    await writer.transact({ records: [], consumed: { group, ...at, offset: 3n } });
    // The answer to a commit does not wait for the markers, which make it seen.
    await until("the group to be at 3", async () => (await log.committedOffset(group, at)) === 3n);
  });
});

describe("A stable transactional id", () => {
  test("fences a zombie whose transaction is open: the next owner's records alone are read", async () => {
    const at = await newPartition(log);
    const transactionalId = at.topic;
    const zombie = await stockProducer(stockClient(), { transactionalId });
    const open = await zombie.transaction();
    const send = (value: string) => open.send({ topic: at.topic, messages: [{ value }] });
    await send("zombie");

    const begun = performance.now();
    const owner = closeAtEnd(await log.openWriter({ transactionalId }));
    console.info(`The take-over took ${Math.round(performance.now() - begun)} ms`);
    await owner.transact({ records: [outRecord(at, "owner")], consumed: null });

    const fenced = { type: "INVALID_PRODUCER_EPOCH" };
    await expect(send("zombie again")).rejects.toMatchObject(fenced);
    await expect(open.commit()).rejects.toMatchObject(fenced);
    expect(await ourValues(log, at)).toEqual(["owner"]);
  });
});
