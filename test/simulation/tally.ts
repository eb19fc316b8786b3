import { appendFileSync, existsSync, readFileSync } from "node:fs";
import type { Batch, Failed } from "./batch.ts";
import { Hits } from "./hits.ts";

/** What all seeds of a run came to, or of several runs that were tallied in one file. */
export class Tally {
  seeds = 0;
  commands = 0;
  virtualMs = 0;
  cpuMs = 0;
  /** The seed after the last one tallied. */
  next = 0;
  readonly failed: Failed[] = [];
  readonly hits = new Hits();
  private readonly file: string | null;

  /** `file`: a batch a line, written as it comes; what is in it already is counted in. */
  constructor(file: string | null) {
    this.file = file;
    if (file === null || !existsSync(file)) return;
    const lines = readFileSync(file, "utf8").split("\n");
    for (const line of lines) {
      if (line.endsWith("}")) this.count(JSON.parse(line) as Batch); // A torn last line is none.
    }
  }

  add(batch: Batch): void {
    if (this.file !== null) appendFileSync(this.file, `${JSON.stringify(batch)}\n`);
    this.count(batch);
  }

  private count(batch: Batch): void {
    this.seeds += batch.seeds;
    this.commands += batch.commands;
    this.virtualMs += batch.virtualMs;
    this.cpuMs += batch.cpuMs;
    this.next = Math.max(this.next, batch.from + batch.seeds);
    this.failed.push(...batch.failed);
    this.hits.merge(batch.hits);
  }

  /** For a person, a few lines. `tookMs`: of this run, for its speed; `seeds`: of this run. */
  summary({ tookMs, seeds }: { readonly tookMs: number; readonly seeds: number }): string {
    const hours = (this.virtualMs / 3_600_000).toFixed(1);
    const speed = (seeds / (tookMs / 1000)).toFixed(0);
    const cpu = (this.cpuMs / Math.max(1, this.seeds)).toFixed(1);
    const faults = [...this.hits.byFault()].sort(([, a], [, b]) => b - a);
    const never = this.hits.never();
    return [
      `${this.seeds} seeds, ${this.failed.length} with violations; ${this.commands} commands in ${hours} hours of simulated time`,
      `${speed} seeds a second, ${cpu} ms of CPU a seed`,
      `faults that hit: ${faults.map(([fault, times]) => `${fault} ${times}`).join(", ")}`,
      `${this.hits.counts.size} pairs of fault and state were met${never.length > 0 ? `; never: ${never.join(", ")}` : ""}`,
    ].join("\n");
  }
}
