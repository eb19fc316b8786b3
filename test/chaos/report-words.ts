import { count, plural } from "../../ops/verbs/output.ts";
import type { Fault } from "./plan.ts";
import type { ChaosResult } from "./result.ts";

/** What a run was, in words. */

/** Milliseconds since the load began as a clock has them: `0:42`, `12:05`, `1:02:05`. */
export function clockTime(ms: number): string {
  const seconds = Math.round(ms / 1_000);
  const [h, m, s] = [Math.trunc(seconds / 3_600), Math.trunc(seconds / 60) % 60, seconds % 60];
  const two = (n: number) => String(Math.abs(n)).padStart(2, "0");
  if (seconds < 0) return `−${clockTime(-ms)}`;
  return h > 0 ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

/** What a fault does, short enough for a bar. */
export function faultVerb(fault: Fault): string {
  if ("args" in fault) return fault.does.replaceAll("-", " ");
  switch (fault.does) {
    case "kill":
    case "terminate":
    case "pause":
    case "storm":
      return fault.does;
    case "fail":
      return `die ${fault.point}`;
    case "isolate":
      return fault.from === "everybody" ? "cut off" : `cut off from ${fault.from}`;
    case "disturb":
      return [fault.how, fault.api].filter((it) => it !== undefined).join(" ");
    case "fill-disk":
      return "disk full";
  }
}

/** Who is hit: a target, or the way to something. */
export function faultTarget(fault: Fault): string {
  return fault.does === "disturb" ? `way to ${fault.link}` : fault.target;
}

/** All that is particular to a fault, for its line in a table. */
export function faultDetail(fault: Fault): string {
  if ("args" in fault) {
    const args = Object.entries(fault.args).map(([name, value]) => `${name} ${value}`);
    return [faultVerb(fault), ...args].join(", ");
  }
  switch (fault.does) {
    case "fail":
      return `${faultVerb(fault)}, ${fault.times === 1 ? "once" : `${fault.times} times`}`;
    case "isolate":
      return fault.direction === "both"
        ? faultVerb(fault)
        : `${faultVerb(fault)} (${fault.direction}going only)`;
    case "disturb": {
      const { share, ms } = fault;
      const some = share < 1 ? `, ${Math.round(share * 100)} % of requests` : "";
      return `${faultVerb(fault)}${some}${ms > 0 ? `, ${count(ms)} ms` : ""}`;
    }
    case "storm":
      return `members come and go every ${count(fault.everyMs)} ms`;
    case "kill":
    case "terminate":
    case "pause":
    case "fill-disk":
      return faultVerb(fault);
  }
}

/** A reason as long as a headline bears; all of it stands with its promise. */
export function shortened(text: string): string {
  return text.length <= 280 ? text : `${text.slice(0, 279)}…`;
}

export const verdictMarks: Readonly<Record<ChaosResult["verdict"], string>> = {
  held: "✓",
  violated: "✗",
  "not at rest": "…",
  "could not run": "?",
};

/** The class of its colour; the mark and the word say the same. */
export const verdictTone: Readonly<Record<ChaosResult["verdict"], "good" | "bad" | "open">> = {
  held: "good",
  violated: "bad",
  "not at rest": "bad",
  "could not run": "open",
};

/** The verdict as a headline. */
export function verdictWord({ verdict, plan }: ChaosResult): string {
  switch (verdict) {
    case "held":
      return plan.expects === "survives" ? "Held" : "Refused, as it should";
    case "violated":
      return "Violated";
    case "not at rest":
      return "Not at rest";
    case "could not run":
      return "Could not run";
  }
}

/** What the verdict means, in one sentence. */
export function verdictSentence({ verdict, plan, invariants, faults }: ChaosResult): string {
  const shown = invariants.filter(({ checked }) => checked > 0);
  const checks = shown.reduce((sum, { checked }) => sum + checked, 0);
  const broken = invariants.filter(({ violated }) => violated > 0);
  const hit = faults.length === 0 ? "without any fault" : `under ${plural(faults.length, "fault")}`;
  const promises = `${plural(shown.length, "promise")} (${plural(checks, "check")})`;
  switch (verdict) {
    case "held":
      return plan.expects === "survives"
        ? `${promises} held ${hit}.`
        : `It refused to go on with ${plan.expects}, and ${promises} held.`;
    case "violated":
      return broken.length === 0
        ? `What was promised was not kept ${hit}.`
        : `${count(broken.length)} of ${plural(shown.length, "promise")} broken ${hit}: ${broken.map(({ id }) => id).join(", ")}.`;
    case "not at rest":
      return `Something did not come to rest in time after ${plural(faults.length, "fault")}.`;
    case "could not run":
      return "This says nothing about any promise: the run itself failed.";
  }
}

/** When the last fault was over; `null` where there was none. */
export function healedAt({ faults }: ChaosResult): number | null {
  return faults.length === 0 ? null : Math.max(...faults.map(({ to }) => to));
}
