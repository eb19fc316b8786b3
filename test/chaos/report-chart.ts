import { count } from "../../ops/verbs/output.ts";
import { type Figure, figuresOf, type Line, summaryOf } from "./report-figures.ts";
import { html, type Markup } from "./report-html.ts";
import { type Bar, faultLanes, type Lane } from "./report-lanes.ts";
import { merged, roundAbove, stretches, thinned, timeTicks } from "./report-scale.ts";
import { clockTime, faultDetail, faultTarget, healedAt } from "./report-words.ts";
import type { ChaosResult } from "./result.ts";

/**
 * The picture of a run: faults as bars over throughput and lag, on one axis of time. Nothing in it is told by colour
 * alone: bars and lines have names, and the tables beside it have all the figures.
 */

/** For which screen; a picture that is scaled down has letters that nobody can read. */
export interface ChartSize {
  readonly name: "wide" | "narrow";
  readonly width: number;
  /** On the left, for the names of lanes and figures of axes. */
  readonly gutter: number;
  readonly letter: number;
}

export const chartSizes: readonly ChartSize[] = [
  { name: "wide", width: 1_040, gutter: 126, letter: 12 },
  { name: "narrow", width: 372, gutter: 86, letter: 10.5 },
];

interface Frame {
  readonly size: ChartSize;
  readonly left: number;
  readonly right: number;
  readonly charWidth: number;
  readonly endMs: number;
  readonly xOf: (t: number) => number;
}

const rowHeight = 18;
const panelGap = 16;

/** The picture, as wide as `size` says; `name` makes its parts' ids distinct on the page. */
export function chart(result: ChaosResult, size: ChartSize): Markup {
  const frame = frameOf(result, size);
  const figures = figuresOf(result);
  const moments = momentsOf(result);
  const headRows = placeMoments(moments, frame);
  const head = 4 + (Math.max(-1, ...headRows.map(({ row }) => row)) + 1) * rowHeight;
  const lanes = faultLanes(result.faults, frame);
  const lanesEnd = head + lanes.reduce((sum, { rows }) => sum + rows * rowHeight + 4, 0);
  const ended = endingMarks(result, lanesEnd, frame);
  const panelsStart = lanesEnd + (ended === null ? 0 : rowHeight + 4) + 6;
  const heights = figures.map((_, i) => (i === 0 ? 120 : 64));
  const tops = heights.map((_, i) =>
    heights.slice(0, i).reduce((sum, height) => sum + height + panelGap + rowHeight, panelsStart),
  );
  const bottom = (tops.at(-1) ?? panelsStart) + rowHeight + (heights.at(-1) ?? 0);
  const height = bottom + 24;
  const id = `chart-${size.name}`;
  return html`<svg
    class="chart ${size.name}"
    role="img"
    aria-labelledby="${id}-title ${id}-desc"
    viewBox="0 0 ${size.width} ${height}"
    width="${size.width}"
    height="${height}"
    font-size="${size.letter}"
  >
    <title id="${id}-title">Faults, throughput and lag over time</title>
    <desc id="${id}-desc">${describe(result, figures)}</desc>
    <defs>
      <pattern
        id="${id}-unknown"
        width="6"
        height="6"
        patternUnits="userSpaceOnUse"
        patternTransform="rotate(45)"
      >
        <line class="hatch" x1="0" y1="0" x2="0" y2="6" />
      </pattern>
    </defs>
    ${timeAxis(bottom, panelsStart, frame)} ${bands(result, { top: panelsStart, bottom }, frame)}
    ${momentLines(headRows, bottom, frame)} ${laneRows(lanes, head, frame)} ${ended}
    ${figures.map((figure, i) => panel(figure, { top: tops[i] ?? 0, height: heights[i] ?? 0, id }, frame))}
  </svg>`;
}

function frameOf(result: ChaosResult, size: ChartSize): Frame {
  const { samples, faults, plan, times } = result;
  const rest = (healedAt(result) ?? plan.load.for) + (times.toRestMs ?? 0);
  const ends = [plan.load.for, rest, samples.at(-1)?.t ?? 0, ...faults.map(({ to }) => to)];
  const endMs = Math.max(1_000, ...ends);
  const [left, right] = [size.gutter, size.width - 14];
  return {
    size,
    left,
    right,
    charWidth: size.letter * 0.58,
    endMs,
    xOf: (t) => rounded(left + ((right - left) * Math.min(Math.max(t, 0), endMs)) / endMs),
  };
}

function rounded(n: number): number {
  return Math.round(n * 10) / 10;
}

interface Moment {
  readonly t: number;
  readonly name: string;
}

function momentsOf(result: ChaosResult): readonly Moment[] {
  const healed = healedAt(result);
  const { toRestMs } = result.times;
  const from = healed ?? result.plan.load.for;
  return [
    ...(healed === null ? [] : [{ t: healed, name: "healed" }]),
    { t: result.plan.load.for, name: "load ends" },
    ...(toRestMs === null ? [] : [{ t: from + toRestMs, name: "at rest" }]),
  ].toSorted((a, b) => a.t - b.t);
}

interface PlacedMoment extends Moment {
  readonly row: number;
  /** On which side of its line the name stands. */
  readonly side: "after" | "before";
}

function placeMoments(moments: readonly Moment[], frame: Frame): readonly PlacedMoment[] {
  const ends: number[] = [];
  return moments.map((moment) => {
    const width = labelOf(moment).length * frame.charWidth + 8;
    const x = frame.xOf(moment.t);
    const side = x + width > frame.right ? "before" : "after";
    const from = side === "after" ? x : x - width;
    const found = ends.findIndex((end) => end <= from);
    const row = found === -1 ? ends.length : found;
    ends[row] = from + width;
    return { ...moment, row, side };
  });
}

function labelOf({ name, t }: Moment): string {
  return `${name} ${clockTime(t)}`;
}

function momentLines(
  moments: readonly PlacedMoment[],
  bottom: number,
  { xOf }: Frame,
): readonly Markup[] {
  const lines = moments.map(({ t, row }) => {
    const x = xOf(t);
    return html`<line
      class="moment"
      x1="${x}"
      x2="${x}"
      y1="${4 + row * rowHeight}"
      y2="${bottom}"
    /> `;
  });
  const names = moments.map((moment) => {
    const y = 15 + moment.row * rowHeight;
    const [x, anchor] =
      moment.side === "after" ? [xOf(moment.t) + 4, "start"] : [xOf(moment.t) - 4, "end"];
    return html`<text class="moment-name" x="${x}" y="${y}" text-anchor="${anchor}"
      >${labelOf(moment)}</text
    > `;
  });
  return [...lines, ...names];
}

/** Where any fault was in force, behind the panels. */
function bands(
  { faults }: ChaosResult,
  { top, bottom }: { readonly top: number; readonly bottom: number },
  { xOf }: Frame,
): readonly Markup[] {
  return merged(faults).map(({ from, to }) => {
    const width = rounded(Math.max(1, xOf(to) - xOf(from)));
    return html`<rect
      class="band"
      x="${xOf(from)}"
      y="${top}"
      width="${width}"
      height="${bottom - top}"
    /> `;
  });
}

function laneRows(lanes: readonly Lane[], top: number, frame: Frame): readonly Markup[] {
  let y = top;
  return lanes.map(({ target, rows, bars }) => {
    const start = y;
    y += rows * rowHeight + 4;
    return html`${laneName(target, start, frame)}
      <line class="rule" x1="${frame.left}" x2="${frame.right}" y1="${y - 2}" y2="${y - 2}" />
      ${bars.map((bar) => faultBar(bar, start))}`;
  });
}

function laneName(name: string, y: number, { size, left, charWidth }: Frame): Markup {
  const room = Math.floor((size.gutter - 10) / charWidth);
  const shown = name.length > room ? `${name.slice(0, room - 1)}…` : name;
  return html`<text class="lane" x="${left - 8}" y="${y + 12}" text-anchor="end">${shown}</text>`;
}

function faultBar({ number, time, row, x, width, label, labelX, isInside }: Bar, top: number) {
  const y = top + row * rowHeight + 1;
  const { fault, from, to } = time;
  const told = `${number}. ${fault.id}: ${faultTarget(fault)}, ${faultDetail(fault)}, ${clockTime(from)} to ${clockTime(to)}`;
  const name = isInside ? "bar-name inside" : "bar-name";
  const shown = html`<text class="${name}" x="${rounded(labelX)}" y="${y + 11.5}">${label}</text>`;
  return html`<g
    ><title>${told}</title>
    <rect
      class="bar"
      x="${x}"
      y="${y}"
      width="${rounded(width)}"
      height="${rowHeight - 3}"
      rx="2"
    />
    ${label === "" ? null : shown}</g
  > `;
}

/** Workers that ended though no fault ended them. */
function endingMarks({ endings }: ChaosResult, y: number, frame: Frame): Markup | null {
  const unwanted = endings.filter(({ isWanted }) => !isWanted);
  if (unwanted.length === 0) return null;
  const marks = unwanted.map(({ t, name, how }) => {
    const x = frame.xOf(t);
    return html`<g
      ><title>${name} ended with ${how} at ${clockTime(t)}</title>
      <path class="ended" d="M${x - 4} ${y + 4}l8 8m0 -8l-8 8"
    /></g> `;
  });
  return html`${laneName("ended", y, frame)} ${marks}`;
}

interface PanelPlace {
  readonly top: number;
  readonly height: number;
  readonly id: string;
}

function panel({ name, unit, lines }: Figure, place: PanelPlace, frame: Frame): Markup {
  const { left, right, size } = frame;
  const summaries = lines.map(({ points }) => summaryOf(points));
  const peak = Math.max(0, ...summaries.map((it) => it?.peak ?? 0));
  const [top, most] = [place.top + rowHeight, roundAbove(peak)];
  const yOf = (value: number) => rounded(top + place.height * (1 - value / most));
  const ticks = place.height > 100 ? [0, most / 2, most] : [0, most];
  const seen = summaries.at(-1) ?? null;
  const title = size.name === "wide" || lines.length === 1 ? name : unit;
  const said =
    seen === null ? "never known" : `most ${figure(seen.peak)} at ${clockTime(seen.peakAt)}`;
  const legend = lineNames(lines, { y: place.top, from: title.length }, frame);
  // On a telephone there is no room beside the names of two lines; the table has it.
  const note = size.name === "narrow" && lines.length > 1 ? "" : said;
  return html`<text class="panel-name" x="${left}" y="${place.top + 11}">${title}</text>
    ${legend.markup}
    <text class="panel-note" x="${rounded(legend.end)}" y="${place.top + 11}">${note}</text>
    ${ticks.map(
      (value) =>
        html`<line class="rule" x1="${left}" x2="${right}" y1="${yOf(value)}" y2="${yOf(value)}" />
          <text class="tick" x="${left - 8}" y="${yOf(value) + 4}" text-anchor="end"
            >${figure(value)}</text
          > `,
    )}${lines.map((line) => drawn(line, { ...place, yOf, base: top + place.height, top }, frame))}`;
}

/** Up to a hundred with one decimal where there is one. */
function figure(value: number): string {
  return value < 100 && !Number.isInteger(value) ? value.toFixed(1) : count(Math.round(value));
}

/** Behind the name of a panel: a piece of each line with its name, where there are several. */
function lineNames(
  lines: readonly Line[],
  { y, from }: { readonly y: number; readonly from: number },
  { left, charWidth }: Frame,
): { readonly markup: readonly Markup[]; readonly end: number } {
  let end = left + from * charWidth * 1.12 + 12; // The name before them is bold.
  if (lines.length < 2) return { markup: [], end };
  const markup = lines.map(({ name, kind }) => {
    const at = rounded(end);
    end += 27 + name.length * charWidth + 16;
    return html`<line class="line ${kind}" x1="${at}" x2="${at + 22}" y1="${y + 7}" y2="${y + 7}" />
      <text class="panel-note" x="${at + 27}" y="${y + 11}">${name}</text> `;
  });
  return { markup, end };
}

interface DrawnPlace extends PanelPlace {
  readonly yOf: (value: number) => number;
  readonly base: number;
}

function drawn(
  line: Line,
  { top, height, id, yOf, base }: DrawnPlace,
  { xOf, left, right }: Frame,
) {
  const points = thinned(line.points, Math.floor((right - left) / 2), line.keep);
  const { known, unknown } = stretches(points);
  const paths = known.map((stretch) => {
    const at = stretch.map(({ t, value }) => `${xOf(t)} ${yOf(value)}`);
    const [first, last] = [xOf(stretch[0]?.t ?? 0), xOf(stretch.at(-1)?.t ?? 0)];
    const area = `M${first} ${base}L${at.join("L")}L${last} ${base}Z`;
    // A single point has no length: its cap shows it.
    const path = `M${at.join("L")}${at.length === 1 ? "h0" : ""}`;
    const filled = html`<path class="area" d="${area}" />`;
    return html`${line.kind === "seen" ? filled : null}<path
        class="line ${line.kind}"
        d="${path}"
      /> `;
  });
  const gaps = unknown.map(({ from, to }) => {
    const width = rounded(Math.max(2, xOf(to) - xOf(from)));
    return html`<g
      ><title>not known from ${clockTime(from)} to ${clockTime(to)}</title>
      <rect
        x="${xOf(from)}"
        y="${top}"
        width="${width}"
        height="${height}"
        fill="url(#${id}-unknown)"
    /></g> `;
  });
  return [...gaps, ...paths];
}

function timeAxis(y: number, top: number, { xOf, endMs, left, right, size }: Frame): Markup {
  const most = Math.max(2, Math.floor((right - left) / (size.name === "wide" ? 64 : 48)));
  const marks = timeTicks(endMs, most).map((t) => {
    const x = xOf(t);
    return html`<line class="rule faint" x1="${x}" x2="${x}" y1="${top}" y2="${y}" />
      <line class="axis" x1="${x}" x2="${x}" y1="${y}" y2="${y + 5}" />
      <text class="tick" x="${x}" y="${y + 18}" text-anchor="middle">${clockTime(t)}</text> `;
  });
  return html`<line class="axis" x1="${left}" x2="${right}" y1="${y}" y2="${y}" /> ${marks}`;
}

function describe(result: ChaosResult, figures: readonly Figure[]): string {
  const moments = momentsOf(result).map(labelOf).join(", ");
  const lines = figures.flatMap(({ lines: of }) => of);
  const told = lines.map(({ name, points }) => {
    const it = summaryOf(points);
    if (it === null) return `${name}: never known`;
    return `${name}: at most ${figure(it.peak)} at ${clockTime(it.peakAt)}, ${figure(it.last)} at the end`;
  });
  return `${result.faults.length} faults, listed in a table below. ${moments}. ${told.join("; ")}.`;
}
