import { expect, test } from "vitest";
import type { TopicPartition } from "../engine/log.ts";
import type { Bench } from "./log-contract-subject.ts";

/** What is promised of a log over time: groups that change, transactions that end later, or never. */
export function timeContract(bench: () => Bench): void {
  test("two members share the partitions, and one takes over when the other leaves", async () => {
    const { log, topic, at, signal } = bench();
    const keys = (partitions: readonly TopicPartition[] | null) =>
      (partitions ?? []).map(({ partition }) => partition).sort();
    const first = await log.join({ group: topic, topics: [topic] });
    expect(keys(await first.next(signal))).toEqual([0, 1, 2]);
    expect(await first.confirm(at)).toBe(true);
    const second = await log.join({ group: topic, topics: [topic] });
    const theirs = keys(await second.next(signal));
    const mine = keys(await first.next(signal));
    expect([...mine, ...theirs].sort()).toEqual([0, 1, 2]);
    expect(mine).toHaveLength(2); // Moved no more than it must.
    for (const partition of [0, 1, 2]) {
      expect(await first.confirm({ topic, partition })).toBe(mine.includes(partition));
      expect(await second.confirm({ topic, partition })).toBe(theirs.includes(partition));
    }
    await first.leave();
    expect(await first.confirm(at)).toBe(false);
    expect(keys(await second.next(signal))).toEqual([0, 1, 2]);
    await second.leave();
    expect(await second.next(signal)).toBeNull();
  });
}
