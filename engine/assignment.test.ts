import { expect, test } from "vitest";
import { runAssigned } from "./assignment.ts";
import { systemClock } from "./clock.ts";
import type { TopicPartition } from "./log.ts";
import { MemoryLog } from "./testing/memory-log.ts";
import { jumpingClock } from "./testing/jumping-clock.ts";

type End = "aborted" | "dropped";

async function logWith(partitions: number): Promise<MemoryLog> {
  const log = new MemoryLog();
  await log.createTopic({ name: "t", partitions, replicationFactor: 1, config: {} });
  return log;
}

/** A loop that runs until it is stopped, and takes its time to end. */
function loops() {
  const running = new Set<string>();
  const log: string[] = [];
  const keyOf = ({ topic, partition }: TopicPartition) => `${topic}/${partition}`;
  const run = async (of: TopicPartition, signal: AbortSignal): Promise<End> => {
    const key = keyOf(of);
    if (running.has(key)) log.push(`${key} runs twice`);
    running.add(key);
    log.push(`${key} started`);
    await new Promise<void>((resolve) => {
      signal.addEventListener("abort", () => {
        setImmediate(resolve);
      });
    });
    running.delete(key);
    log.push(`${key} ended`);
    return "aborted";
  };
  return { running, log, run };
}

const turn = () => new Promise((resolve) => setImmediate(resolve));
const turns = async (count = 20) => {
  for (let i = 0; i < count; i++) await turn();
};

test("each assigned partition has one loop, which ends when it goes elsewhere", async () => {
  const log = await logWith(4);
  const stop = new AbortController();
  const mine = loops();
  const membership = await log.join({ group: "g", topics: ["t"] });
  const done = runAssigned(
    { membership, clock: systemClock, run: mine.run, onAssigned: () => undefined },
    stop.signal,
  );
  await turns();
  expect(mine.running.size).toBe(4);
  const other = await log.join({ group: "g", topics: ["t"] });
  await turns();
  expect(mine.running.size).toBe(2);
  expect(mine.log.filter((it) => it.endsWith("started"))).toHaveLength(4); // Those that stay are left alone.
  await other.leave();
  await turns();
  expect(mine.running.size).toBe(4);
  stop.abort();
  await done;
  expect(mine.running.size).toBe(0);
  expect(mine.log.some((it) => it.includes("twice"))).toBe(false);
});

test("a partition that comes back waits for its old loop to end", async () => {
  const log = await logWith(1);
  const stop = new AbortController();
  const events: string[] = [];
  let release: () => void = () => undefined;
  let runs = 0;
  const run = async (_: TopicPartition, signal: AbortSignal): Promise<End> => {
    const me = ++runs;
    events.push(`start ${me}`);
    await new Promise<void>((resolve) => {
      signal.addEventListener("abort", () => {
        resolve();
      });
    });
    if (me === 1) await new Promise<void>((resolve) => (release = resolve));
    events.push(`end ${me}`);
    return "aborted";
  };
  // A group that takes the only partition away and gives it back at once.
  const assignments: TopicPartition[][] = [
    [{ topic: "t", partition: 0 }],
    [],
    [{ topic: "t", partition: 0 }],
  ];
  const membership = await log.join({ group: "g", topics: ["t"] });
  const scripted = {
    ...membership,
    next: async (signal: AbortSignal) => {
      await turns();
      const next = assignments.shift();
      if (next) return next;
      return new Promise<null>((resolve) => {
        signal.addEventListener("abort", () => {
          resolve(null);
        });
      });
    },
  };
  const done = runAssigned(
    { membership: scripted, clock: systemClock, run, onAssigned: () => undefined },
    stop.signal,
  );
  await turns(200);
  expect(events).toEqual(["start 1"]);
  release();
  await turns();
  expect(events).toEqual(["start 1", "end 1", "start 2"]);
  stop.abort();
  await done;
});

test("a dropped partition that is still assigned is tried again, and not in a hurry", async () => {
  const log = await logWith(1);
  const stop = new AbortController();
  const clock = jumpingClock();
  const times: number[] = [];
  const run = async (): Promise<End> => {
    times.push(clock.now());
    if (times.length === 3) stop.abort();
    return "dropped";
  };
  const membership = await log.join({ group: "g", topics: ["t"] });
  await runAssigned({ membership, clock, run, onAssigned: () => undefined }, stop.signal);
  expect(times.map((time) => time - (times[0] ?? 0))).toEqual([0, 1_000, 2_000]);
});

test("the error of one loop ends all the others, then comes out", async () => {
  const log = await logWith(3);
  const mine = loops();
  const membership = await log.join({ group: "g", topics: ["t"] });
  const run = async (of: TopicPartition, signal: AbortSignal): Promise<End> => {
    if (of.partition !== 1) return mine.run(of, signal);
    await turns();
    throw new Error("broken");
  };
  const done = runAssigned(
    { membership, clock: systemClock, run, onAssigned: () => undefined },
    new AbortController().signal,
  );
  await expect(done).rejects.toThrow("broken");
  expect(mine.running.size).toBe(0);
  expect(mine.log.filter((it) => it.endsWith("ended"))).toHaveLength(2);
});
