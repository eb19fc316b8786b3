import { beforeAll, describe, expect, test } from "vitest";
import { systemClock } from "../../engine/clock.ts";
import type { Codec } from "../../engine/codec.ts";
import { deadLetter, deadLetterHeaders } from "../../engine/commands/dead-letter.ts";
import type { PoisonCode } from "../../engine/errors.ts";
import { headerOf, type LogRecord, type OutRecord } from "../../engine/log.ts";
import { headers, partitionOf } from "../../engine/message.ts";
import { bankCodec, bankTopics, commandRecord } from "../../test/bank.ts";
import {
  contentOf,
  coordinatesIn,
  type DeadLetter,
  deadLetterAt,
  supersededIn,
} from "./dead-letters.ts";
import { inOriginalOrder, replayOf } from "./replay.ts";

const topics = bankTopics("test", 2);
let codec: Codec;
beforeAll(async () => {
  codec = await bankCodec(topics, systemClock);
});

const bytesOf = (it: string | Buffer | null) => (typeof it === "string" ? Buffer.from(it) : it);

function asRead(record: OutRecord, offset: bigint): LogRecord {
  const { key, value, timestamp } = record;
  const read = record.headers.map(([name, it]) => [name, bytesOf(it)] as const);
  return { offset, timestamp, key: bytesOf(key), value, headers: read };
}

/** Belongs into partition 0, and is buried in partition 1. */
const accountId = ["ada", "grace", "alan", "edsger"].find((id) => partitionOf(id, 2) === 0) ?? "";

const open = (more: Record<string, unknown> = {}) =>
  commandRecord({ topics, codec }, "OpenAccount", {
    commandId: "open-1",
    accountId,
    owner: "Ada",
    ...more,
  });

/** As the command processor buries it, at 1/7 of the dead-letter topic. */
function buried(record: OutRecord, code: PoisonCode, at = 7n): DeadLetter {
  const partition = 1;
  const from = { topic: topics.commands.name, partition };
  const poison = {
    code,
    message: "it is wrong",
    commandId: null,
    aggregateId: null,
    type: null,
    schemaId: null,
  };
  const letter = deadLetter(asRead(record, 42n), from, poison, {
    dlq: topics.dlq,
    worker: "account",
  });
  return deadLetterAt(partition, asRead(letter, at));
}

const replay = (letter: DeadLetter, ids: "kept" | "new" = "kept") =>
  replayOf(letter, { topics, codec, ids });

describe("a dead letter", () => {
  test("tells where it came from and why it is here", () => {
    expect(buried(open(), "WRONG_PARTITION")).toMatchObject({
      partition: 1,
      offset: 7n,
      code: "WRONG_PARTITION",
      message: "it is wrong",
      from: { topic: "test.account.commands", partition: 1, offset: 42n },
      replayOf: null,
    });
  });

  test("without headers of ours is shown all the same", () => {
    expect(deadLetterAt(0, asRead({ ...open(), headers: [] }, 3n))).toMatchObject({
      code: "unknown",
      from: null,
    });
  });

  test("has its command where it can be read, and else what is wrong with it", () => {
    expect(contentOf(buried(open(), "WRONG_PARTITION"), topics, codec)).toMatchObject({
      kind: "decoded",
      type: "OpenAccount",
      commandId: "open-1",
    });
    const letter = buried({ ...open(), value: Buffer.from("{}") }, "BAD_WIRE_FORMAT");
    expect(contentOf(letter, topics, codec)).toMatchObject({
      kind: "undecodable",
      code: "BAD_WIRE_FORMAT",
    });
  });

  test.each(["", "3", "3/", "/3", "a/1", "-1/2", "1/2/3", "1 / 2"])(
    "is not named by %j",
    (text) => {
      expect(() => coordinatesIn(text)).toThrow("PARTITION/OFFSET");
    },
  );

  test("that was replayed and came back is known by the one that came back", () => {
    const first = buried(open(), "DECIDER_THREW", 7n);
    const sent = replay(first);
    if (sent.kind === "refuse") throw new Error(sent.reason);
    const second = buried(sent.record, "DECIDER_THREW", 9n);
    expect([...supersededIn([first, second], topics)]).toEqual([["1/7", "1/9"]]);
    // Its header stays one, however often it goes round.
    const again = replay(second);
    if (again.kind === "refuse") throw new Error(again.reason);
    const names = again.record.headers.map(([name]) => name);
    expect(names.filter((name) => name === headers.replayOf)).toHaveLength(1);
  });
});

describe("a replay", () => {
  test("has the original bytes and headers, the partition of its key, and says what it is", () => {
    const sent = { ...open(), headers: [["actor", "ada"] as const] };
    const found = replay(buried(sent, "WRONG_PARTITION"));
    if (found.kind === "refuse") throw new Error(found.reason);
    const { record, commandId } = found;
    expect(commandId).toBe("open-1");
    expect(record).toMatchObject({ topic: topics.commands.name, partition: 0 });
    expect(record.value?.equals(open().value ?? Buffer.alloc(0))).toBe(true);
    const read = asRead(record, 0n);
    expect(headerOf(read, "actor")).toBe("ada");
    expect(headerOf(read, headers.replayOf)).toBe("test.account.dlq/1/7");
    expect(headerOf(read, deadLetterHeaders.code)).toBeNull();
  });

  test.each([
    ["bytes that are no Avro", { value: Buffer.from("{}") }, "BAD_WIRE_FORMAT"],
    ["an unknown schema", { value: Buffer.from([0, 0x7f, 0, 0, 1, 1]) }, "UNKNOWN_SCHEMA"],
    ["no value", { value: null }, "BAD_WIRE_FORMAT"],
    ["no key", { key: null }, "NULL_KEY"],
    ["a key that is no text", { key: Buffer.from([0xc3, 0x28]) }, "INVALID_AGGREGATE_ID"],
    ["another account's key", { key: "another" }, "KEY_MISMATCH"],
  ])("of %s is refused with the reason", async (_, change, code) => {
    const letter = buried({ ...open(), ...change }, "TRUNCATED");
    await codec.learn([letter.record.value], new AbortController().signal);
    expect(replay(letter)).toMatchObject({
      kind: "refuse",
      reason: expect.stringMatching(new RegExp(`^it would fail again: ${code}: `)) as string,
    });
  });

  test("of a fault in the decider is sent: it may have been mended", () => {
    expect(replay(buried(open(), "DECIDER_THREW")).kind).toBe("send");
  });

  test("to another topic than the commands is refused", () => {
    const letter = buried(open(), "WRONG_PARTITION");
    const elsewhere = { ...letter, from: { topic: "other.topic", partition: 0, offset: 1n } };
    expect(replay(elsewhere)).toMatchObject({ kind: "refuse" });
  });

  test("that the header would make too large is refused", () => {
    const owner = "x".repeat(1_048_455);
    expect(replay(buried(open({ owner }), "WRONG_PARTITION"))).toMatchObject({ kind: "refuse" });
  });

  test("under a new id has always the same one, without an issue time that may have expired", () => {
    const letter = buried(open({ issuedAt: 1_700_000_000_000 }), "WRONG_PARTITION");
    const [one, two] = [replay(letter, "new"), replay(letter, "new")];
    if (one.kind === "refuse" || two.kind === "refuse") throw new Error("refused");
    expect(one).toMatchObject({ oldId: "open-1", commandId: "replay:test.account.dlq/1/7" });
    expect(two.commandId).toBe(one.commandId);
    const { data } = codec.decode(topics.commands, one.record.value ?? Buffer.alloc(0));
    expect(data).toMatchObject({ commandId: one.commandId, issuedAt: null, owner: "Ada" });
  });
});

test("replays go in the order in which the commands were sent", () => {
  const at = (offset: bigint, dlqOffset: bigint) => ({
    ...buried(open(), "DECIDER_THREW", dlqOffset),
    from: { topic: topics.commands.name, partition: 1, offset },
  });
  const ordered = inOriginalOrder([at(9n, 1n), at(3n, 2n), at(5n, 3n)]);
  expect(ordered.map(({ from }) => from?.offset)).toEqual([3n, 5n, 9n]);
});
