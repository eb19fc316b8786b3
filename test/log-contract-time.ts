import { randomUUID } from "node:crypto";
import { expect, test } from "vitest";
import type { TopicPartition } from "../engine/log.ts";
import type { Bench, FaultyApi } from "./log-contract-subject.ts";
import { until } from "./until.ts";

/** What is promised of a log over time: groups that change, requests that come late, writers that are gone. */
export function timeContract(bench: () => Bench): void {
  test("transactions one right after the other are all there, in their order", async () => {
    const { writer, append, values } = bench();
    const by = await writer();
    const all = Array.from({ length: 25 }, (_, i) => String(i));
    for (const value of all) await append(by, value); // Each meets the markers of the one before.
    await writer();
    expect(await values()).toEqual(all);
  });

  const apis: readonly FaultyApi[] = ["AddPartitionsToTxn", "Produce", "TxnOffsetCommit", "EndTxn"];
  test.each(apis)("a late %s of a writer that was replaced has no effect", async (api) => {
    const { subject, log, topic, record, writer, append, values, lost } = bench();
    const by = await writer();
    await append(by, "before");
    const consumed = { group: topic, topic, partition: 0, offset: 7n };
    const deliver = subject.delay(api);
    await lost(by.transact({ records: [record("late")], consumed }), "indefinite");
    const next = await writer();
    await append(next, "next");
    await deliver();
    await append(next, "after");
    await writer();
    expect(await values()).toEqual(["before", "next", "after"]);
    expect(await log.committedOffset(topic, { topic, partition: 0 })).toBeNull();
  });

  test("a late EndTxn commits what nobody has aborted, and is seen before the next writer", async () => {
    const { subject, writer, append, values, lost } = bench();
    const by = await writer();
    const deliver = subject.delay("EndTxn");
    await lost(append(by, "late"), "indefinite");
    await deliver();
    await append(await writer(), "next");
    await writer();
    expect(await values()).toEqual(["late", "next"]);
  });

  test("a late InitProducerId fences the writer that was opened since", async () => {
    const { subject, writer, append, values, lost } = bench();
    const deliver = subject.delay("InitProducerId");
    await lost(writer(), "indefinite");
    const since = await writer();
    await deliver();
    await lost(append(since, "fenced"), "fenced");
    await append(await writer(), "next");
    await writer();
    expect(await values()).toEqual(["next"]);
  });

  test("a transaction whose writer is gone ends by itself where a log has timeouts", async () => {
    const { subject, log, at, signal, writer, append, values, lost } = bench();
    if (!subject.endsTransactions) return; // A log without a clock of its own waits for the next writer.
    const by = await writer();
    subject.loseRequest("EndTxn");
    await lost(append(by, "left open"), "indefinite");
    const other = await writer("another");
    await append(other, "behind it");
    const reader = await log.openReader();
    await until("the transaction to be aborted", async () => {
      const { stable, end } = await reader.offsets(at, signal);
      return stable === end;
    });
    await reader.close();
    expect(await values()).toEqual(["behind it"]);
  });

  test("who comes back by its name has its place at once, and the one before is out", async () => {
    const { log, topic, at, signal } = bench();
    const told = await until("a look before the one replaced hears of it", async () => {
      const options = { group: randomUUID(), topics: [topic], instance: "one" };
      const dead = await log.join(options);
      const before = await dead.next(signal);
      const assignedAt = Date.now();
      const alive = await log.join(options);
      const after = await alive.next(signal);
      const [isAlive, isDead] = [await alive.confirm(at), !(await dead.confirm(at))];
      // It may be told so a second after it was assigned, and then comes back as another, to share the partitions.
      const isInTime = Date.now() - assignedAt < 900;
      await dead.leave();
      await alive.leave();
      return isInTime && { before, after, isAlive, isDead };
    });
    expect(told.before).toHaveLength(3);
    expect(told.after).toHaveLength(3);
    expect(told).toMatchObject({ isAlive: true, isDead: true });
  });

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
