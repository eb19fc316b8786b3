import { shownDuration } from "../../ops/verbs/duration.ts";
import { count, plural } from "../../ops/verbs/output.ts";
import { page } from "./report.ts";
import { figuresOf } from "./report-figures.ts";
import { html, type Markup } from "./report-html.ts";
import { merged, roundAbove, stretches, thinned } from "./report-scale.ts";
import { shortened, verdictMarks, verdictTone, verdictWord } from "./report-words.ts";
import type { ChaosResult } from "./result.ts";

/** Many runs as one page: the catalogue's, or the rounds of a swarm. Those that failed stand first. */
export function reportIndex(results: readonly ChaosResult[]): string {
  const failed = results.filter(({ verdict }) => verdict !== "held");
  const sum = (of: (result: ChaosResult) => number) => results.reduce((all, it) => all + of(it), 0);
  const figures: readonly (readonly [string, string])[] = [
    ["runs", count(results.length)],
    ["held", count(results.length - failed.length)],
    ["in all", shownDuration(sum(({ startedAt, endedAt }) => endedAt - startedAt))],
    ["commands", count(sum(({ commands }) => commands.sent))],
    ["faults", count(sum(({ faults }) => faults.length))],
    ["checks", count(sum(({ invariants }) => checksOf(invariants)))],
  ];
  const title =
    results.length === 0
      ? "No run yet"
      : failed.length === 0
        ? "Every run held"
        : `${plural(failed.length, "run")} did not hold`;
  return page(
    title,
    html`<header><h1>Chaos: ${plural(results.length, "run")}</h1></header>
      <main>
        ${headline(title, failed)}
        <dl class="figures">
          ${figures.map(
            ([name, value]) =>
              html`<div>
                <dt>${name}</dt>
                <dd>${value}</dd>
              </div> `,
          )}
        </dl>
        <h2>Runs</h2>
        ${runTable([...failed, ...results.filter(({ verdict }) => verdict === "held")])}
        <h2>Promises over all runs</h2>
        ${promiseTable(results)}
        <h2>Faults over all runs</h2>
        ${faultCounts(results)}
      </main>`,
  );
}

/**
 * The name, without its ending, under which a result and its page lie, beside each other and beside the index. Of
 * two runs it is the same only where plan, seed, back end and start are.
 */
export function reportName({
  plan,
  backEnd,
  startedAt,
}: Pick<ChaosResult, "plan" | "backEnd" | "startedAt">): string {
  const name = plan.name.toLowerCase().replaceAll(/[^a-z0-9]+/g, "-");
  const short = name.replaceAll(/^-+|-+$/g, "").slice(0, 60);
  const when = new Date(startedAt).toISOString().slice(0, 19).replaceAll(/[-:]/g, "");
  return `${short === "" ? "plan" : short}-${backEnd}-seed${plan.seed}-${when}Z`;
}

function checksOf(invariants: ChaosResult["invariants"]): number {
  return invariants.reduce((sum, { checked }) => sum + checked, 0);
}

function headline(title: string, failed: readonly ChaosResult[]): Markup {
  const verdicts = failed.map(({ verdict }) => verdict);
  const worst = verdicts.includes("violated") ? "violated" : (verdicts[0] ?? "held");
  const tone = verdictTone[worst];
  const names = failed.map(({ plan }) => plan.name);
  const listed = names.slice(0, 10).join(", ") + (names.length > 10 ? " and others" : "");
  return html`<section class="verdict ${tone}" aria-label="Verdict">
    <span class="mark" aria-hidden="true">${verdictMarks[worst]}</span>
    <div>
      <p class="word ${tone}">${title}</p>
      ${failed.length === 0 ? null : html`<p>${listed}</p>`}
    </div>
  </section>`;
}

function runTable(results: readonly ChaosResult[]): Markup {
  return html`<table>
    <thead>
      <tr>
        <th scope="col">State</th>
        <th scope="col">Run</th>
        <th scope="col" class="hide-narrow">Answered a second, and faults</th>
        <th scope="col" class="n hide-narrow">Commands</th>
        <th scope="col" class="n hide-narrow">Longest silence</th>
        <th scope="col" class="n">At rest after</th>
      </tr>
    </thead>
    <tbody>
      ${results.map((result) => runRow(result))}
    </tbody>
  </table>`;
}

function runRow(result: ChaosResult): Markup {
  const { plan, backEnd, verdict, because, commands, times, startedAt, endedAt } = result;
  const broken =
    because[0] === undefined ? null : html`<br /><span class="bad">${shortened(because[0])}</span>`;
  const took = shownDuration(endedAt - startedAt);
  return html`<tr>
    <td class="state ${verdictTone[verdict]}">${verdictMarks[verdict]} ${verdictWord(result)}</td>
    <th scope="row">
      <a href="${reportName(result)}.html">${plan.name}</a><br />
      <span class="quiet" style="font-weight: 400">seed ${plan.seed}, ${backEnd}, ${took}</span
      >${broken}
    </th>
    <td class="hide-narrow">${spark(result)}</td>
    <td class="n hide-narrow">${count(commands.sent)}</td>
    <td class="n hide-narrow">${shownDuration(times.longestSilenceMs)}</td>
    <td class="n">${times.toRestMs === null ? "never" : shownDuration(times.toRestMs)}</td>
  </tr> `;
}

const sparkSize = { width: 150, height: 26, strip: 4 } as const;

/** Answers a second in small, with a strip below it where any fault was in force. */
function spark(result: ChaosResult): Markup {
  const answered = figuresOf(result)[0]?.lines.at(-1)?.points ?? [];
  const { width, height, strip } = sparkSize;
  const end = Math.max(1, answered.at(-1)?.t ?? 0, ...result.faults.map(({ to }) => to));
  const most = roundAbove(Math.max(0, ...answered.map(({ value }) => value ?? 0)));
  const x = (t: number) => Math.round((width * t * 10) / end) / 10;
  const y = (value: number) =>
    Math.round((height - strip - 1) * (1 - value / most) * 10) / 10 + 0.5;
  const { known } = stretches(thinned(answered, width, "mean"));
  const lines = known.map((points) => points.map(({ t, value }) => `${x(t)} ${y(value)}`));
  const bars = merged(result.faults).map(
    ({ from, to }) =>
      html`<rect
        class="bar"
        x="${x(from)}"
        y="${height - strip + 1}"
        width="${Math.max(1, x(to) - x(from))}"
        height="3"
      />`,
  );
  return html`<svg class="spark" viewBox="0 0 ${width} ${height}" aria-hidden="true">
    ${lines.map((at) => html`<path class="line" d="M${at.join("L")}" />`)}${bars}
  </svg>`;
}

function promiseTable(results: readonly ChaosResult[]): Markup {
  const all = results.flatMap(({ invariants }) => invariants);
  const rows = [...Map.groupBy(all, ({ id }) => id)].map(([id, of]) => {
    const violated = of.reduce((sum, it) => sum + it.violated, 0);
    const runs = of.filter(({ checked }) => checked > 0).length;
    const state =
      violated > 0
        ? html`<td class="state bad">✗ violated ${count(violated)}</td>`
        : runs === 0
          ? html`<td class="state open">– not shown</td>`
          : html`<td class="state good">✓ held</td>`;
    return html`<tr>
      ${state}
      <th scope="row">${id}&ensp;<span style="font-weight: 400">${of[0]?.promise ?? ""}</span></th>
      <td class="n">${count(runs)}</td>
      <td class="n">${count(checksOf(of))}</td>
    </tr> `;
  });
  return html`<table>
    <thead>
      <tr>
        <th scope="col">State</th>
        <th scope="col">Promise</th>
        <th scope="col" class="n">In runs</th>
        <th scope="col" class="n">Checked</th>
      </tr>
    </thead>
    <tbody>
      ${rows}
    </tbody>
  </table>`;
}

function faultCounts(results: readonly ChaosResult[]): Markup {
  const all = results.flatMap(({ faults, verdict }) =>
    faults.map(({ fault }) => ({ ...fault, verdict })),
  );
  const rows = [...Map.groupBy(all, ({ id, does }) => `${id} ${does.replaceAll("-", " ")}`)];
  const sorted = rows.toSorted(([a], [b]) => a.localeCompare(b, "en", { numeric: true }));
  return html`<table>
    <thead>
      <tr>
        <th scope="col">Fault</th>
        <th scope="col" class="n">Times</th>
        <th scope="col" class="n">In runs that held</th>
      </tr>
    </thead>
    <tbody>
      ${sorted.map(
        ([name, of]) =>
          html`<tr>
            <th scope="row">${name}</th>
            <td class="n">${count(of.length)}</td>
            <td class="n">${count(of.filter(({ verdict }) => verdict === "held").length)}</td>
          </tr> `,
      )}
    </tbody>
  </table>`;
}
