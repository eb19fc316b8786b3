import { describe, expect, test } from "vitest";
import { systemClock } from "../engine/clock.ts";
import { MemoryLog } from "../engine/testing/memory-log.ts";
import { MemoryStoreFiles } from "../engine/testing/memory-store.ts";
import type { Call, Network } from "../engine/testing/network.ts";
import { bankCodec, bankTopics, commandRecord, createTopics, processPartition } from "./bank.ts";
import { until } from "./until.ts";

/** A worker that is replaced while it restores its partition. */

const held: Call["api"][] = ["ListOffsets", "OffsetFetch", "Fetch"];
/** The first requests of a restore: its marks, the group's offset, and what it reads. */
const requests = held.flatMap((api) => [1, 2, 3, 4].map((nth) => [api, nth] as const));

describe("a worker that is replaced while it restores does not say that the log is damaged", () => {
  test.each(requests)("when its %s number %i comes late", async (api, nth) => {
    const log = new MemoryLog();
    const topics = bankTopics("replaced", 1);
    await createTopics(log, topics);
    const codec = await bankCodec(topics, systemClock);
    const bank = { topics, codec, clock: systemClock };
    const producer = await log.openProducer();
    const accounts = ["a", "b", "c"];
    const open = async (commandId: string) => {
      const commands = accounts.map((accountId) =>
        commandRecord(bank, "OpenAccount", { commandId, accountId, owner: "Ada" }),
      );
      await producer.send(commands);
    };
    const start = (over: MemoryLog) =>
      processPartition({ ...bank, log: over, openStore: new MemoryStoreFiles().open }, 0);

    await open("first");
    const before = start(log);
    await until("the first worker to have handled all", () => before.position() === 3n);
    await before.stop();

    const late = Promise.withResolvers<undefined>();
    let seen = 0;
    const network: Network = async (call, handle) => {
      const isHeld = call.api === api && ++seen === nth;
      if (isHeld) await late.promise;
      return handle();
    };
    const replaced = start(log.via(network));
    await until("the worker to be held up", () => seen >= nth || replaced.story.length > 1);
    await open("second");
    const successor = start(log);
    await until("its successor to have handled all", () => successor.position() === 6n);
    await successor.stop();

    late.resolve(undefined);
    await open("third");
    await until("either to have handled the rest", () => replaced.position() === 9n);
    expect(await replaced.stop()).toBe("aborted");
  });
});
