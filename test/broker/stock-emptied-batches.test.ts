import { randomUUID } from "node:crypto";
import { beforeAll, describe, expect, test } from "vitest";
import type { Log, TopicPartition } from "../../engine/log.ts";
import { until } from "../until.ts";
import { stockConsumer } from "./stock/kafkajs.ts";
import { closeAtEnd, newPartition, ourLog, outRecord, setGroupOffset } from "./stock/log.ts";

const log = ourLog();
const signal = new AbortController().signal;

/**
 * A log whose first segment holds nothing but a batch that compaction has emptied: the cleaner keeps the
 * last batch of each producer, for its sequence numbers. It joins small segments to one, so here each
 * batch fills a segment to within less than an empty batch.
 */
async function emptiedSegment(): Promise<TopicPartition> {
  const segmentBytes = 1 << 20;
  const at = await newPartition(log, {
    "cleanup.policy": "compact",
    "segment.bytes": String(segmentBytes),
    "min.cleanable.dirty.ratio": "0.001",
  });
  const full = (key: string, value: string) => ({
    ...outRecord(at, value.padEnd(segmentBytes - 120, ".")),
    key,
  });
  const [first, second] = [
    closeAtEnd(await log.openProducer()),
    closeAtEnd(await log.openProducer()),
  ];
  await first.send([full("a", "old a")]);
  await second.send([full("a", "new a")]);
  await second.send([full("b", "b")]);
  await second.send([full("c", "c")]); // Begins the segment that the cleaner leaves alone.
  await until("the cleaner to empty the first batch", async () => {
    const { records, next } = await readOnce(log, at, 0n);
    return records.length === 0 && next === 1n;
  });
  return at;
}

async function readOnce(from: Log, of: TopicPartition, offset: bigint) {
  const reader = await from.openReader();
  const slice = await reader.read({ ...of, offset }, { maxBytes: 1, maxWaitMs: 100 }, signal);
  await reader.close();
  return slice;
}

const nameOf = (value: Buffer | null) => String(value).replace(/\.+$/, "");

describe("A segment that holds only a batch that compaction has emptied", () => {
  let at: TopicPartition;
  beforeAll(async () => {
    at = await emptiedSegment();
  });

  /** What a stock consumer has been handed when it has made so many fetches, or all that there is. */
  async function stockReads(offset: bigint, fetches: number) {
    const group = randomUUID();
    await setGroupOffset(log, group, { ...at, offset });
    const consumer = await stockConsumer(at.topic, group);
    let made = 0;
    const read: string[] = [];
    consumer.on(consumer.events.FETCH, () => made++);
    await consumer.run({
      eachMessage: async ({ message }) => {
        read.push(nameOf(message.value));
      },
    });
    await until(`${fetches} fetches`, () => made >= fetches || read.length === 3);
    await consumer.disconnect();
    return { read, made };
  }

  test("stock kafkajs fetches it again and again, and never gets past it", async () => {
    const { read, made } = await stockReads(0n, 500);
    expect(read).toEqual([]);
    expect(made).toBeGreaterThanOrEqual(500);
  });

  test("stock kafkajs reads what follows once it is put behind the emptied batch", async () => {
    const { read, made } = await stockReads(1n, 500);
    expect(read).toEqual(["new a", "b", "c"]);
    expect(made).toBeLessThan(10);
  });

  test("ours passes it with one fetch, and reads what follows", async () => {
    const read: string[] = [];
    let fetches = 0;
    for (let offset = 0n; offset < 4n; fetches++) {
      const { records, next } = await readOnce(log, at, offset);
      read.push(...records.map(({ value }) => nameOf(value)));
      offset = next;
    }
    expect(read).toEqual(["new a", "b", "c"]);
    expect(fetches).toBe(4);
  });
});
