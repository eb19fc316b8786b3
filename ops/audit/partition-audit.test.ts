import { describe, expect, test } from "vitest";
import { invariants, type Invariant } from "./findings.ts";
import { auditHistory, makeHistory } from "./testing/history.ts";

const only = process.env["SEED"] === undefined ? null : Number(process.env["SEED"]);
const seedCount = Number(process.env["SEEDS"] ?? 60);
const seeds = only === null ? Array.from({ length: seedCount }, (_, i) => i + 1) : [only];

describe("a history that the processor made, whatever it lost on the way", () => {
  test.each(seeds)("holds every invariant: SEED=%i", async (seed) => {
    const history = await makeHistory(seed, { window: seed % 3 === 0 ? 10 : 1_000 });
    const { findings, counts } = await auditHistory(history);
    const all = (Object.keys(invariants) as Invariant[]).flatMap((id) => findings.of(id));
    expect(all).toEqual([]);
    expect(counts.consumed).toBe(80);
    expect(counts.replies).toBe(80);
    expect(counts.deadLetters).toBe(history.log.dlq.length);
    expect(counts.waiting + counts.underWay).toBe(0);
  });
});
