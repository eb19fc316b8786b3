import type { AuditReport } from "./audit.ts";
import type { Comparison } from "./expected.ts";
import type { Violation } from "./findings.ts";
import { count, oneLine, type Paint, plural, shownId } from "../verbs/output.ts";
import { layTable, left } from "../verbs/table.ts";

/** The report for people: a line an invariant, below it what violates it, then what was looked at. */

export interface Paints {
  readonly good: Paint;
  readonly bad: Paint;
  readonly quiet: Paint;
}

export function reportLines(report: AuditReport, { good, bad, quiet }: Paints): readonly string[] {
  const { invariants, expected, hasHeld } = report;
  const table = layTable(
    [left(""), left(""), left(""), left("")],
    invariants.map(({ id, promise, checked, violated }) => [
      id,
      violated === 0 ? good("held") : bad(`violated ${times(violated)}`),
      quiet(`checked ${count(checked)}`),
      promise,
    ]),
  );
  const lines = invariants.flatMap(({ violated, violations }, i) => [
    table[i] ?? "",
    ...violations.flatMap((violation) => violationLines(violation, quiet)),
    ...(violated > violations.length
      ? [quiet(`     and ${plural(violated - violations.length, "more", "more")}`)]
      : []),
  ]);
  if (expected !== null) lines.push(...expectedLines(expected, { good, bad, quiet }));
  const broken = invariants.filter(({ violated }) => violated > 0).length;
  const verdict = hasHeld
    ? good("Every invariant held.")
    : broken === 0
      ? bad("Every invariant held, and the accounts are not as the file has them.")
      : bad(`${plural(broken, "invariant is", "invariants are")} violated.`);
  return [...lines, "", ...countLines(report), verdict];
}

function times(n: number): string {
  return n === 1 ? "once" : `${count(n)} times`;
}

function violationLines(
  { at, aggregateId, commandId, expected, found }: Violation,
  quiet: Paint,
): readonly string[] {
  const who = [
    ...(aggregateId == null ? [] : [`aggregate ${shownId(aggregateId)}`]),
    ...(commandId == null ? [] : [`command ${shownId(commandId)}`]),
  ];
  return [
    `     ${[at, ...who].map(oneLine).join("  ")}`,
    `       ${quiet("expected")}  ${oneLine(expected)}`,
    `       ${quiet("found")}     ${oneLine(found)}`,
  ];
}

function expectedLines(
  { accounts, agreeing, others, isWithoutRejections, differences }: Comparison,
  { good, bad, quiet }: Paints,
): readonly string[] {
  const isGood = differences.length === 0;
  const verdict = `${count(agreeing)} of ${plural(accounts, "account")} as the file has them`;
  const besides = others === 0 ? "" : `; ${plural(others, "other account")} in the log`;
  const without = isWithoutRejections ? "; rejections not counted, for replies have expired" : "";
  return [
    `     ${isGood ? good(verdict) : bad(verdict)}${besides}${without}`,
    ...differences.flatMap(({ accountId, column, expected, found }) => [
      `     account ${oneLine(shownId(accountId))}  ${column}`,
      `       ${quiet("expected")}  ${expected}`,
      `       ${quiet("found")}     ${found}`,
    ]),
  ];
}

function countLines(report: AuditReport): readonly string[] {
  const { counts, rows } = report;
  const { consumed, waiting, replies, events, deadLetters, aggregates } = counts;
  const { underWay, expiredCommands, expiredReplies } = counts;
  const views = Object.entries(rows).map(([view, n]) => `${plural(n, "row")} in ${view}`);
  const seen = [
    plural(consumed, "command"),
    ...(replies === 1 ? ["1 reply"] : [`${count(replies)} replies`]),
    plural(events, "event"),
    plural(deadLetters, "dead letter"),
    plural(aggregates, report.aggregate),
    ...views,
  ];
  const notes = [
    waiting > 0 && `${plural(waiting, "command")} not consumed yet, or while the audit ran`,
    underWay > 0 && `${plural(underWay, "handling")} under way, to be judged by a later audit`,
    expiredCommands > 0 &&
      `${plural(expiredCommands, "command")} expired, known by the reply alone`,
    expiredReplies > 0 &&
      `${plural(expiredReplies, "command")} known by the events alone, the reply having expired`,
  ].filter((note) => note !== false);
  return [seen.join(", "), ...notes];
}
