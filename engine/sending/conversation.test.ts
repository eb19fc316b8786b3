import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  bankCodec,
  bankTopics,
  commandRecord,
  createTopics,
  processPartition,
  type RunningPartition,
} from "../../test/bank.ts";
import { until } from "../../test/until.ts";
import { type Clock, systemClock } from "../clock.ts";
import type { Codec } from "../codec.ts";
import { TransientError, WriterLostError } from "../errors.ts";
import { partitionOf } from "../message.ts";
import { MemoryLog } from "../testing/memory-log.ts";
import { MemoryStoreFiles } from "../testing/memory-store.ts";
import type { Network } from "../testing/network.ts";
import type { AggregateTopics } from "../topic.ts";
import type { Outgoing } from "./command-record.ts";
import {
  type Answered,
  Conversation,
  type ConversationOptions,
  type Ticket,
} from "./conversation.ts";

const atOnce = {
  transactions: { markerMs: () => 0, transactionTimeoutMs: 60_000 },
  groups: { sessionTimeoutMs: 60_000, heartbeatMs: 3_000 },
};

let log: MemoryLog;
let topics: AggregateTopics;
let codec: Codec;
let running: RunningPartition[];
let open: Conversation<Outgoing>[];
let answers: Answered<Outgoing>[];
let troubles: string[];
let [nowMs, looks] = [0, 0];
/** Goes on only where a test moves it: nothing is silent for longer where the machine is slow. */
const standing: Clock = {
  ...systemClock,
  now() {
    looks += 1;
    return nowMs;
  },
};

beforeEach(async () => {
  log = new MemoryLog({
    cluster: { ...atOnce, brokerOf: (name) => (name.endsWith("/0") ? 0 : 1) },
  });
  topics = bankTopics("test", 2);
  await createTopics(log, topics);
  codec = await bankCodec(topics, systemClock);
  [running, open, answers, troubles] = [[], [], [], []];
});

afterEach(async () => {
  for (const conversation of open) await conversation.close();
  for (const partition of running) await partition.stop();
});

function startBank(): void {
  const { open: openStore } = new MemoryStoreFiles();
  const bank = { log, topics, codec, clock: systemClock, openStore };
  running = [0, 1].map((partition) => processPartition(bank, partition));
}

const bankReady = () =>
  until("the bank to be ready", () =>
    running.every(({ story }) => story.some((it) => it.startsWith("ready"))),
  );

async function converse(more: Partial<ConversationOptions<Outgoing>> = {}) {
  const conversation = await Conversation.open<Outgoing>({
    log,
    codec,
    aggregates: [topics],
    replies: "awaited",
    silenceMs: 20_000,
    onAnswer: (answered) => answers.push(answered),
    onTrouble: (message) => troubles.push(message),
    ...more,
  });
  open.push(conversation);
  return conversation;
}

function deposit(commandId: string, accountId: string): Outgoing {
  const record = commandRecord({ topics, codec }, "DepositFunds", {
    commandId,
    accountId,
    amountCents: 5,
  });
  return { commandId, type: "DepositFunds", aggregateId: accountId, record };
}

function opening(accountId: string, commandId = `open-${accountId}`): Outgoing {
  const data = { commandId, accountId, owner: "Ada" };
  const record = commandRecord({ topics, codec }, "OpenAccount", data);
  return { commandId, type: "OpenAccount", aggregateId: accountId, record };
}

/** Loses the answers to the first sends of clients: what they sent is in the log. */
function losingAnswers(times: number): Network {
  let lost = 0;
  return async (call, handle) => {
    const answer = handle();
    if (call.api === "Produce" && call.by === null && lost < times) {
      lost += 1;
      throw new WriterLostError("indefinite", "the answer was lost");
    }
    return answer;
  };
}

/** The partitions have a broker each; that of partition 0 does this with a send of commands before it takes it. */
function withBroker(does: () => Promise<void>): Network {
  return async (call, handle) => {
    if (call.api === "Produce" && call.by === null && call.broker === 0) await does();
    return handle();
  };
}

const told = () =>
  answers.map(({ outgoing, reply }) => [outgoing.commandId, reply.outcome, reply.duplicate]).sort();

describe("a conversation", () => {
  test("hears the answer to each command that it sent", async () => {
    startBank();
    const conversation = await converse();
    for (const id of ["a", "b", "c"]) conversation.send(opening(id));
    conversation.send(deposit("d-a", "a"));
    conversation.send(deposit("d-x", "nobody"));
    await conversation.settled();
    expect(told()).toEqual([
      ["d-a", "accepted", false],
      ["d-x", "rejected", false],
      ["open-a", "accepted", false],
      ["open-b", "accepted", false],
      ["open-c", "accepted", false],
    ]);
    expect(conversation).toMatchObject({ sent: 5, unanswered: 0, gaveUp: false });
  });

  test("takes no reply to another sender's command for its own, though the ids are the same", async () => {
    const conversation = await converse();
    const other = await log.openProducer();
    await other.send([opening("a", "same").record]);
    conversation.send(opening("a", "same"));
    await until("the command to be in the log", () => conversation.sent === 1, { everyMs: 1 });
    startBank();
    await conversation.settled();
    expect(answers.map(({ reply }) => [reply.commandOffset, reply.firstOffset])).toEqual([[1, 0]]);
    expect(told()).toEqual([["same", "accepted", true]]);
  });

  test("hears an answer that was there before the broker told the command's offset", async () => {
    startBank();
    await bankReady();
    const { partition } = opening("a").record;
    const late: Network = async (call, handle) => {
      const answer = handle();
      if (call.api === "Produce" && call.by === null) {
        const replies = { topic: topics.replies.name, partition };
        await until("the reply", () => log.committed(replies).length > 0, { everyMs: 1 });
      }
      return answer;
    };
    const conversation = await converse({ log: log.via(late) });
    conversation.send(opening("a"));
    await conversation.settled();
    expect(told()).toEqual([["open-a", "accepted", false]]);
  });

  test("does not read what was answered before it began", async () => {
    startBank();
    await bankReady();
    const older = { ...opening("a").record, topic: topics.replies.name };
    const unreadable = [0, 1].map((partition) => ({
      ...older,
      partition,
      value: Buffer.from("?"),
    }));
    await (await log.openProducer()).send(unreadable);
    const conversation = await converse();
    conversation.send(opening("b"));
    await conversation.settled();
    expect(told()).toEqual([["open-b", "accepted", false]]);
  });

  test("sends the same ids again by another producer where an answer was lost", async () => {
    startBank();
    const conversation = await converse({ log: log.via(losingAnswers(2)) });
    conversation.send(opening("a"));
    conversation.send(deposit("d-a", "a"));
    await conversation.settled();
    // They were in the log already, and nothing was done twice.
    expect(told()).toEqual([
      ["d-a", "accepted", true],
      ["open-a", "accepted", true],
    ]);
    expect(troubles).toEqual(["the answer was lost", "the answer was lost"]);
    const { partition } = opening("a").record;
    expect(log.committed({ topic: topics.events.name, partition })).toHaveLength(2);
  });

  test("goes on once brokers that were away are back", async () => {
    startBank();
    let away = 3;
    const network: Network = async (call, handle) => {
      if (call.api === "Produce" && away-- > 0) throw new TransientError("nobody answers");
      return handle();
    };
    const conversation = await converse({ log: log.via(network) });
    conversation.send(opening("a"));
    await conversation.settled();
    expect(told()).toEqual([["open-a", "accepted", false]]);
  });

  describe("while one partition cannot be written to", () => {
    let does: "takes" | "refuses" | "hangs";
    let refusal: Promise<undefined>;
    /** Sends to partition 0. */
    let asked: number;
    let conversation: Conversation<Outgoing>;
    /** Accounts of partition 0, which is away, and of partition 1. */
    const [away, here] = [0, 1].map((partition) =>
      Array.from({ length: 100 }, (_, i) => `a-${i}`).filter(
        (id) => partitionOf(id, 2) === partition,
      ),
    ) as [string[], string[]];
    const commandsOf = (partition: number) =>
      log.committed({ topic: topics.commands.name, partition }).map(({ key }) => String(key));

    beforeEach(async () => {
      [does, asked, refusal] = ["refuses", 0, Promise.resolve(undefined)];
      startBank();
      const network = withBroker(async () => {
        asked += 1;
        if (does === "takes") return;
        await (does === "hangs" ? new Promise(() => undefined) : refusal);
        throw new TransientError("partition 0 has no leader");
      });
      conversation = await converse({ log: log.via(network) });
    });

    test("goes on with the others, and hears their answers", async () => {
      const [a, b] = here as [string, string];
      conversation.send(opening(away[0] as string));
      conversation.send(opening(a));
      await until("the answer beside it", () => answers.length === 1, { everyMs: 1 });
      await until("a second trouble", () => troubles.length > 1, { everyMs: 1 });
      conversation.send(deposit("behind it", away[0] as string));
      conversation.send(opening(b));
      await until("the answer after it", () => answers.length === 2, { everyMs: 1 });
      // Once more by itself, since nobody knew; after that it is not sent along with what cannot be written.
      expect(commandsOf(1)).toEqual([a, a, b]);
      expect(commandsOf(0)).toEqual([]);
      does = "takes";
      await conversation.settled();
      expect(answers.map(({ outgoing }) => outgoing.commandId)).toEqual([
        `open-${a}`,
        `open-${b}`,
        `open-${away[0]}`,
        "behind it",
      ]);
    });

    test("does not wait for the one whose broker says nothing", async () => {
      does = "hangs";
      const [a, b] = here as [string, string];
      conversation.send(opening(away[0] as string));
      conversation.send(opening(a));
      await until("the answer beside it", () => answers.length === 1, { everyMs: 1 });
      conversation.send(deposit("behind it", away[0] as string));
      conversation.send(opening(b));
      await until("the answer after it", () => answers.length === 2, { everyMs: 1 });
      expect(commandsOf(1)).toEqual([a, a, b]);
    });

    test("shares its requests with the others again once it could be", async () => {
      conversation.send(opening(away[0] as string));
      await until("a trouble", () => troubles.length > 0, { everyMs: 1 });
      does = "takes";
      await conversation.settled();
      does = "refuses";
      const [a] = here as [string];
      conversation.send(opening(away[1] as string));
      conversation.send(opening(a));
      await until("the answer beside it", () => answers.length === 2, { everyMs: 1 });
      expect(commandsOf(1)).toEqual([a, a]); // It failed with the other, and went by itself.
    });

    test("keeps the order of its commands, those that came meanwhile behind the ones that failed", async () => {
      const ids = away.slice(0, 10);
      for (let i = 0; i < ids.length; i += 2) {
        const [before, refused] = [asked, Promise.withResolvers<undefined>()];
        refusal = refused.promise;
        conversation.send(opening(ids[i] as string));
        await until("a send", () => asked > before, { everyMs: 1 });
        conversation.send(opening(ids[i + 1] as string));
        refused.resolve(undefined);
      }
      does = "takes";
      await conversation.settled();
      expect(commandsOf(0)).toEqual(ids);
    });

    test("sends nothing again that nobody waits for", async () => {
      const refused = Promise.withResolvers<undefined>();
      refusal = refused.promise;
      const tickets = away.slice(0, 3).map((id) => conversation.send(opening(id)));
      const [first, second] = tickets as [Ticket<Outgoing>, Ticket<Outgoing>];
      await until("a send", () => asked > 0, { everyMs: 1 });
      const late = conversation.send(opening(away[3] as string));
      expect(conversation.forget(first)).toBe("unknown");
      expect(conversation.forget(second)).toBe("unknown");
      expect(conversation.forget(late)).toBe("unsent");
      expect(conversation.unanswered).toBe(1);
      does = "takes";
      refused.resolve(undefined);
      await conversation.settled();
      expect(commandsOf(0)).toEqual([away[2]]);
      expect(told()).toEqual([[`open-${away[2]}`, "accepted", false]]);
    });
  });

  test("gives up after a silence, and says how many stayed unanswered", async () => {
    const conversation = await converse({ clock: standing, silenceMs: 20_000 });
    conversation.send(opening("a"));
    conversation.send(opening("b"));
    await until("both to be in the log", () => conversation.sent === 2, { everyMs: 1 });
    nowMs += 20_000;
    await conversation.settled();
    expect(conversation).toMatchObject({ sent: 2, unanswered: 2, gaveUp: true, isOver: true });
    expect(conversation.signal.aborted).toBe(true);
  });

  test("counts no silence while nothing is in flight", async () => {
    // An acknowledgement is heard too: it comes after a look that finds a silence if that is counted from before.
    const late: Network = async (call, handle) => {
      const before = looks;
      if (call.api === "Produce") await until("a look at the time", () => looks > before);
      return handle();
    };
    const conversation = await converse({ log: log.via(late), clock: standing });
    nowMs += 60_000;
    const from = performance.now();
    await until("a wrong count to give up", () => performance.now() - from > 300);
    conversation.send(opening("a"));
    startBank();
    await conversation.settled();
    expect(conversation).toMatchObject({ unanswered: 0, gaveUp: false });
  });

  test("counts what the broker acknowledged where replies are ignored", async () => {
    const conversation = await converse({ replies: "ignored" });
    for (const id of ["a", "b", "c"]) conversation.send(opening(id));
    await conversation.settled();
    expect(conversation).toMatchObject({ sent: 3, unanswered: 0 });
    expect(answers).toEqual([]);
  });

  test("has room for so many in flight, and for more once they are answered", async () => {
    const conversation = await converse();
    let sent = 0;
    while (conversation.hasRoom) conversation.send(deposit(`d-${sent++}`, `a-${sent}`));
    expect(sent).toBeGreaterThanOrEqual(1_000);
    expect(sent).toBeLessThanOrEqual(10_000);
    startBank();
    await conversation.room();
    expect(conversation.hasRoom).toBe(true);
    await conversation.settled();
    expect(answers).toHaveLength(sent);
  });

  test("keeps the order of the commands of one account", async () => {
    startBank();
    const conversation = await converse({ log: log.via(losingAnswers(1)) });
    conversation.send(opening("a"));
    for (let i = 0; i < 20; i++) {
      conversation.send(deposit(`d-${i}`, "a"));
      if (i % 5 === 0) await until("a send", () => conversation.sent >= i, { everyMs: 1 });
    }
    await conversation.settled();
    const versions = answers.map(({ outgoing, reply }) => [outgoing.commandId, reply.version]);
    const expected = [["open-a", 1], ...Array.from({ length: 20 }, (_, i) => [`d-${i}`, i + 2])];
    expect(versions).toEqual(expected);
  });

  test("fails with an error that no time cures", async () => {
    const conversation = await converse();
    const { record } = opening("a");
    const tooLarge = { ...record, value: Buffer.alloc(1_100_000) };
    conversation.send({ ...opening("a"), record: tooLarge });
    await expect(conversation.settled()).rejects.toThrow("larger than");
  });
});
