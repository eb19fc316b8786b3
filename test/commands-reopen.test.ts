import { expect, test } from "vitest";
import type { Clock } from "../engine/clock.ts";
import { WriterLostError } from "../engine/errors.ts";
import { jumpingClock } from "../engine/testing/jumping-clock.ts";
import { MemoryLog } from "../engine/testing/memory-log.ts";
import { MemoryStoreFiles } from "../engine/testing/memory-store.ts";
import type { Network } from "../engine/testing/network.ts";
import { bankCodec, bankTopics, createTopics, processPartition } from "./bank.ts";
import { until } from "./until.ts";

/** How soon a partition comes back once the broker does. */

test("a writer that cannot be opened is asked for every second, however long the broker is away", async () => {
  const topics = bankTopics("test", 1);
  const log = new MemoryLog();
  await createTopics(log, topics);
  const time = jumpingClock();
  const waits: number[] = [];
  const clock: Clock = {
    now: () => time.now(),
    random: () => time.random(),
    sleep: (durationMs, ...signals) => {
      waits.push(durationMs);
      return time.sleep(durationMs, ...signals);
    },
  };
  let failures = 40;
  const network: Network = async (call, handle) => {
    if (call.api === "InitProducerId" && failures-- > 0) {
      throw new WriterLostError("indefinite", "The broker is away");
    }
    return handle();
  };
  const codec = await bankCodec(topics, clock);
  const { open: openStore } = new MemoryStoreFiles();
  const running = processPartition({ log: log.via(network), topics, codec, clock, openStore }, 0);
  await until("the partition to be ready", () => running.story.at(-1) === "ready from log", {
    everyMs: 1,
  });
  const reopening = waits.slice(0, 40);
  expect(Math.max(...reopening)).toBeLessThanOrEqual(1_000);
  expect(Math.min(...reopening.slice(6))).toBeGreaterThanOrEqual(500); // And does not rush it.
  await running.stop();
});
