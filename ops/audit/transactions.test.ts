import { describe, expect, test } from "vitest";
import { randomFrom } from "../../engine/testing/jumping-clock.ts";
import type { Batch } from "./record-batch.ts";
import { Transactions } from "./transactions.ts";

/** Offsets count up from 0 as batches are made. */
function logOf(...made: readonly ((offset: bigint) => Batch)[]): Batch[] {
  return made.map((make, i) => make(BigInt(i)));
}

const batch = (offset: bigint, more: Partial<Batch>): Batch => ({
  firstOffset: offset,
  lastOffset: offset,
  producerId: -1n,
  producerEpoch: 0,
  isTransactional: false,
  marker: null,
  recordCount: 1,
  size: 100,
  records: () => [],
  ...more,
});
const plain = (offset: bigint) => batch(offset, {});
const data = (producerId: bigint) => (offset: bigint) =>
  batch(offset, { producerId, isTransactional: true });
const emptied = (producerId: bigint) => (offset: bigint) =>
  batch(offset, { producerId, isTransactional: true, recordCount: 0 });
const end = (producerId: bigint, marker: "commit" | "abort" | "other") => (offset: bigint) =>
  batch(offset, { producerId, isTransactional: true, marker });

function offsetsOf(batches: readonly Batch[]): number[] {
  return batches.map(({ firstOffset }) => Number(firstOffset));
}

function committedOf(log: readonly Batch[]): number[] {
  const transactions = new Transactions();
  const released = log.flatMap((it) => [...transactions.take(it)]);
  return offsetsOf([...released, ...transactions.finish()]);
}

describe("committed is", () => {
  test.each([
    ["what was written outside transactions", [plain, plain], [0, 1]],
    ["what a commit follows", [data(1n), data(1n), end(1n, "commit")], [0, 1]],
    ["not what an abort follows", [data(1n), end(1n, "abort")], []],
    [
      "each of a producer's transactions by its own marker",
      [data(1n), end(1n, "abort"), data(1n), end(1n, "commit"), data(1n), end(1n, "abort")],
      [2],
    ],
    [
      "a short transaction within a long aborted one",
      [data(1n), data(2n), end(2n, "commit"), data(1n), end(1n, "abort"), plain],
      [1, 5],
    ],
    [
      "a long transaction around a short aborted one",
      [data(1n), data(2n), end(2n, "abort"), data(1n), end(1n, "commit"), plain],
      [0, 3, 5],
    ],
    [
      "not what has no end, but what stands behind it",
      [data(1n), plain, data(2n), end(2n, "commit")],
      [1, 2],
    ],
    ["not moved by a marker without data", [end(1n, "abort"), data(1n), end(1n, "commit")], [1]],
    [
      "not moved by a batch that compaction has emptied, whose marker is gone",
      [emptied(1n), data(1n), end(1n, "commit"), emptied(2n), plain],
      [1, 4],
    ],
    [
      "not decided by a marker of another kind",
      [data(1n), end(1n, "other"), end(1n, "commit")],
      [0],
    ],
  ] as const)("%s", (_, log, committed) => {
    expect(committedOf(logOf(...log))).toEqual(committed);
  });
});

test("a batch comes as soon as it is decided, and never before one in front of it", () => {
  const transactions = new Transactions();
  const log = logOf(plain, data(1n), plain, data(2n), end(2n, "commit"), end(1n, "commit"), plain);
  const released = log.map((it) => offsetsOf(transactions.take(it)));
  expect(released).toEqual([[0], [], [], [], [], [1, 2, 3], [6]]);
});

test("an end that is foreseen counts as one, and the marker itself changes nothing any more", () => {
  const transactions = new Transactions();
  const [first, second, third, marker, next] = logOf(
    data(1n),
    plain,
    data(1n),
    end(1n, "abort"),
    data(1n),
  ) as [Batch, Batch, Batch, Batch, Batch];
  expect([...transactions.take(first), ...transactions.take(second)]).toEqual([]);
  expect(transactions.heldBytes).toBe(200);
  expect(offsetsOf(transactions.foresee(1n, "abort"))).toEqual([1]);
  expect(transactions.heldBytes).toBe(0);
  expect(transactions.undecided).toEqual([]);
  expect(transactions.take(third)).toEqual([]);
  transactions.take(marker);
  transactions.take(next);
  expect(transactions.undecided).toMatchObject([{ producerId: 1n, firstOffset: 4n }]);
});

test("whatever the interleaving, it is as if each record were looked up by its own marker", () => {
  const seed = Number(process.env["SEED"] ?? Date.now() % 1_000_000);
  const random = randomFrom(seed);
  for (let round = 0; round < 200; round++) {
    const log = Array.from({ length: 60 }, (_, i) => {
      const producer = BigInt(1 + Math.floor(random() * 4));
      const dice = random();
      const make =
        dice < 0.15
          ? plain
          : dice < 0.75
            ? data(producer)
            : end(producer, dice < 0.87 ? "commit" : "abort");
      return make(BigInt(i));
    });
    const wanted = log.filter((it, i) => {
      if (it.marker !== null) return false;
      if (!it.isTransactional) return true;
      const next = log.find(
        (later, j) => j > i && later.marker !== null && later.producerId === it.producerId,
      );
      return next?.marker === "commit";
    });
    expect(committedOf(log), `SEED=${seed}`).toEqual(offsetsOf(wanted));
  }
});

test("what an abort marker has undone is told apart, once, and what has no end is not", () => {
  const transactions = new Transactions();
  const log = logOf(data(1n), plain, end(1n, "abort"), data(2n), data(3n), end(3n, "commit"));
  for (const it of log) transactions.take(it);
  expect(offsetsOf(transactions.takeAborted())).toEqual([0]);
  expect(transactions.takeAborted()).toEqual([]);
  expect(offsetsOf(transactions.finish())).toEqual([4]);
  expect(transactions.takeAborted()).toEqual([]);
});
