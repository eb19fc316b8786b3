import { readdirSync, readFileSync } from "node:fs";
import { type Clock, isAborted } from "../../../engine/clock.ts";
import { messageOf } from "../../../engine/errors.ts";
import { type Child, lastLines } from "../../../ops/stack/child.ts";
import type { Folder } from "../../../ops/stack/folder.ts";
import { runningIn } from "../../../ops/stack/running.ts";
import type { Ending } from "../system.ts";

/** A process of the bank that is started again whenever it ends, unless a fault holds it down. */

export interface KeptOptions {
  /** As plans and reports name it, for example "account/1". */
  readonly name: string;
  /** As its pid file names it. */
  readonly childName: string;
  readonly folder: Folder;
  readonly clock: Clock;
  /** Resolves once it is started: a service when it answers, a worker at once. */
  readonly start: (signal: AbortSignal) => Promise<Child>;
  readonly onEnding: (ending: Ending) => void;
}

/** One that ends within so long is started again after a pause, so that it does not take the machine. */
const steadyMs = 3_000;
const pauseMs = 1_000;
const lookMs = 20;
/** A drain takes ten seconds at most. */
const goneMs = 20_000;

export class KeptProcess {
  readonly name: string;
  private readonly options: KeptOptions;
  private readonly stopping = new AbortController();
  /** Faults that hold it down. */
  private holds = 0;
  private isFrozen = false;
  /** Faults that may end it at any time. */
  private expected = 0;
  /** It was sent a signal that ends it. */
  private isEnding = false;
  private child: Child | null = null;
  private kept: Promise<void> = Promise.resolve();

  constructor(options: KeptOptions) {
    this.name = options.name;
    this.options = options;
  }

  /** Starts it for the first time. Rejects where that fails. */
  async start(): Promise<void> {
    this.child = await this.options.start(this.stopping.signal);
    this.kept = this.keep(this.child);
  }

  get isUp(): boolean {
    return this.child !== null && this.holds === 0 && !this.isFrozen;
  }

  get pid(): number | null {
    const { folder, childName } = this.options;
    return runningIn(folder.run).find(({ name }) => name === childName)?.pid ?? null;
  }

  /** From now on it is not started again, until it is released as often. */
  hold(): void {
    this.holds += 1;
  }

  release(): void {
    this.holds -= 1;
  }

  /** From now on a fault may end it, by other means than `signal`, until `expectNoEnd` was called as often. */
  expectEnd(): void {
    this.expected += 1;
  }

  expectNoEnd(): void {
    this.expected -= 1;
  }

  /** Sends it, and everything that it started, a signal. `"alone"`: its children find out by themselves. */
  signal(signal: NodeJS.Signals, whom: "with its children" | "alone" = "with its children"): void {
    const { pid } = this;
    if (pid === null) return;
    if (!["SIGSTOP", "SIGCONT"].includes(signal)) this.isEnding = true;
    this.isFrozen = signal === "SIGSTOP" || (this.isFrozen && signal !== "SIGCONT");
    const pids = whom === "alone" ? [pid] : [pid, ...descendantsOf(pid)];
    for (const it of pids) {
      try {
        process.kill(it, signal);
      } catch {
        // It ended between the look and the signal.
      }
    }
  }

  /** Whatever holds it down no longer does. */
  heal(): void {
    this.holds = 0;
    this.expected = 0;
    this.signal("SIGCONT");
  }

  /** Resolves when it has no process any more; one that takes too long to end is killed. */
  async untilGone(): Promise<void> {
    const { clock } = this.options;
    const deadline = clock.now() + goneMs;
    while (this.pid !== null) {
      if (clock.now() > deadline) this.signal("SIGKILL");
      await clock.sleep(lookMs);
    }
  }

  /** It is not started again. Whoever calls this ends it, and then awaits `ended`. */
  stopKeeping(): void {
    this.stopping.abort();
  }

  get ended(): Promise<void> {
    return this.kept;
  }

  private async keep(first: Child): Promise<void> {
    const { clock, start } = this.options;
    const { signal } = this.stopping;
    let child: Child | null = first;
    while (!isAborted(signal)) {
      const startedAt = clock.now();
      try {
        child ??= await start(signal);
        this.child = child;
        const { how, code } = await child.ended;
        this.isFrozen = false;
        this.child = null;
        if (isAborted(signal)) return;
        this.report(code ?? how, lastLines(child.output(), 6).join("\n"));
      } catch (error) {
        if (isAborted(signal)) return;
        this.report("did not start", messageOf(error));
      }
      child = null;
      if (clock.now() - startedAt < steadyMs && this.holds === 0) {
        await clock.sleep(pauseMs, signal);
      }
      while (this.holds > 0 && !isAborted(signal)) await clock.sleep(lookMs, signal);
    }
  }

  private report(how: Ending["how"], said: string): void {
    const isWanted = this.holds > 0 || this.expected > 0 || this.isEnding;
    this.isEnding = false;
    this.options.onEnding({ t: this.options.clock.now(), name: this.name, how, isWanted, said });
  }
}

/** Everything that a process has started, and what that has: some of them lead groups of their own. */
export function descendantsOf(pid: number): readonly number[] {
  const children = new Map<number, number[]>();
  for (const entry of processIds()) {
    const parent = parentOf(entry);
    if (parent === null) continue;
    children.set(parent, [...(children.get(parent) ?? []), entry]);
  }
  const found: number[] = [];
  const visit = (at: number) => {
    for (const child of children.get(at) ?? []) {
      found.push(child);
      visit(child);
    }
  };
  visit(pid);
  return found;
}

function processIds(): readonly number[] {
  try {
    return readdirSync("/proc").flatMap((name) => (/^\d+$/.test(name) ? [Number(name)] : []));
  } catch {
    return []; // Not Linux: whatever has children is asked alone.
  }
}

function parentOf(pid: number): number | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
  } catch {
    return null; // It has ended.
  }
}
