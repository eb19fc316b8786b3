import { chart, chartSizes } from "./report-chart.ts";
import { html, Markup } from "./report-html.ts";
import { reportStyle } from "./report-style.ts";
import {
  commandTable,
  endingTable,
  faultTable,
  figureTable,
  invariantTable,
  keyFigures,
} from "./report-tables.ts";
import {
  shortened,
  verdictMarks,
  verdictSentence,
  verdictTone,
  verdictWord,
} from "./report-words.ts";
import type { ChaosResult } from "./result.ts";

/**
 * One run as a page of HTML for people: the verdict, the faults over throughput and lag on one axis of time, then
 * what was promised, checked and broken. The page needs no network and no script, in light and dark, on paper and on a
 * telephone; nothing in the result can become markup.
 */
export function reportPage(unsorted: ChaosResult): string {
  const faults = unsorted.faults.toSorted((a, b) => a.from - b.from);
  const result = { ...unsorted, faults };
  const { plan, backEnd, commit, replay, startedAt, endedAt } = result;
  return page(
    `${verdictWord(result)}: ${plan.name}`,
    html`<header>
        <h1>${plan.name}</h1>
        <p class="about">${plan.about}</p>
      </header>
      <main>
        ${verdict(result)} ${keyFigures(result)}
        <h2>What happened</h2>
        ${chartSizes.map((size) => chart(result, size))}
        <h2>What was promised</h2>
        ${invariantTable(result)}
        <h2>Commands by outcome</h2>
        ${commandTable(result)}
        <h2>Faults</h2>
        ${faultTable(result)}
        <h2>Workers that ended</h2>
        ${endingTable(result)}
        <h2>The figures of the picture</h2>
        ${figureTable(result)}
        <h2>To run it again</h2>
        <pre>${replay}</pre>
        <p>
          Seed ${plan.seed}, on ${backEnd}, at commit ${commit}, from ${utc(startedAt)} to
          ${utc(endedAt)}.
        </p>
        <details>
          <summary>The plan, as JSON</summary>
          <pre>${JSON.stringify(plan, null, 2)}</pre>
        </details>
      </main>`,
  );
}

/** A whole page around `body`. */
export function page(title: string, body: Markup): string {
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta
          http-equiv="Content-Security-Policy"
          content="default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
        />
        <meta name="referrer" content="no-referrer" />
        <title>${title}</title>
        <style>
          ${new Markup(reportStyle)}
        </style>
      </head>
      <body>
        ${body}
      </body>
    </html> `.source;
}

function verdict(result: ChaosResult): Markup {
  const { because } = result;
  const list = html`<ul>
    ${because.map((reason) => html`<li>${shortened(reason)}</li> `)}
  </ul>`;
  return html`<section class="verdict ${verdictTone[result.verdict]}" aria-label="Verdict">
    <span class="mark" aria-hidden="true">${verdictMarks[result.verdict]}</span>
    <div>
      <p class="word ${verdictTone[result.verdict]}">${verdictWord(result)}</p>
      <p>${verdictSentence(result)}</p>
      ${because.length === 0 ? null : list}
    </div>
  </section>`;
}

function utc(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19).replace("T", " ")} UTC`;
}
