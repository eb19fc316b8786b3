import fc from "fast-check";
import { expect, test } from "vitest";
import type { OutRecord } from "../log.ts";
import { maxRecordBytes } from "../topic.ts";
import { chunksByRound, type PartitionChunk } from "./batches.ts";
import { encodeBatch } from "./record-batch.ts";

/** fast-check prints the seed of a failure; `SEED=…` repeats it. */
const seed = Number(process.env["SEED"] ?? Date.now() % 2 ** 31);

const producer = { producerId: 1n, producerEpoch: 0, baseSequence: 0, transactional: true };

/** Strings of three bytes a character, so that the bound on their length is put to the test. */
const record = (topic: string, partition: number, size: number): OutRecord => ({
  topic,
  partition,
  key: "€".repeat(Math.floor(size / 6)),
  value: Buffer.alloc(Math.floor(size / 2)),
  headers: [["€", "€"]],
  timestamp: 0,
});

const anyRecords = fc.array(
  fc
    .tuple(
      fc.constantFrom("a", "b", "1/a"),
      fc.nat(2),
      fc.oneof(fc.nat(100), fc.integer({ min: 200_000, max: maxRecordBytes + 10_000 })),
    )
    .map(([topic, partition, size]) => record(topic, partition, size)),
  { maxLength: 24 },
);

const inOrder = (rounds: PartitionChunk[][]) => rounds.flat();

test("every record goes into one batch of its own partition, in the order given", () => {
  fc.assert(
    fc.property(anyRecords, (records) => {
      const chunks = inOrder(chunksByRound(records));
      const positions = new Map<string, number[]>();
      for (const chunk of chunks) {
        chunk.positions.forEach((position, i) => {
          expect(chunk.records[i]).toBe(records[position]);
        });
        for (const { topic, partition } of chunk.records) {
          expect({ topic, partition }).toEqual({ topic: chunk.topic, partition: chunk.partition });
        }
        const key = `${chunk.partition} ${chunk.topic}`;
        positions.set(key, [...(positions.get(key) ?? []), ...chunk.positions]);
      }
      for (const list of positions.values()) expect(list).toEqual([...list].sort((a, b) => a - b));
      expect(new Set(chunks.flatMap((chunk) => chunk.positions)).size).toBe(records.length);
    }),
    { seed, numRuns: 50 },
  );
});

test("a round has at most one batch for a partition, so that one can only follow on the other", () => {
  fc.assert(
    fc.property(anyRecords, (records) => {
      for (const round of chunksByRound(records)) {
        const partitions = round.map(({ topic, partition }) => `${partition} ${topic}`);
        expect(new Set(partitions).size).toBe(partitions.length);
      }
    }),
    { seed, numRuns: 50 },
  );
});

test("a batch of several records is below what a topic takes by default, as it is encoded", () => {
  fc.assert(
    fc.property(anyRecords, (records) => {
      for (const { records: batch } of inOrder(chunksByRound(records))) {
        if (batch.length === 1) continue;
        expect(encodeBatch(batch, producer).length).toBeLessThanOrEqual(maxRecordBytes);
      }
    }),
    { seed, numRuns: 50 },
  );
});

test("small records share a batch, and one that is larger than any batch has one alone", () => {
  const small = () => record("a", 0, 10);
  const rounds = chunksByRound([small(), small(), record("a", 0, 3_000_000), small(), small()]);
  expect(rounds.map((round) => round.map((chunk) => chunk.positions))).toEqual([
    [[0, 1]],
    [[2]],
    [[3, 4]],
  ]);
});

test("no records make no round", () => {
  expect(chunksByRound([])).toEqual([]);
});
