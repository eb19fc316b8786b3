import type { ChaosResult, Sample } from "./result.ts";
import type { Point } from "./report-scale.ts";

/** What is drawn over time: the figures of a run, each as a line. Pure. */

export interface Figure {
  /** As the panel above it and the table name it, for example "balances behind". */
  readonly name: string;
  readonly unit: string;
  readonly lines: readonly Line[];
}

export interface Line {
  readonly name: string;
  /** `wanted` is dashed: what should be; `seen` is solid: what was. */
  readonly kind: "wanted" | "seen";
  /** What must not vanish where points are too many. */
  readonly keep: "peak" | "mean";
  readonly points: readonly Point[];
}

/** Throughput, commands that wait, and each view's lag, in this order. */
export function figuresOf({ samples }: ChaosResult): readonly Figure[] {
  const line = (of: (sample: Sample) => number | null): readonly Point[] =>
    samples.map((sample) => ({ t: sample.t, value: of(sample) }));
  const lag = (name: string, points: readonly Point[]): Figure => ({
    name,
    unit: name.startsWith("commands") ? "commands" : "events",
    lines: [{ name, kind: "seen", keep: "peak", points }],
  });
  const views = new Set(samples.flatMap(({ viewLag }) => Object.keys(viewLag)));
  return [
    {
      name: "commands a second",
      unit: "a second",
      lines: [
        {
          name: "sent",
          kind: "wanted",
          keep: "mean",
          points: line(({ sentPerSecond }) => sentPerSecond),
        },
        {
          name: "answered",
          kind: "seen",
          keep: "mean",
          points: line(({ answeredPerSecond }) => answeredPerSecond),
        },
      ],
    },
    lag(
      "commands waiting",
      line(({ commandLag }) => commandLag),
    ),
    ...[...views].map((view) =>
      lag(
        `${view} behind`,
        line(({ viewLag }) => viewLag[view] ?? null),
      ),
    ),
  ];
}

export interface Summary {
  readonly mean: number;
  readonly peak: number;
  readonly peakAt: number;
  readonly last: number;
}

/** Of the moments at which it is known; `null` where it never is. */
export function summaryOf(points: readonly Point[]): Summary | null {
  const known = points.flatMap(({ t, value }) => (value === null ? [] : [{ t, value }]));
  const [first] = known;
  const last = known.at(-1);
  if (first === undefined || last === undefined) return null;
  const top = known.reduce((most, it) => (it.value > most.value ? it : most), first);
  const sum = known.reduce((total, { value }) => total + value, 0);
  return { mean: sum / known.length, peak: top.value, peakAt: top.t, last: last.value };
}
