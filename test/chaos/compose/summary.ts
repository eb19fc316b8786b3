import { shownDuration } from "../../../ops/verbs/duration.ts";
import { count, oneLine, type Paint, plural } from "../../../ops/verbs/output.ts";
import { layTable, left, right } from "../../../ops/verbs/table.ts";
import {
  clockTime,
  faultTarget,
  faultVerb,
  shortened,
  verdictMarks,
  verdictSentence,
  verdictWord,
} from "../report-words.ts";
import type { ChaosResult, FaultTime } from "../result.ts";

/** A run for people at a terminal: what was done to whom, what held, and the verdict last. */

export interface Paints {
  readonly good: Paint;
  readonly bad: Paint;
  readonly quiet: Paint;
}

export function summaryLines(result: ChaosResult, paints: Paints): readonly string[] {
  const { good, bad, quiet } = paints;
  const { because, verdict } = result;
  const paint = verdict === "held" ? good : bad;
  return [
    ...section("What was done, and how long after the load began", doneLines(result.faults), quiet),
    ...section("What was promised", promiseLines(result, paints), quiet),
    ...section("What clients saw", clientLines(result), quiet),
    ...because.map((reason) => bad(`  ${shortened(oneLine(reason))}`)),
    `${paint(`${verdictMarks[verdict]} ${verdictWord(result)}.`)} ${verdictSentence(result)}`,
  ];
}

function section(title: string, lines: readonly string[], quiet: Paint): readonly string[] {
  return lines.length === 0 ? [] : [quiet(title), ...lines.map((line) => `  ${line}`), ""];
}

/** A row for each that was hit, a column for each thing that was done to any, with the times at which it began. */
function doneLines(faults: readonly FaultTime[]): readonly string[] {
  const inOrder = faults.toSorted((a, b) => a.from - b.from);
  const verbs = [...new Set(inOrder.map(({ fault }) => verbOf(fault)))];
  const rows = [...Map.groupBy(inOrder, ({ fault }) => faultTarget(fault))].map(
    ([target, done]) => [
      target,
      ...verbs.map((verb) =>
        done
          .filter(({ fault }) => verbOf(fault) === verb)
          .map(({ from }) => clockTime(from))
          .join(" "),
      ),
    ],
  );
  return rows.length === 0 ? [] : layTable([left(""), ...verbs.map(right)], rows);
}

/** Whom it is cut off from is the same for all of them in containers. */
function verbOf(fault: FaultTime["fault"]): string {
  return fault.does === "isolate" ? "cut off" : faultVerb(fault);
}

function promiseLines({ invariants }: ChaosResult, { good, bad, quiet }: Paints) {
  const rows = invariants.map(({ id, promise, checked, violated }) => [
    violated > 0 ? bad("✗") : checked > 0 ? good("✓") : quiet("–"),
    id,
    promise,
    violated > 0
      ? bad(`violated ${count(violated)} of ${count(checked)}`)
      : checked > 0
        ? `${count(checked)} checked`
        : quiet("not shown by this run"),
  ]);
  const table = layTable([left(""), left(""), left(""), left("")], rows);
  return invariants.flatMap(({ violations }, i) => [
    table[i] ?? "",
    ...violations.map((it) => bad(`     ${shortened(oneLine(it))}`)),
  ]);
}

function clientLines({ commands, times, endings }: ChaosResult): readonly string[] {
  const { sent, accepted, rejected, conflict, failed, unknown } = commands;
  if (sent === 0) return [];
  const alone = endings.filter(({ isWanted }) => !isWanted);
  const rest = times.toRestMs === null ? "did not come to rest" : shownDuration(times.toRestMs);
  return [
    `${plural(sent, "command")}: ${count(accepted)} accepted, ${count(rejected)} rejected, ` +
      `${count(conflict)} conflicts, ${count(failed)} failed, ${count(unknown)} without an answer in time`,
    `longest without an accepted one: ${shownDuration(times.longestSilenceMs)}`,
    `from the end of the last fault until all was at rest: ${rest}`,
    ...alone.map(({ t, name, how, said }) => {
      const last = said.split("\n").at(-1) ?? "";
      return `${name} ended by itself at ${clockTime(t)} with ${how}: ${oneLine(last)}`;
    }),
  ];
}
