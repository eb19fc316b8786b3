import fc from "fast-check";
import { expect, test } from "vitest";
import { cyclesIn, type Edge } from "./cycles.ts";

const seed = process.env["SEED"];
const repeatable = seed === undefined ? {} : { seed: Number(seed) };

const edge = (from: number, to: number, kind: "a" | "b" = "a"): Edge<"a" | "b"> => ({
  ...{ from, to, kind },
});
const both = new Set(["a", "b"] as const);

test("a graph without a cycle has none", () => {
  expect(cyclesIn(4, [edge(0, 1), edge(1, 2), edge(0, 2), edge(2, 3)], both)).toEqual([]);
});

test("a cycle is given edge by edge, each beginning where the one before ends", () => {
  const cycles = cyclesIn(4, [edge(0, 1), edge(1, 2), edge(2, 0), edge(2, 3)], both);
  expect(cycles).toHaveLength(1);
  const [cycle = []] = cycles;
  expect(cycle).toHaveLength(3);
  cycle.forEach(({ to }, i) => {
    expect(cycle[(i + 1) % cycle.length]?.from).toBe(to);
  });
});

test("a cycle of which an edge is of another kind does not count", () => {
  const edges = [edge(0, 1), edge(1, 0, "b")];
  expect(cyclesIn(2, edges, both)).toHaveLength(1);
  expect(cyclesIn(2, edges, new Set(["a"] as const))).toEqual([]);
});

test("each of two cycles is found, and the shorter way where there are two", () => {
  const first = [edge(0, 1), edge(1, 2), edge(2, 0), edge(1, 0)];
  const cycles = cyclesIn(5, [...first, edge(3, 4), edge(4, 3)], both);
  expect(cycles.map(({ length }) => length).sort()).toEqual([2, 2]);
});

test("a path of a hundred thousand nodes is no deeper than a stack", () => {
  const nodes = 100_000;
  const path = Array.from({ length: nodes - 1 }, (_, i) => edge(i, i + 1));
  expect(cyclesIn(nodes, path, both)).toEqual([]);
  const [cycle] = cyclesIn(nodes, [...path, edge(nodes - 1, 0)], both);
  expect(cycle).toHaveLength(nodes);
});

test("there is a cycle if and only if the nodes cannot be put in order", () => {
  const anyEdges = fc.array(fc.tuple(fc.nat(9), fc.nat(9)), { maxLength: 25 });
  fc.assert(
    fc.property(anyEdges, (pairs) => {
      const edges = pairs.filter(([from, to]) => from !== to).map(([from, to]) => edge(from, to));
      return cyclesIn(10, edges, both).length > 0 === !canBeOrdered(edges);
    }),
    repeatable,
  );
});

/** Takes away nodes without anything before them until none is left (Kahn 1962). */
function canBeOrdered(edges: readonly Edge<string>[]): boolean {
  let left = edges;
  for (;;) {
    const targets = new Set(left.map(({ to }) => to));
    const rest = left.filter(({ from }) => targets.has(from));
    if (rest.length === left.length) return rest.length === 0;
    left = rest;
  }
}
