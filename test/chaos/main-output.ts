import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { openFolder } from "../../ops/stack/folder.ts";
import { folderSetting } from "../../ops/stack/settings.ts";
import { type ExitCode, exitCode } from "../../ops/verbs/outcome.ts";
import { painted, print } from "../../ops/verbs/output.ts";
import { summaryLines } from "./compose/summary.ts";
import type { Plan } from "./plan.ts";
import { reportPage } from "./report.ts";
import { reportIndex, reportName } from "./report-index.ts";
import type { ChaosResult } from "./result.ts";

/** What a run leaves on the disk and says at its end. */

/** Where runs go that nobody says where to put. */
export function defaultOut(): string {
  return join(openFolder(folderSetting(process.env)).dir, "chaos");
}

/** A new folder for a run, with the plan in it. */
export function openRunFolder(out: string, plan: Plan, startedAt: number): string {
  const folder = join(out, reportName({ plan, backEnd: "processes", startedAt }));
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "plan.json"), `${JSON.stringify(plan, null, 2)}\n`);
  return folder;
}

/** What is large, and of use only where something did not hold. */
const evidence = ["history.jsonl", "samples.jsonl", "logs"];

/** Writes the result and its page; keeps the evidence of what did not hold, or where `keep` says so. */
export function writeResult(
  result: ChaosResult,
  folder: string,
  keep: "all" | "what did not hold",
): void {
  writeFileSync(join(folder, "result.json"), `${JSON.stringify(result, null, 2)}\n`);
  writeFileSync(join(folder, "report.html"), reportPage(result));
  if (keep === "all" || result.verdict !== "held") return;
  for (const name of evidence) rmSync(join(folder, name), { recursive: true, force: true });
}

export function show(result: ChaosResult, folder: string): void {
  const paints = { good: painted("green"), bad: painted("red"), quiet: painted("dim") };
  print("");
  for (const line of summaryLines(result, paints)) print(line);
  const at = shown(folder);
  print(`The page: ${join(at, "report.html")}   all else: ${at}/   again: ${result.replay}`);
}

/** Of several runs: one page over all of them. */
export function writeIndex(results: readonly ChaosResult[], out: string): void {
  const file = join(out, "index.html");
  writeFileSync(file, reportIndex(results));
  const held = results.filter(({ verdict }) => verdict === "held").length;
  print(`\n${held} of ${results.length} runs held. All of them on one page: ${shown(file)}`);
}

export function shown(path: string): string {
  const from = relative(process.cwd(), path);
  return from === "" ? "." : from;
}

/** Of all runs, the worst. */
export function exitCodeOf(results: readonly Pick<ChaosResult, "verdict">[]): ExitCode {
  const verdicts = results.map(({ verdict }) => verdict);
  if (verdicts.includes("violated") || verdicts.includes("not at rest")) return exitCode.failed;
  return verdicts.includes("could not run") ? exitCode.unavailable : exitCode.ok;
}
