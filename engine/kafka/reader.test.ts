import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { committed } from "./reader.ts";
import type { RecordBatch } from "./record-batch.ts";

/** fast-check prints the seed of a failure; `SEED=…` repeats it. */
const seed = Number(process.env["SEED"] ?? Date.now() % 2 ** 31);

type Told = Partial<Omit<RecordBatch, "records">>;

/** A batch with a record at each of its offsets, unless `kept` says which compaction has left. */
function batch(from: number, to: number, told: Told = {}, kept?: readonly number[]): RecordBatch {
  const offsets = kept ?? Array.from({ length: to - from + 1 }, (_, i) => from + i);
  return {
    baseOffset: BigInt(from),
    lastOffset: BigInt(to),
    producerId: -1n,
    transactional: false,
    control: null,
    records: () =>
      offsets.map((offset) => ({
        offset: BigInt(offset),
        timestamp: 0,
        key: null,
        value: null,
        headers: [],
      })),
    ...told,
  };
}

const by = (producer: number, from: number, to = from) =>
  batch(from, to, { producerId: BigInt(producer), transactional: true });

const marker = (producer: number, at: number, control: "abort" | "commit") =>
  batch(at, at, { producerId: BigInt(producer), transactional: true, control });

const aborted = (producer: number, from: number) => ({
  producerId: BigInt(producer),
  firstOffset: BigInt(from),
});

/** The offsets of the records that a reader may see, and where it goes on. */
function seen(
  batches: readonly RecordBatch[],
  more: { aborted?: ReturnType<typeof aborted>[]; from?: number; stable?: number } = {},
) {
  const { records, next } = committed(
    { batches, aborted: more.aborted ?? [], lastStableOffset: BigInt(more.stable ?? 0) },
    BigInt(more.from ?? 0),
  );
  return { offsets: records.map(({ offset }) => Number(offset)), next: Number(next) };
}

describe("Aborted transactions", () => {
  test("are left out in the order in which they began, though they come in that in which they ended", () => {
    const batches = [
      by(1, 10, 11),
      by(2, 12),
      by(1, 13),
      marker(2, 15, "abort"),
      by(1, 16),
      marker(1, 20, "abort"),
      batch(21, 21),
    ];
    const inOrderOfEnd = [aborted(2, 12), aborted(1, 10)];
    expect(seen(batches, { aborted: inOrderOfEnd })).toEqual({ offsets: [21], next: 22 });
  });

  test("are left out where the fetch begins inside of several", () => {
    const batches = [by(2, 13), by(1, 14), marker(1, 15, "abort"), marker(2, 20, "abort")];
    const both = [aborted(1, 10), aborted(2, 12)];
    expect(seen(batches, { aborted: both, from: 13 })).toEqual({ offsets: [], next: 21 });
  });

  test("end with the marker of their own producer, and with no other's", () => {
    const batches = [
      by(1, 0),
      by(2, 1),
      marker(2, 2, "abort"),
      by(1, 3),
      marker(1, 4, "abort"),
      by(1, 5),
    ];
    const both = [aborted(2, 1), aborted(1, 0)];
    expect(seen(batches, { aborted: both }).offsets).toEqual([5]);
  });

  test("of one producer are told apart from the committed one between them", () => {
    const batches = [
      by(1, 0),
      marker(1, 1, "abort"),
      by(1, 2),
      marker(1, 3, "commit"),
      by(1, 4),
      marker(1, 5, "abort"),
    ];
    const both = [aborted(1, 0), aborted(1, 4)];
    expect(seen(batches, { aborted: both }).offsets).toEqual([2]);
  });

  test("whose marker is beyond the fetch are left out to its end", () => {
    expect(seen([by(1, 0), by(1, 1), by(2, 2)], { aborted: [aborted(1, 0)] }).offsets).toEqual([2]);
  });

  test("that begin beyond the fetch take nothing from it", () => {
    expect(seen([by(1, 0)], { aborted: [aborted(1, 7)] })).toEqual({ offsets: [0], next: 1 });
  });

  test("that begin in a batch whose first record is older still count for the whole of it", () => {
    // Compaction has taken the first record of the transaction, but not the bounds of its batch.
    const shortened = batch(0, 3, { producerId: 1n, transactional: true }, [2, 3]);
    expect(seen([shortened], { aborted: [aborted(1, 0)] }).offsets).toEqual([]);
  });

  test("leave alone what the same producer wrote outside of a transaction", () => {
    const plain = batch(1, 1, { producerId: 1n });
    expect(seen([by(1, 0), plain], { aborted: [aborted(1, 0)] }).offsets).toEqual([1]);
  });
});

describe("The position after a fetch", () => {
  test("is behind control records and batches that compaction has emptied, though they hold nothing", () => {
    expect(seen([batch(0, 9, {}, []), marker(1, 10, "commit")])).toEqual({ offsets: [], next: 11 });
  });

  test("is behind the bounds of a batch whose last records are gone", () => {
    expect(seen([batch(0, 9, {}, [3])])).toEqual({ offsets: [3], next: 10 });
  });

  test("is where it was at the end of what is stable, where there is nothing yet", () => {
    expect(seen([], { from: 7, stable: 7 })).toEqual({ offsets: [], next: 7 });
    expect(seen([], { from: 7, stable: 3 })).toEqual({ offsets: [], next: 7 });
  });

  test("is the last stable offset where compaction has left nothing at all below it", () => {
    expect(seen([], { from: 3, stable: 9 })).toEqual({ offsets: [], next: 9 });
  });

  test("counts from the offset asked for, though its batch begins before", () => {
    expect(seen([batch(0, 5)], { from: 4 })).toEqual({ offsets: [4, 5], next: 6 });
  });
});

type Step =
  | { readonly producer: number; readonly does: "abort" | "commit" }
  | { readonly producer: number; readonly does: "append"; readonly records: number };

const anyProducer = fc.nat(3);
const anyEnd = fc.constantFrom("abort" as const, "commit" as const);
const anyAppend = fc.record({
  producer: anyProducer,
  does: fc.constant("append" as const),
  records: fc.integer({ min: 1, max: 3 }),
});

/** In most of them every transaction is ended at last: behind an open one there is nothing to see. */
const anyHistory = fc
  .tuple(
    fc.array(fc.oneof(anyAppend, fc.record({ producer: anyProducer, does: anyEnd })), {
      minLength: 10,
      maxLength: 40,
    }),
    fc.array(anyEnd, { minLength: 3, maxLength: 4 }),
  )
  .map(([steps, ends]): Step[] => [
    ...steps,
    ...ends.map((does, producer) => ({ producer, does })),
  ]);

/** The log that a history makes, and what a broker keeps beside it. */
function logOf(history: readonly Step[]) {
  const batches: RecordBatch[] = [];
  const index: { producer: number; first: number; last: number }[] = []; // In the order of the ends.
  const open = new Map<number, { first: number; offsets: number[] }>();
  const committedOffsets: number[] = [];
  let end = 0;
  for (const step of history) {
    const { producer, does } = step;
    const transaction = open.get(producer);
    if (does === "append") {
      const appended = by(producer, end, end + step.records - 1);
      const offsets = appended.records().map(({ offset }) => Number(offset));
      if (transaction) transaction.offsets.push(...offsets);
      else open.set(producer, { first: end, offsets });
      batches.push(appended);
      end += step.records;
    } else if (transaction) {
      open.delete(producer);
      if (does === "commit") committedOffsets.push(...transaction.offsets);
      else index.push({ producer, first: transaction.first, last: end });
      batches.push(marker(producer, end++, does));
    }
  }
  const stable = Math.min(end, ...[...open.values()].map(({ first }) => first));
  return { batches, index, stable, committedOffsets };
}

/** Answers a fetch as a broker does: whole batches below the last stable offset, and whose aborts lie in them. */
function fetched({ batches, index, stable }: ReturnType<typeof logOf>, from: number, most: number) {
  const answered = batches
    .filter(({ lastOffset }) => lastOffset >= from && lastOffset < stable)
    .slice(0, most);
  const upTo = answered.at(-1)?.lastOffset ?? -1n;
  const named = index.filter(({ first, last }) => last >= from && first <= upTo);
  return {
    batches: answered,
    aborted: named.map(({ producer, first }) => aborted(producer, first)),
    lastStableOffset: BigInt(stable),
  };
}

test("what is committed is seen, once and in order, wherever the fetches begin and however small they are", () => {
  fc.assert(
    fc.property(anyHistory, fc.nat(20), fc.integer({ min: 1, max: 12 }), (history, start, most) => {
      const log = logOf(history);
      const offsets: number[] = [];
      let next = BigInt(Math.min(start, log.stable));
      const from = Number(next);
      while (next < BigInt(log.stable)) {
        const slice = committed(fetched(log, Number(next), most), next);
        expect(slice.next).toBeGreaterThan(next);
        offsets.push(...slice.records.map(({ offset }) => Number(offset)));
        next = slice.next;
      }
      const expected = log.committedOffsets.filter((it) => it >= from && it < log.stable);
      expect(offsets).toEqual(expected.sort((a, b) => a - b));
    }),
    { seed, numRuns: 1_000 },
  );
});
