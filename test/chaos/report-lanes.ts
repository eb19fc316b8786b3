import type { FaultTime } from "./result.ts";
import { faultTarget, faultVerb } from "./report-words.ts";

/** Where the bars of faults and their labels go, in units of the picture. Pure. */

export interface Lane {
  readonly target: string;
  readonly rows: number;
  readonly bars: readonly Bar[];
}

export interface Bar {
  /** Its place in the table of faults, from 1. */
  readonly number: number;
  readonly time: FaultTime;
  readonly row: number;
  readonly x: number;
  readonly width: number;
  /** The most that had room: what it does, its id, or nothing. */
  readonly label: string;
  readonly labelX: number;
  readonly isInside: boolean;
}

export interface LaneScale {
  readonly xOf: (t: number) => number;
  readonly left: number;
  readonly right: number;
  /** Of one character of a label. */
  readonly charWidth: number;
}

const gap = 4;
/** A fault without length, such as one deed of an operator, is seen all the same. */
const leastWidth = 3;
/** For a label's sake no lane grows beyond this; a bar always gets its row. */
const rowsForLabels = 3;

/** One lane for each target, in the order in which they are hit. No bar covers another bar or a label. */
export function faultLanes(faults: readonly FaultTime[], scale: LaneScale): readonly Lane[] {
  const numbered = faults.map((time, i) => ({ time, number: i + 1 }));
  const byTarget = Map.groupBy(
    numbered.toSorted((a, b) => a.time.from - b.time.from),
    ({ time }) => faultTarget(time.fault),
  );
  return [...byTarget].map(([target, times]) => {
    const ends: number[] = [];
    const bars = times.map(({ time, number }) => ({ ...place(time, ends, scale), time, number }));
    return { target, rows: ends.length, bars };
  });
}

type Place = Omit<Bar, "time" | "number">;

/** Puts a bar into the first row that has room for it, with as much of a label as fits. */
function place(time: FaultTime, ends: number[], scale: LaneScale): Place {
  const x = scale.xOf(time.from);
  const width = Math.max(leastWidth, scale.xOf(time.to) - x);
  const { id } = time.fault;
  for (const label of [`${id} ${faultVerb(time.fault)}`, id, ""]) {
    const extent = withLabel({ x, width, label }, scale);
    const row = ends.findIndex((end) => end <= extent.from);
    const isNewAllowed = label === "" || ends.length < rowsForLabels;
    if (extent.to > scale.right || (row === -1 && !isNewAllowed)) continue;
    const at = row === -1 ? ends.length : row;
    ends[at] = extent.to + gap;
    return { row: at, x, width, label, labelX: extent.labelX, isInside: extent.isInside };
  }
  ends.push(x + width + gap); // At the right edge, thinner than it should be.
  return { row: ends.length - 1, x, width, label: "", labelX: x, isInside: true };
}

/** From where to where bar and label reach: the label inside the bar, else after it, else before it. */
function withLabel(
  { x, width, label }: { readonly x: number; readonly width: number; readonly label: string },
  { left, right, charWidth }: LaneScale,
): { from: number; to: number; labelX: number; isInside: boolean } {
  const room = label.length * charWidth;
  const bar = { from: x, to: x + width };
  if (label === "") return { ...bar, labelX: x, isInside: true };
  if (room + 2 * gap <= width) return { ...bar, labelX: x + gap, isInside: true };
  const after = x + width + gap;
  if (after + room <= right) return { ...bar, to: after + room, labelX: after, isInside: false };
  const before = x - gap - room;
  if (before < left) return { ...bar, to: right + 1, labelX: x, isInside: false }; // No room at all.
  return { ...bar, from: before, labelX: before, isInside: false };
}
