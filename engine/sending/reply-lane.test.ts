import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { bankCodec, bankTopics, createTopics } from "../../test/bank.ts";
import { until } from "../../test/until.ts";
import { systemClock } from "../clock.ts";
import type { Codec } from "../codec.ts";
import type { Reply } from "../generated.ts";
import { MemoryLog } from "../testing/memory-log.ts";
import type { AggregateTopics } from "../topic.ts";
import { openReplyLanes, type ReplyLane } from "./reply-lane.ts";

let log: MemoryLog;
let topics: AggregateTopics;
let codec: Codec;
let lane: ReplyLane<string>;
let ending: AbortController;
let listening: Promise<void>;
let answered: string[];

beforeEach(async () => {
  log = new MemoryLog();
  topics = bankTopics("test", 1);
  await createTopics(log, topics);
  codec = await bankCodec(topics, systemClock);
  const lanes = await openReplyLanes<string>({ log, codec, aggregates: [topics] });
  [lane] = [...lanes.values()] as [ReplyLane<string>];
  [ending, answered] = [new AbortController(), []];
  listening = lane.listen((waiting) => answered.push(waiting), ending.signal);
});

afterEach(async () => {
  ending.abort();
  await listening;
  await lane.close();
});

/** The replies to the commands at these offsets are in the log, and the lane has read them. */
async function replies(...offsets: readonly number[]): Promise<void> {
  const last = -1; // Below all that is sent in a test.
  lane.expectReply(BigInt(last), "the last one");
  const producer = await log.openProducer();
  await producer.send([...offsets, last].map(replyTo));
  await until("the lane to have read them", () => answered.at(-1) === "the last one", {
    everyMs: 1,
  });
  answered.pop();
}

function replyTo(commandOffset: number) {
  const reply: Reply = {
    ...{ commandId: "c", commandType: "OpenAccount", aggregateId: "a" },
    ...{ commandOffset, firstOffset: commandOffset, outcome: "accepted", version: 1 },
    ...{ reason: null, duplicate: false, payloadHash: Buffer.alloc(16), issuedAt: null },
  };
  const value = Buffer.from(codec.encode(topics.replies, "Reply", { ...reply }));
  const at = { topic: topics.replies.name, partition: 0 };
  return { ...at, key: "a", value, headers: [], timestamp: 0 };
}

describe("a lane of replies", () => {
  test("keeps a reply that came before the offset of its command was told", async () => {
    lane.expectReceipt();
    await replies(7);
    lane.expectReply(7n, "the sender");
    expect(answered).toEqual(["the sender"]);
  });

  test("takes none for another command's that came meanwhile", async () => {
    lane.expectReceipt();
    await replies(7);
    lane.expectReply(8n, "the sender");
    expect(answered).toEqual([]);
    await replies(8);
    expect(answered).toEqual(["the sender"]);
  });

  test("keeps none while nothing is being sent", async () => {
    await replies(7);
    lane.expectReceipt();
    lane.expectReply(7n, "nobody");
    expect(answered).toEqual([]);
  });

  test("keeps none beyond a send, whether it succeeded or failed", async () => {
    lane.expectReceipt();
    await replies(7, 8, 9);
    lane.forgetForeign();
    lane.expectReceipt();
    for (const at of [7n, 8n, 9n]) lane.expectReply(at, "nobody");
    expect(answered).toEqual([]);
  });
});
