import type { Finding } from "./doctor-finding.ts";
import { oneLine, painted, plural } from "./output.ts";
import { widthOf } from "./table.ts";

/** The findings as people read them: a line each, and two more where something is to be done. */

const signs = { ok: "✓", wrong: "✗", warn: "!", unknown: "?" } as const;
const colours = { ok: "green", wrong: "red", warn: "yellow", unknown: "yellow" } as const;

export function doctorLines(findings: readonly Finding[]): readonly string[] {
  const width = Math.max(...findings.map(({ id }) => widthOf(nameOf(id))));
  return [...findings.flatMap((it) => linesOf(it, width)), "", summaryOf(findings)];
}

function linesOf({ id, status, found, why, mend }: Finding, width: number): readonly string[] {
  const sign = painted(colours[status])(signs[status]);
  const name = nameOf(id);
  const rest = restOf(id);
  const what = rest === "" ? found : `${rest}: ${found}`;
  const dim = painted("dim");
  const below = (label: string, text: string | null) =>
    text === null || status === "ok"
      ? []
      : [`  ${" ".repeat(width)}  ${dim(label.padEnd(5))}${oneLine(text)}`];
  return [
    `${sign} ${name.padEnd(width)}  ${oneLine(what)}`,
    ...(status === "unknown" ? [] : below("why", why)),
    ...below("mend", mend),
  ];
}

/** `topics/bank.account.events` is of the check `topics`. */
function nameOf(id: string): string {
  return id.split("/")[0] ?? id;
}

function restOf(id: string): string {
  return id.split("/").slice(1).join("/");
}

function summaryOf(findings: readonly Finding[]): string {
  const of = (status: Finding["status"]) => findings.filter((it) => it.status === status).length;
  const parts: readonly (readonly [number, string])[] = [
    [of("wrong"), "wrong"],
    [of("warn"), "to look at"],
    [of("unknown"), "that cannot be told"],
  ];
  const bad = parts.flatMap(([n, what]) => (n > 0 ? [`${n} ${what}`] : []));
  if (bad.length === 0) return `Nothing is wrong: ${plural(findings.length, "finding")}, all good.`;
  return `${plural(findings.length, "finding")}: ${bad.join(", ")}, ${of("ok")} good.`;
}
