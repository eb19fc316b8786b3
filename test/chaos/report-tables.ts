import { count } from "../../ops/verbs/output.ts";
import { shownDuration } from "../../ops/verbs/duration.ts";
import { figuresOf, summaryOf } from "./report-figures.ts";
import { html, type Markup } from "./report-html.ts";
import { clockTime, faultDetail, faultTarget } from "./report-words.ts";
import type { ChaosResult, Commands, InvariantResult } from "./result.ts";

/** The tables of a run's page; each holds all that the picture shows, and more. */

export function invariantTable({ invariants }: ChaosResult): Markup {
  if (invariants.length === 0) return html`<p class="quiet">Nothing was checked.</p>`;
  return html`<table>
    <thead>
      <tr>
        <th scope="col">State</th>
        <th scope="col">Promise</th>
        <th scope="col" class="n">Checked</th>
        <th scope="col" class="n">Violated</th>
      </tr>
    </thead>
    <tbody>
      ${invariants.map(invariantRows)}
    </tbody>
  </table>`;
}

function invariantRows(invariant: InvariantResult): Markup {
  const { id, promise, checked, violated, violations } = invariant;
  const hasWhy = violations.length > 0;
  const more = violated - violations.length;
  const why = html`<tr class="why">
    <td colspan="4">
      <ul>
        ${violations.map((violation) => html`<li>${violation}</li> `)}${more > 0 ? html`<li>and ${count(more)} more</li>` : null}
      </ul>
    </td>
  </tr> `;
  return html`<tr class="${hasWhy ? "has-why" : ""}">
      ${invariantState(invariant)}
      <th scope="row">${id}&ensp;<span style="font-weight: 400">${promise}</span></th>
      <td class="n">${count(checked)}</td>
      <td class="n">
        ${violated === 0 ? "–" : html`<strong class="bad">${count(violated)}</strong>`}
      </td>
    </tr>
    ${hasWhy ? why : null}`;
}

function invariantState({ checked, violated }: InvariantResult): Markup {
  if (violated > 0) return html`<td class="state bad">✗ violated</td>`;
  if (checked === 0)
    return html`<td class="state open" title="This run could not show it">– not shown</td>`;
  return html`<td class="state good">✓ held</td>`;
}

/** More than these would push what comes below them off the screen. */
const openFaults = 20;

export function faultTable({ faults }: ChaosResult): Markup {
  if (faults.length === 0) return html`<p class="quiet">None.</p>`;
  const table = html`<table>
    <caption>
      Times since the load began.
    </caption>
    <thead>
      <tr>
        <th scope="col" class="n">#</th>
        <th scope="col" class="n">From</th>
        <th scope="col" class="n">To</th>
        <th scope="col">Fault</th>
        <th scope="col">Target</th>
        <th scope="col">What</th>
      </tr>
    </thead>
    <tbody>
      ${faults.map(
        ({ fault, from, to }, i) =>
          html`<tr>
            <td class="n">${i + 1}</td>
            <td class="n">${clockTime(from)}</td>
            <td class="n">${clockTime(to)}</td>
            <td>${fault.id}</td>
            <td>${faultTarget(fault)}</td>
            <td>${faultDetail(fault)}</td>
          </tr> `,
      )}
    </tbody>
  </table>`;
  if (faults.length <= openFaults) return table;
  return html`<details>
    <summary>All ${faults.length}, one after the other</summary>
    ${table}
  </details>`;
}

export function figureTable(result: ChaosResult): Markup {
  const lines = figuresOf(result).flatMap(({ lines: of, unit }) =>
    of.map((it) => ({ ...it, unit })),
  );
  const rows = lines.map(({ name, unit, points }) => {
    const it = summaryOf(points);
    const unknown = points.filter(({ value }) => value === null).length;
    const cells =
      it === null
        ? ["–", "–", "–", "–"]
        : [shown(it.mean), shown(it.peak), clockTime(it.peakAt), shown(it.last)];
    return html`<tr>
      <th scope="row">${name}</th>
      <td>${unit}</td>
      ${cells.map((cell) => html`<td class="n">${cell}</td>`)}
      <td class="n">${unknown === 0 ? "–" : `${count(unknown)} of ${count(points.length)}`}</td>
    </tr> `;
  });
  return html`<div class="scrolls">
    <table>
      <thead>
        <tr>
          <th scope="col">Figure</th>
          <th scope="col">Unit</th>
          <th scope="col" class="n">Mean</th>
          <th scope="col" class="n">Most</th>
          <th scope="col" class="n">At</th>
          <th scope="col" class="n">Last</th>
          <th scope="col" class="n">Not known</th>
        </tr>
      </thead>
      <tbody>
        ${rows}
      </tbody>
    </table>
  </div>`;
}

function shown(value: number): string {
  return value < 100 && !Number.isInteger(value) ? value.toFixed(1) : count(Math.round(value));
}

const outcomes: readonly (readonly [keyof Commands, string])[] = [
  ["accepted", "its events are in the log"],
  ["rejected", "the business said no"],
  ["conflict", "the writer's version was stale"],
  ["failed", "poison, too large, expired or the like: answered, and no event"],
  ["unknown", "no answer came in time; the log says what became of it"],
];

export function commandTable({ commands }: ChaosResult): Markup {
  return html`<table>
    <thead>
      <tr>
        <th scope="col">Outcome</th>
        <th scope="col" class="n">Commands</th>
        <th scope="col" class="n">Of all</th>
        <th scope="col" class="hide-narrow">Meaning</th>
      </tr>
    </thead>
    <tbody>
      ${outcomes.map(
        ([name, meaning]) =>
          html`<tr>
            <th scope="row">${name}</th>
            <td class="n">${count(commands[name])}</td>
            <td class="n">${share(commands[name], commands.sent)}</td>
            <td class="hide-narrow quiet">${meaning}</td>
          </tr> `,
      )}
      <tr>
        <th scope="row">sent</th>
        <td class="n"><strong>${count(commands.sent)}</strong></td>
        <td class="n"></td>
        <td class="hide-narrow"></td>
      </tr>
    </tbody>
  </table>`;
}

function share(part: number, whole: number): string {
  if (whole === 0) return "–";
  const percent = (100 * part) / whole;
  if (percent > 0 && percent < 0.1) return "< 0.1 %";
  return `${percent.toFixed(1)} %`;
}

export function endingTable({ endings }: ChaosResult): Markup {
  if (endings.length === 0) return html`<p class="quiet">No worker ended by itself.</p>`;
  const rows = endings.map(({ t, name, how, isWanted, said }) => {
    const why = isWanted
      ? html`<td class="state">by a fault</td>`
      : html`<td class="state bad">✗ by itself</td>`;
    const words =
      said.trim() === ""
        ? null
        : html`<tr><td colspan="4"><details${opened(isWanted)}><summary>Last words</summary><pre>${said}</pre></details></td></tr>
`;
    return html`<tr class="${words === null ? "" : "has-why"}">
        <td class="n">${clockTime(t)}</td>
        <td>${name}</td>
        <td>${how}</td>
        ${why}
      </tr>
      ${words}`;
  });
  return html`<table>
    <thead>
      <tr>
        <th scope="col" class="n">At</th>
        <th scope="col">Worker</th>
        <th scope="col">Exit code or signal</th>
        <th scope="col">Ended</th>
      </tr>
    </thead>
    <tbody>
      ${rows}
    </tbody>
  </table>`;
}

function opened(isWanted: boolean): Markup | null {
  return isWanted ? null : html` open`;
}

/** The figures that a reader looks for first. */
export function keyFigures(result: ChaosResult): Markup {
  const { commands, times, faults, startedAt, endedAt, endings } = result;
  const known = commands.sent - commands.unknown;
  const figures: readonly (readonly [string, string])[] = [
    ["commands sent", count(commands.sent)],
    ["answered", share(known, commands.sent)],
    ["faults", count(faults.length)],
    ["at rest after", times.toRestMs === null ? "never" : shownDuration(times.toRestMs)],
    ["longest without an accepted one", shownDuration(times.longestSilenceMs)],
    ["workers ended by themselves", count(endings.filter(({ isWanted }) => !isWanted).length)],
    ["it all took", shownDuration(endedAt - startedAt)],
  ];
  return html`<dl class="figures">
    ${figures.map(
      ([name, value]) =>
        html`<div>
          <dt>${name}</dt>
          <dd>${value}</dd>
        </div> `,
    )}
  </dl>`;
}
