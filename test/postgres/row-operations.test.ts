import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { collect, UnapplicableError } from "../../engine/projections/rows.ts";
import { type Views } from "../../engine/projections/views.ts";
import { does } from "../../engine/testing/doing.ts";
import { memoryViews } from "../../engine/testing/memory-views.ts";
import { type Rows, topicPartition, type WrittenView, writtenView } from "./written-view.ts";

let view: WrittenView;

beforeAll(async () => {
  view = await writtenView();
});

afterAll(async () => view.close());

const seed = Number(process.env["SEED"] ?? Date.now());
const { signal } = new AbortController();

type Step = (rows: Rows) => void;

const steps: fc.Arbitrary<Step> = (() => {
  const key = fc.constantFrom("x", "y", "z", "'");
  const number = fc.integer({ min: -1000, max: 1000 });
  const values = fc.record(
    { middle: fc.option(number), cents: number, must: fc.option(fc.string({ maxLength: 5 })) },
    { requiredKeys: [] },
  );
  const text = fc.record({ must: fc.constantFrom("a", "b") }, { requiredKeys: [] });
  const amounts = fc.record({ middle: number, cents: number }, { requiredKeys: [] });
  const write = fc.constantFrom("insert", "upsert", "patch", "upsert", "upsert");
  return fc.oneof(
    fc.tuple(write, key, values).map(([kind, id, row]): Step => (rows) => {
      rows.things[kind](id, withoutNul(row));
    }),
    fc.tuple(key, amounts, text).map(([id, add, row]): Step => (rows) => {
      rows.things.add(id, add, row);
    }),
    key.map((id): Step => (rows) => {
      rows.things.delete(id);
    }),
  );
})();

function withoutNul<T extends object>(row: T): T {
  const clean = Object.entries(row).map(([column, value]: [string, unknown]) => [
    column,
    typeof value === "string" ? value.replaceAll("\0", "") : value,
  ]);
  return Object.fromEntries(clean) as T;
}

test(`Postgres does with any batch what the memory does (SEED=${seed})`, async () => {
  const outcomes = { written: 0, refused: 0 };
  const batches = fc.array(fc.array(steps, { minLength: 1, maxLength: 6 }), { maxLength: 6 });
  await fc.assert(
    fc.asyncProperty(batches, async (run) => {
      await view.empty();
      const memory = memoryViews(view.projection);
      for (const batch of run) {
        const written = await commit(memory, batch);
        expect(await commit(view.views, batch)).toBe(written);
        outcomes[written ? "written" : "refused"] += 1;
        const rows = memory.rows("things").map(({ key, middle, cents, must }) => ({
          id: key[0],
          middle: middle ?? null,
          cents: cents === undefined || cents === null ? null : BigInt(cents as number),
          must: must ?? null,
        }));
        expect(await view.things("id, middle, cents, must")).toEqual(rows);
      }
    }),
    { seed, numRuns: 150 },
  );
  expect(Math.min(outcomes.written, outcomes.refused)).toBeGreaterThan(5); // It tries both.
});

async function commit(views: Views, batch: readonly Step[]): Promise<boolean> {
  const collector = collect(view.projection);
  const expected = await views.checkpoint(topicPartition, signal);
  const nextOffset = (expected?.nextOffset ?? 0n) + 1n;
  const next = { nextOffset, commandOffset: 1n, version: 1 };
  try {
    batch.forEach((step, index) => {
      collector.apply(does(step, index + 1));
    });
    const changes = collector.changes();
    await views.commit({ topicPartition, expected, next, changes }, signal);
    return true;
  } catch (error) {
    if (error instanceof UnapplicableError) return false;
    throw error;
  }
}
