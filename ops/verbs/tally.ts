import { createHistogram } from "node:perf_hooks";
import type { Reply } from "../../engine/generated.ts";
import { layTable, left, right } from "./table.ts";
import { count, oneLine } from "./output.ts";
import { shownDuration } from "./duration.ts";

/** Counts what became of the commands that were sent. */
export class Tally {
  readonly outcomes = { accepted: 0, rejected: 0, conflict: 0, failed: 0 };
  /** Why → how many. */
  readonly rejections = new Map<string, number>();
  readonly failures = new Map<string, number>();
  duplicates = 0;
  refused = 0;
  private readonly latencyMicros = createHistogram({
    lowest: 1,
    highest: 3_600_000_000,
    figures: 3,
  });

  answer(reply: Reply, latencyMs: number): void {
    this.outcomes[reply.outcome] += 1;
    if (reply.duplicate) this.duplicates += 1;
    if (reply.outcome === "rejected") add(this.rejections, reply.reason ?? "unknown");
    if (reply.outcome === "failed") add(this.failures, reply.reason ?? "unknown");
    this.latencyMicros.record(Math.max(1, Math.round(latencyMs * 1000)));
  }

  get answered(): number {
    const { accepted, rejected, conflict, failed } = this.outcomes;
    return accepted + rejected + conflict + failed;
  }

  /** In milliseconds; `null` where nothing was answered. */
  latencyMs(percentile: number): number | null {
    return this.answered === 0 ? null : this.latencyMicros.percentile(percentile) / 1000;
  }
}

function add(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}

/** What `produce --json` prints last, or alone. */
export interface Summary {
  /** Whether the answers were waited for; else the counts of them are 0. */
  readonly waited: boolean;
  readonly sent: number;
  readonly accepted: number;
  readonly rejected: number;
  readonly conflict: number;
  readonly failed: number;
  readonly unanswered: number;
  readonly refusedLines: number;
  /** Of the answers: given before to the same command id, and nothing was done again. */
  readonly duplicates: number;
  readonly rejections: Readonly<Record<string, number>>;
  readonly failures: Readonly<Record<string, number>>;
  readonly seconds: number;
  readonly commandsPerSecond: number;
  readonly p50Ms: number | null;
  readonly p99Ms: number | null;
  /** Of made-up commands. */
  readonly seed?: string;
}

export interface Ended {
  readonly waited: boolean;
  readonly sent: number;
  readonly unanswered: number;
  readonly tookMs: number;
  readonly seed: string | null;
}

export function summaryOf(
  tally: Tally,
  { waited, sent, unanswered, tookMs, seed }: Ended,
): Summary {
  const rounded = (ms: number | null) => (ms === null ? null : Number(ms.toFixed(1)));
  return {
    waited,
    sent,
    ...tally.outcomes,
    unanswered,
    refusedLines: tally.refused,
    duplicates: tally.duplicates,
    rejections: Object.fromEntries(tally.rejections),
    failures: Object.fromEntries(tally.failures),
    seconds: Number((tookMs / 1000).toFixed(3)),
    commandsPerSecond: tookMs === 0 ? 0 : Math.round((sent / tookMs) * 1000),
    p50Ms: rounded(tally.latencyMs(50)),
    p99Ms: rounded(tally.latencyMs(99)),
    ...(seed !== null && { seed }),
  };
}

/** For people. */
export function summaryLines(summary: Summary): readonly string[] {
  const { sent, seconds, commandsPerSecond, refusedLines, unanswered } = summary;
  const pace = `in ${shownDuration(seconds * 1000)}, ${count(commandsPerSecond)} commands/s`;
  const rows: (readonly [string, string, string])[] = [
    ["sent", count(sent), sent === 0 ? "" : pace],
  ];
  if (summary.waited) {
    const { accepted, rejected, conflict, failed, duplicates } = summary;
    rows.push(
      ["accepted", count(accepted), ""],
      ["rejected", count(rejected), reasons(summary.rejections)],
      ["conflict", count(conflict), ""],
      ["failed", count(failed), reasons(summary.failures)],
      ["unanswered", count(unanswered), ""],
    );
    if (duplicates > 0) {
      rows.push([
        "answered before",
        count(duplicates),
        "the same answers again; nothing was done twice",
      ]);
    }
  } else rows.push(["not acknowledged", count(unanswered), "the answers were not waited for"]);
  rows.push(["refused lines", count(refusedLines), refusedLines > 0 ? "not sent; see above" : ""]);

  const { p50Ms, p99Ms } = summary;
  const latency =
    p50Ms === null || p99Ms === null
      ? []
      : [`send to reply: p50 ${count(p50Ms)} ms, p99 ${count(p99Ms)} ms`];
  return [...layTable([left(""), right(""), left("")], rows), ...latency];
}

function reasons(counts: Readonly<Record<string, number>>): string {
  return Object.entries(counts)
    .sort(([a, n], [b, m]) => m - n || (a < b ? -1 : 1))
    .map(([reason, times]) => `${count(times)} ${oneLine(reason)}`)
    .join(", ");
}
