import { appendFileSync, existsSync, mkdirSync, readFileSync } from "node:fs";
import { dirname } from "node:path";
import { isAborted, systemClock } from "../../engine/clock.ts";
import { messageOf } from "../../engine/errors.ts";
import { shownDuration } from "../../ops/verbs/duration.ts";
import { count } from "../../ops/verbs/output.ts";
import { openRunFolder, writeResult } from "./main-output.ts";
import { drawPlan, type SwarmOptions } from "./main-swarm.ts";
import type { Plan } from "./plan.ts";
import { type ProcessSystem, startProcesses } from "./processes/system.ts";
import type { ChaosResult } from "./result.ts";
import { couldNotRun, runOn, type Screen } from "./run.ts";

/**
 * A swarm: round after round, each with a plan drawn by the next seed, on brokers, registry and Postgres that stay
 * up, with topics and a database of its own. Whatever a round has shown is on the disk when the next one begins.
 */

export interface RoundsOptions extends SwarmOptions {
  /** Of the first round. */
  readonly seed: number;
  /** Begins no round after so long, in milliseconds. */
  readonly forMs: number;
  readonly rounds: number;
  /** Where a line a round is added; rounds that it has already are not done again. */
  readonly tallyFile: string;
  readonly out: string;
  readonly keep: "all" | "what did not hold";
  readonly screen: Screen;
}

/** A line of the tally. */
export interface Round {
  readonly seed: number;
  readonly rate: number;
  readonly brokers: 1 | 3;
  readonly commit: string;
  readonly startedAt: number;
  readonly endedAt: number;
  readonly verdict: ChaosResult["verdict"];
  readonly because: readonly string[];
  /** What was done, for example "kill account/1". */
  readonly faults: readonly string[];
  readonly commands: ChaosResult["commands"];
  /** How many things were held against a promise. */
  readonly checked: number;
  /** Where the evidence is, of a round that did not hold. */
  readonly folder: string;
}

/** Resolves to the rounds that were done now. */
export async function runRounds(
  options: RoundsOptions,
  signal: AbortSignal,
): Promise<readonly Round[]> {
  const { forMs, rounds: most, tallyFile, screen } = options;
  const earlier = readTally(tallyFile).filter(
    ({ brokers, rate }) => brokers === options.brokers && rate === options.rate,
  );
  const done: Round[] = [];
  const isDone = (seed: number) => earlier.some((it) => it.seed === seed);
  const endAt = systemClock.now() + forMs;
  mkdirSync(dirname(tallyFile), { recursive: true });
  const bench = new Bench(options);
  try {
    for (let seed = options.seed; done.length < most && systemClock.now() < endAt; seed++) {
      if (isAborted(signal)) break;
      if (isDone(seed)) continue;
      const round = await bench.round(seed, signal);
      if (isAborted(signal)) break; // Cut short, it shows nothing.
      done.push(round);
      appendFileSync(tallyFile, `${JSON.stringify(round)}\n`);
      screen.step(totalLine([...earlier, ...done]));
    }
  } finally {
    await bench.close();
  }
  return done;
}

/** The system, as long as it is fit for another round. */
class Bench {
  private readonly options: RoundsOptions;
  private system: ProcessSystem | null = null;

  constructor(options: RoundsOptions) {
    this.options = options;
  }

  async round(seed: number, signal: AbortSignal): Promise<Round> {
    const { screen, out, keep, rate, brokers } = this.options;
    const plan = drawPlan(seed, this.options);
    const startedAt = systemClock.now();
    const folder = openRunFolder(out, plan, startedAt);
    screen.step(`Round ${seed}: ${doneIn(plan).join(", ")}`);
    const replay = `npm run chaos -- --swarm --seed ${seed} --rounds 1 --rate ${rate} --brokers ${brokers}`;
    const run = { plan, backEnd: "processes", folder, replay, screen } as const;
    let result: ChaosResult;
    try {
      const system = await this.systemFor(plan, folder, signal);
      result = await runOn(system, { ...run, topics: system.bank.topics }, signal);
    } catch (error) {
      result = couldNotRun(run, startedAt, `The bank could not be brought up: ${messageOf(error)}`);
    }
    const isFit = result.verdict === "held";
    if (!isFit) {
      this.system?.keepLogs(folder);
      await this.close();
    }
    writeResult(result, folder, keep);
    screen.step(
      `Round ${seed}: ${result.verdict}${result.because.map((it) => `; ${it}`).join("")}`,
    );
    return roundOf(result, { rate, folder });
  }

  async close(): Promise<void> {
    await this.system?.stop();
    this.system = null;
  }

  private async systemFor(plan: Plan, folder: string, signal: AbortSignal): Promise<ProcessSystem> {
    const onStep = (step: string) => {
      this.options.screen.step(step);
    };
    if (this.system === null) {
      this.system = await startProcesses({ plan, folder, onStep, network: "always" }, signal);
    } else await this.system.renew(plan, signal);
    return this.system;
  }
}

function roundOf(
  result: ChaosResult,
  { rate, folder }: { readonly rate: number; readonly folder: string },
): Round {
  const { plan, commit, startedAt, endedAt, verdict, because, commands, invariants } = result;
  return {
    ...{ seed: plan.seed, rate, brokers: plan.brokers, commit, startedAt, endedAt },
    ...{ verdict, because, commands, folder: verdict === "held" ? "" : folder },
    faults: doneIn(plan),
    checked: invariants.reduce((sum, { checked }) => sum + checked, 0),
  };
}

function doneIn({ faults }: Plan): readonly string[] {
  return faults.map((fault) => {
    const whom = "target" in fault ? fault.target : fault.link;
    return `${fault.does} ${whom}`;
  });
}

export function readTally(file: string): readonly Round[] {
  if (!existsSync(file)) return [];
  const lines = readFileSync(file, "utf8").split("\n");
  return lines.filter((line) => line !== "").map((line) => JSON.parse(line) as Round);
}

/** All rounds so far in a line. */
export function totalLine(rounds: readonly Round[]): string {
  const sum = (of: (round: Round) => number) => rounds.reduce((all, it) => all + of(it), 0);
  const verdicts = (["held", "violated", "not at rest", "could not run"] as const)
    .map((verdict) => [verdict, rounds.filter((it) => it.verdict === verdict).length] as const)
    .filter(([verdict, n]) => n > 0 || verdict === "held");
  const said = verdicts.map(([verdict, n]) => `${n} ${verdict}`).join(", ");
  const took = shownDuration(sum(({ startedAt, endedAt }) => endedAt - startedAt));
  const commands = count(sum((it) => it.commands.sent));
  const checks = count(sum(({ checked }) => checked));
  return `${rounds.length} rounds in ${took}: ${said}; ${commands} commands, ${checks} checks`;
}
