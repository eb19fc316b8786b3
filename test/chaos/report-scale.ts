/** Axes: what is marked on them, and what is left of samples that are too many to be told apart. Pure. */

const timeSteps = [
  1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 14_400, 43_200, 86_400,
].map((seconds) => seconds * 1_000);

/** Moments to mark on an axis of time that ends at `endMs`, `most` of them at the most, from 0. */
export function timeTicks(endMs: number, most: number): readonly number[] {
  const fits = (step: number) => Math.floor(endMs / step) + 1 <= most;
  const step = timeSteps.find(fits) ?? endMs;
  return Array.from({ length: Math.floor(endMs / step) + 1 }, (_, i) => i * step);
}

/** A round number that is at least `value`, and at least 5. */
export function roundAbove(value: number): number {
  if (value <= 5) return 5;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 2.5, 5, 10].map((it) => it * power).find((it) => it >= value) ?? 10 * power;
}

/** A figure at one moment; `null` where nobody could tell. */
export interface Point {
  readonly t: number;
  readonly value: number | null;
}

/**
 * At most `most` points. Of those that fall together the greatest is kept (`peak`), for a peak must not vanish, or
 * their mean; one of them unknown makes all of them unknown only where all are.
 */
export function thinned(
  points: readonly Point[],
  most: number,
  keep: "peak" | "mean",
): readonly Point[] {
  if (points.length <= most) return points;
  const perBucket = Math.ceil(points.length / most);
  const buckets = Map.groupBy(points.keys(), (i) => Math.floor(i / perBucket));
  return [...buckets.values()].map((indices) => {
    const bucket = indices.map((i) => points[i]).filter((it) => it !== undefined);
    const known = bucket.map(({ value }) => value).filter((value) => value !== null);
    const sum = known.reduce((total, value) => total + value, 0);
    const value = keep === "peak" ? Math.max(...known) : sum / known.length;
    return { t: bucket[0]?.t ?? 0, value: known.length === 0 ? null : value };
  });
}

/** The stretches in which a figure is known, and those in which it is not. */
export function stretches(points: readonly Point[]): {
  readonly known: readonly (readonly { readonly t: number; readonly value: number }[])[];
  readonly unknown: readonly { readonly from: number; readonly to: number }[];
} {
  const known: { t: number; value: number }[][] = [];
  const unknown: { from: number; to: number }[] = [];
  points.forEach(({ t, value }, i) => {
    const before = points[i - 1];
    const next = points[i + 1];
    if (value !== null) {
      if (before === undefined || before.value === null) known.push([]);
      known.at(-1)?.push({ t, value });
    } else if (before === undefined || before.value !== null) {
      unknown.push({ from: before?.t ?? t, to: next?.t ?? t });
    } else {
      const last = unknown.pop();
      unknown.push({ from: last?.from ?? t, to: next?.t ?? t });
    }
  });
  return { known, unknown };
}

/** The same stretches of time without overlaps, in order. */
export function merged(
  spans: readonly { readonly from: number; readonly to: number }[],
): readonly { readonly from: number; readonly to: number }[] {
  const out: { from: number; to: number }[] = [];
  for (const { from, to } of spans.toSorted((a, b) => a.from - b.from)) {
    const last = out.at(-1);
    if (last !== undefined && from <= last.to) last.to = Math.max(last.to, to);
    else out.push({ from, to });
  }
  return out;
}
