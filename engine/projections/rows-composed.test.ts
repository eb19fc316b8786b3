import fc from "fast-check";
import { expect, test } from "vitest";
import type { TableRows } from "../projection.ts";
import { does, doing as doingOn } from "../testing/doing.ts";
import { type MemoryViews, memoryViews } from "../testing/memory-views.ts";
import { collect, UnapplicableError } from "./rows.ts";

type Rows = Readonly<Record<"things", TableRows>>;
type Row = Readonly<Record<string, number | null>>;

const doing = doingOn({ things: "id text primary key" });

type Step =
  | { kind: "insert" | "upsert" | "patch"; key: string; values: Row }
  | {
      kind: "add";
      key: string;
      amounts: Record<string, number>;
      values: Row;
    }
  | { kind: "delete"; key: string };

const seed = Number(process.env["SEED"] ?? Date.now());

/** The meaning of the operations, one by one, on rows in a map. Throws where one is out of place. */
function interpret(rows: Map<string, Row>, step: Step): void {
  const row = rows.get(step.key);
  if (step.kind === "insert" ? row !== undefined : step.kind !== "upsert" && row === undefined) {
    throw new Error(step.kind);
  }
  switch (step.kind) {
    case "delete":
      rows.delete(step.key);
      return;
    case "add": {
      const sums: Record<string, number> = {};
      for (const [column, n] of Object.entries(step.amounts))
        sums[column] = (row?.[column] ?? 0) + n;
      rows.set(step.key, { ...row, ...sums, ...step.values });
      return;
    }
    case "insert":
    case "upsert":
    case "patch":
      rows.set(step.key, { ...row, ...step.values });
  }
}

function perform(rows: Rows, step: Step): void {
  switch (step.kind) {
    case "add":
      rows.things.add(step.key, step.amounts, step.values);
      return;
    case "delete":
      rows.things.delete(step.key);
      return;
    case "insert":
    case "upsert":
    case "patch":
      rows.things[step.kind](step.key, step.values);
  }
}

const steps = (() => {
  const key = fc.constantFrom("x", "y");
  const columns = <V>(value: fc.Arbitrary<V>, ...names: string[]) =>
    fc.dictionary(fc.constantFrom(...names), value, { maxKeys: 2, noNullPrototype: true });
  const number = fc.integer({ min: -1000, max: 1000 });
  const values = columns(fc.option(number), "a", "b", "c");
  return fc.oneof(
    fc.record({ kind: fc.constantFrom("insert", "upsert", "patch"), key, values }),
    fc
      .record({ kind: fc.constant("add"), key, amounts: columns(number, "a", "b", "c"), values })
      .map((step) => ({
        ...step,
        values: Object.fromEntries(
          Object.entries(step.values).filter(([column]) => !(column in step.amounts)),
        ),
      })),
    fc.record({ kind: fc.constant("delete"), key }),
  ) as fc.Arbitrary<Step>;
})();

/** So rare by chance that 500 runs may go without it. */
const setAfterSum: Step[][][] = [
  [[{ kind: "insert", key: "x", values: { a: 1 } }]],
  [
    [
      { kind: "add", key: "x", amounts: { a: 2 }, values: {} },
      { kind: "patch", key: "x", values: { a: 5 } },
    ],
  ],
];

test(`a batch does to the rows what its operations do one by one (SEED=${seed})`, async () => {
  const eventsOfBatch = fc.array(fc.array(steps, { minLength: 1, maxLength: 3 }), { maxLength: 6 });
  const outcomes = { written: 0, refused: 0 };
  await fc.assert(
    fc.asyncProperty(fc.array(eventsOfBatch, { maxLength: 5 }), async (batches) => {
      const views = memoryViews(doing);
      const { signal } = new AbortController();
      let naive = new Map<string, Row>();

      for (const batch of batches) {
        const draft = new Map(naive);
        const refused = throws(() => {
          for (const step of batch.flat()) interpret(draft, step);
        });
        const written = await commit(views, batch, signal);
        expect(written).toBe(!refused);
        if (!refused) naive = draft;
        outcomes[refused ? "refused" : "written"] += 1;

        const stored = views.rows("things").map(({ key, ...row }) => [key[0], row]);
        expect(Object.fromEntries(stored)).toEqual(Object.fromEntries(naive));
      }
    }),
    { seed, numRuns: 500, examples: [[setAfterSum]] },
  );
  expect(Math.min(outcomes.written, outcomes.refused)).toBeGreaterThan(50); // It tries both.
});

function throws(action: () => void): boolean {
  try {
    action();
    return false;
  } catch {
    return true;
  }
}

async function commit(
  views: MemoryViews,
  batch: readonly (readonly Step[])[],
  signal: AbortSignal,
): Promise<boolean> {
  const topicPartition = { topic: "events", partition: 0 };
  const expected = await views.checkpoint(topicPartition, signal);
  const nextOffset = (expected?.nextOffset ?? 0n) + 1n;
  const next = { nextOffset, commandOffset: 1n, version: 1 };
  const collector = collect(doing);
  try {
    batch.forEach((steps, index) => {
      const apply = (rows: Rows) => {
        for (const step of steps) perform(rows, step);
      };
      collector.apply(does(apply, index + 1));
    });
    const changes = collector.changes();
    await views.commit({ topicPartition, expected, next, changes }, signal);
    return true;
  } catch (error) {
    if (error instanceof UnapplicableError) return false;
    throw error;
  }
}
