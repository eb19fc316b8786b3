import { describe, expect, test } from "vitest";
import { systemClock } from "../engine/clock.ts";
import { MemoryLog } from "../engine/testing/memory-log.ts";
import { MemoryStoreFiles } from "../engine/testing/memory-store.ts";
import type { Call, Network } from "../engine/testing/network.ts";
import {
  bankCodec,
  type BankRun,
  bankTopics,
  commandRecord,
  createTopics,
  processPartition,
  seen,
} from "./bank.ts";
import { until } from "./until.ts";

/** A worker that is replaced while it restores its partition. */

const accounts = ["a", "b", "c"];

async function openBank() {
  const log = new MemoryLog();
  const topics = bankTopics("replaced", 1);
  await createTopics(log, topics);
  const codec = await bankCodec(topics, systemClock);
  const producer = await log.openProducer();
  const send = async (commandId: string, of: readonly string[] = accounts) => {
    const data = { commandId, owner: "Ada" };
    const commands = of.map((accountId) =>
      commandRecord({ topics, codec }, "OpenAccount", { ...data, accountId }),
    );
    await producer.send(commands);
  };
  const start = (over: MemoryLog, more: Partial<BankRun> = {}) => {
    const { open: openStore } = new MemoryStoreFiles();
    return processPartition(
      { topics, codec, clock: systemClock, log: over, openStore, ...more },
      0,
    );
  };
  /** Another worker, which handles all there is up to `position`. */
  const handle = async (position: bigint, more: Partial<BankRun> = {}) => {
    const worker = start(log, more);
    await until("a worker to have handled all", () => worker.position() === position);
    await worker.stop();
  };
  /** The log, over which one answer comes late. */
  const held = (api: Call["api"], nth: number) => {
    const late = Promise.withResolvers<undefined>();
    let count = 0;
    const network: Network = async (call, answer) => {
      const isHeld = call.api === api && ++count === nth;
      if (isHeld) await late.promise;
      return answer();
    };
    return {
      log: log.via(network),
      isHeld: () => count >= nth,
      release: () => {
        late.resolve(undefined);
      },
    };
  };
  const replies = () =>
    seen(codec, topics.replies, log.committed({ topic: topics.replies.name, partition: 0 }));
  return { log, send, start, handle, held, replies };
}

const apis: Call["api"][] = ["ListOffsets", "OffsetFetch", "Fetch"];
/** The first requests of a restore: its marks, the group's offset, and what it reads. */
const requests = apis.flatMap((api) => [1, 2, 3, 4].map((nth) => [api, nth] as const));

describe("a worker that is replaced while it restores does not say that the log is damaged", () => {
  test.each(requests)("when its %s number %i comes late", async (api, nth) => {
    const bank = await openBank();
    await bank.send("first");
    await bank.handle(3n);
    const held = bank.held(api, nth);
    const replaced = bank.start(held.log);
    await until("the worker to be held up", () => held.isHeld() || replaced.story.length > 1);
    await bank.send("second");
    await bank.handle(6n);

    held.release();
    await bank.send("third");
    await until("either to have handled the rest", () => replaced.position() === 9n);
    expect(await replaced.stop()).toBe("aborted");
  });
});

describe("a worker that was replaced while it restored forgets no sooner than it may", () => {
  test.each([2, 3])("when its Fetch number %i comes late", async (nth) => {
    const bank = await openBank();
    const limits = { window: { maxAgeMs: 60_000, maxCount: 6 }, maxRecords: 3, storeDelayMs: 0 };
    await bank.send("first");
    await bank.handle(3n, { limits });
    for (const id of ["second", "third", "fourth"]) await bank.send(id);
    const held = bank.held("Fetch", nth);
    const files = new MemoryStoreFiles();
    const replaced = bank.start(held.log, { openStore: files.open, limits });
    await until("the worker to be held up", () => held.isHeld());
    await bank.handle(12n, { limits });

    held.release();
    const store = await files.open("replaced.account.commands/0");
    await until("what it restored to be in its store", () => [...store.range("a", "a")].length > 0);
    await bank.send("fifth", ["a"]);
    await until("it to have the partition again", () => replaced.position() === 13n);
    await bank.send("fourth");
    await until("it to have answered again", () => replaced.position() === 16n);
    await replaced.stop();
    const again = bank.replies().slice(-3);
    expect(again.map(({ data }) => data["duplicate"])).toEqual([true, true, true]);
  });
});
