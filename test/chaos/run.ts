import { join } from "node:path";
import { type Clock, isAborted, systemClock } from "../../engine/clock.ts";
import { messageOf } from "../../engine/errors.ts";
import type { AggregateTopics } from "../../engine/topic.ts";
import { topics as catalog } from "../../topics/catalog.ts";
import { bankOnLog, type BankOnLog } from "../bank-on-log.ts";
import { type History, openHistory } from "./load-history.ts";
import { type RunningLoad, startLoad } from "./load.ts";
import { breakingCode, breakingIds } from "./operator-poison.ts";
import type { BackEnd, Fault, Plan } from "./plan.ts";
import { faultTarget, faultVerb } from "./report-words.ts";
import type { ChaosResult, FaultTime, RecoveryTimes, Sample } from "./result.ts";
import { check, type Checked } from "./run-check.ts";
import { readAll } from "./run-reads.ts";
import { untilAtRest } from "./run-rest.ts";
import { type Sampler, startSampler } from "./samples.ts";
import { commitOf } from "./run-commit.ts";
import type { StartSystem, System } from "./system.ts";

/**
 * Runs a plan: load, the plan's faults at their times, then heal, come to rest, read, and check. Everything that
 * happens is begun here and nowhere else.
 */

/** Where a run shows how far it is. */
export interface Screen {
  /** A line that stays. */
  step(text: string): void;
  /** Where the run is now, in the place of what was shown last. */
  live(sample: Sample, inForce: readonly Fault[]): void;
}

export interface RunOptions {
  readonly plan: Plan;
  readonly backEnd: BackEnd;
  /** Of this run alone; exists. */
  readonly folder: string;
  /** Starts the same plan again. */
  readonly replay: string;
  readonly screen: Screen;
}

/**
 * Brings a system up, runs the plan on it, and takes it down, whatever happens. An aborted `signal` ends load and
 * faults, and heals; what was seen until then is in the result.
 */
export async function runPlan(
  options: RunOptions & { readonly start: StartSystem },
  signal: AbortSignal,
): Promise<ChaosResult> {
  const { plan, folder, screen, start } = options;
  const startedAt = systemClock.now();
  const onStep = (step: string) => {
    screen.step(step);
  };
  let system: System;
  try {
    system = await start({ plan, folder, onStep }, signal);
  } catch (error) {
    const why = `The bank could not be brought up: ${messageOf(error)}`;
    return couldNotRun(options, startedAt, why);
  }
  try {
    return proven(await runOn(system, options, signal));
  } finally {
    onStep("Everything is stopped");
    await system.stop();
  }
}

/** What held without a fault that the plan names has shown nothing of that fault. */
export function proven(result: ChaosResult): ChaosResult {
  const missed = result.faults.filter(({ hits }) => hits === 0);
  if (missed.length === 0 || result.verdict !== "held") return result;
  const because = missed.map(
    ({ fault }) => `${fault.id} ${faultTarget(fault)}: ${faultVerb(fault)} hit nothing`,
  );
  return { ...result, verdict: "could not run", because: [...result.because, ...because] };
}

/** Runs a plan on a system that is up, and leaves it up, healed. */
export async function runOn(
  system: System,
  options: RunOptions & { readonly topics?: AggregateTopics },
  signal: AbortSignal,
): Promise<ChaosResult> {
  const { addresses } = system;
  const { topics = catalog.account } = options;
  const startedAt = systemClock.now();
  let bank: BankOnLog | null = null;
  try {
    bank = await bankOnLog({ ...addresses, clientId: "chaos" }, topics, signal);
    return await new Run(system, { ...options, ...bank, startedAt }, signal).run();
  } catch (error) {
    await system.heal();
    return couldNotRun(options, startedAt, `The run failed: ${messageOf(error)}`);
  } finally {
    await bank?.log.close();
  }
}

interface Running extends RunOptions, BankOnLog {
  readonly startedAt: number;
}

class Run {
  private readonly system: System;
  private readonly options: Running;
  private readonly signal: AbortSignal;
  private readonly clock: Clock = systemClock;
  private readonly faultTimes: FaultTime[] = [];
  private readonly inForce = new Set<Fault>();
  /** Why the run itself could not be done as the plan says. */
  private readonly troubles: string[] = [];
  private readonly endingsBefore: number;
  private loadStartedAt = 0;

  constructor(system: System, options: Running, signal: AbortSignal) {
    this.system = system;
    this.options = options;
    this.signal = signal;
    this.endingsBefore = system.endings().length;
  }

  async run(): Promise<ChaosResult> {
    const { plan, folder, topics, screen } = this.options;
    const files = {
      history: join(folder, "history.jsonl"),
      samples: join(folder, "samples.jsonl"),
    };
    const history = openHistory(files.history, topics.aggregate, "client-");
    const load = await this.startLoad(history);
    const sampler = startSampler({
      ...{ addresses: this.system.addresses, topics, clock: this.clock, counts: load.counts },
      ...{ startedAt: this.loadStartedAt, file: files.samples },
      projections: projectionsOf(plan),
      onSample: (sample) => {
        screen.live(sample, [...this.inForce]);
      },
    });
    let missing: readonly string[];
    let toRestMs: number | null = null;
    try {
      screen.step(`Load: ${plan.load.rate} commands/s for ${plan.load.for / 1_000} s`);
      await Promise.all([
        load.sent,
        ...plan.faults.map((fault) => this.befall(fault, { sampler, history })),
      ]);
      const healedAt = this.clock.now();
      screen.step("Healed; waiting until all is answered and at rest");
      await this.system.heal();
      const deadline = healedAt + plan.quiesceMs;
      missing =
        plan.expects === "survives"
          ? await this.rest(load, deadline)
          : await this.refusal(deadline);
      if (missing.length === 0) toRestMs = this.clock.now() - this.lastEnd(healedAt);
      if (missing.length === 0 && (plan.workers["balances"] ?? 0) > 0) {
        await readAll(this.system.addresses, history);
      }
    } finally {
      load.stop();
      await sampler.stop();
      await load.close();
      history.close();
    }
    const checked = isAborted(this.signal)
      ? null
      : plan.expects === "survives"
        ? await this.check(load, files)
        : refusalChecked(plan, missing);
    return this.result({ load, sampler, checked, missing, toRestMs });
  }

  private async startLoad(history: History): Promise<RunningLoad> {
    const { plan, topics, log, codec, screen } = this.options;
    let troubled = 0;
    this.loadStartedAt = this.clock.now();
    const load = await startLoad({
      ...{ load: plan.load, seed: plan.seed, run: `s${plan.seed}`, topics, log, codec, history },
      ...{ apiUrl: this.system.addresses.apiUrl, clock: this.clock },
      onTrouble: (message) => {
        if (troubled++ < 5) screen.step(`The load sends again: ${message}`);
      },
    });
    this.signal.addEventListener("abort", () => {
      load.stop();
    });
    return load;
  }

  /** One fault, from its beginning to its end. */
  private async befall(
    fault: Fault,
    { sampler, history }: { readonly sampler: Sampler; readonly history: History },
  ): Promise<void> {
    const { screen } = this.options;
    await this.sleepUntil(fault.at);
    if (isAborted(this.signal)) return;
    const said = `${fault.id} ${faultTarget(fault)}: ${faultVerb(fault)}`;
    const from = this.elapsed();
    let hits: number | null = null;
    try {
      sampler.announce(fault);
      this.writePoison(fault, history, "invoke");
      await this.system.begin(fault);
      this.writePoison(fault, history, "ok");
      this.inForce.add(fault);
      screen.step(`${said} begins`);
      await this.sleepUntil(this.elapsed() + fault.for);
      hits = await this.system.end(fault);
      screen.step(`${said} ends${hits === null ? "" : `: ${hits} hit`}`);
    } catch (error) {
      this.troubles.push(`${said} could not be done: ${messageOf(error)}`);
      screen.step(this.troubles.at(-1) ?? "");
    } finally {
      this.inForce.delete(fault);
      this.faultTimes.push({ fault, from, to: this.elapsed(), ...(hits !== null && { hits }) });
    }
  }

  /** What a fault sends that no worker can process; where it fails midway, nobody knows of it. */
  private writePoison(fault: Fault, history: History, type: "invoke" | "ok"): void {
    for (const id of breakingIds(fault)) {
      history.write({ process: id, f: "poison", type, id, code: breakingCode });
    }
  }

  /** What is missing for rest at the deadline. */
  private async rest(load: RunningLoad, deadline: number): Promise<readonly string[]> {
    const { plan, topics, log } = this.options;
    const settled = load.settled();
    const at = { system: this.system, plan, topics, log, clock: this.clock };
    const missing = await untilAtRest(at, deadline, this.signal);
    if (missing.length === 0) await settled;
    else settled.catch(() => undefined); // It ends with `close`.
    return missing;
  }

  /** Waits for a worker to end with the code that the plan expects. */
  private async refusal(deadline: number): Promise<readonly string[]> {
    const { expects } = this.options.plan;
    while (this.clock.now() < deadline && !isAborted(this.signal)) {
      if (this.endings().some(({ said }) => said.includes(expects))) return [];
      await this.clock.sleep(200, this.signal);
    }
    return [`No worker has refused to go on with ${expects}`];
  }

  private endings() {
    return this.system.endings().slice(this.endingsBefore);
  }

  private async check(
    load: RunningLoad,
    files: { readonly history: string; readonly samples: string },
  ): Promise<Checked | null> {
    const { topics, codec, screen } = this.options;
    const { addresses } = this.system;
    screen.step("Checking the log, the views, and what clients saw");
    const endings = this.endings();
    try {
      return await check(
        {
          ...{ addresses, topics, codec, counts: load.counts, endings },
          ...{ workers: this.system.workers(), printed: await this.system.printed() },
          ...{ historyFile: files.history, samplesFile: files.samples },
          onProgress: () => undefined,
        },
        this.signal,
      );
    } catch (error) {
      this.troubles.push(`It could not be checked: ${messageOf(error)}`);
      return null;
    }
  }

  private result({
    load,
    sampler,
    checked,
    missing,
    toRestMs,
  }: {
    readonly load: RunningLoad;
    readonly sampler: Sampler;
    readonly checked: Checked | null;
    readonly missing: readonly string[];
    readonly toRestMs: number | null;
  }): ChaosResult {
    const { sent, accepted, rejected, conflict, failed, unknown, longestSilenceMs } = load.counts;
    const times: RecoveryTimes = { toRestMs, longestSilenceMs };
    const waiting = checked?.waiting ?? 0;
    const restless = [
      ...missing,
      ...(waiting > 0 ? [`The audit found ${waiting} commands unanswered`] : []),
    ];
    const broken = (checked?.invariants ?? []).filter(({ violated }) => violated > 0);
    const violations = broken.map(
      ({ id, violated, violations: [first = ""] }) => `${id} violated ${violated} times: ${first}`,
    );
    const troubles = [...this.troubles, ...(isAborted(this.signal) ? ["It was interrupted"] : [])];
    return {
      ...emptyResult(this.options, this.options.startedAt),
      verdict: verdictOf({ troubles, violations, restless }),
      because: [...violations, ...troubles, ...restless],
      faults: this.faultTimes,
      samples: sampler.samples,
      commands: { sent, accepted, rejected, conflict, failed, unknown },
      invariants: checked?.invariants ?? [],
      endings: this.endings().map((it) => ({ ...it, t: it.t - this.loadStartedAt })),
      times,
    };
  }

  private elapsed(): number {
    return this.clock.now() - this.loadStartedAt;
  }

  private async sleepUntil(at: number): Promise<void> {
    const ms = at - this.elapsed();
    if (ms > 0) await this.clock.sleep(ms, this.signal);
  }

  private lastEnd(otherwise: number): number {
    const ends = this.faultTimes.map(({ to }) => to + this.loadStartedAt);
    return ends.length === 0 ? otherwise : Math.max(...ends);
  }
}

/** Where somebody destroys the log itself, one thing is promised: that a worker says so and goes no further. */
function refusalChecked({ expects }: Plan, missing: readonly string[]): Checked {
  const promise = `a worker refuses to go on, and says why: ${expects}`;
  const outcome = { checked: 1, violated: missing.length, violations: missing };
  return { invariants: [{ id: "refusal", promise, ...outcome }], waiting: 0 };
}

/** What is violated outweighs everything; what could not be run proves nothing. */
export function verdictOf({
  troubles,
  violations,
  restless,
}: Readonly<
  Record<"troubles" | "violations" | "restless", readonly string[]>
>): ChaosResult["verdict"] {
  if (violations.length > 0) return "violated";
  if (troubles.length > 0) return "could not run";
  return restless.length > 0 ? "not at rest" : "held";
}

function projectionsOf({ workers }: Plan): readonly string[] {
  const views = ["balances", "statements", "command_status", "event_index"];
  return views.filter((it) => (workers[it] ?? 0) > 0);
}

/** The result of a run that shows nothing. */
export function couldNotRun(options: RunOptions, startedAt: number, why: string): ChaosResult {
  return { ...emptyResult(options, startedAt), because: [why] };
}

/** A run of which nothing is known yet. */
function emptyResult(options: RunOptions, startedAt: number): ChaosResult {
  const { plan, backEnd, replay } = options;
  return {
    ...{ plan, backEnd, replay, startedAt, commit: commitOf(), endedAt: systemClock.now() },
    verdict: "could not run",
    because: [],
    faults: [],
    samples: [],
    commands: { sent: 0, accepted: 0, rejected: 0, conflict: 0, failed: 0, unknown: 0 },
    invariants: [],
    endings: [],
    times: { toRestMs: null, longestSilenceMs: 0 },
  };
}
