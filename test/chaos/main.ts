/**
 * `npm run chaos`: a bank as processes on this machine under load, with whatever a plan does to it, and then checked.
 */
import { mkdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { Command, Option } from "commander";
import { systemClock } from "../../engine/clock.ts";
import { durationOption } from "../../ops/verbs/duration.ts";
import { givenPath } from "../../ops/verbs/given-path.ts";
import { onInterrupt } from "../../ops/verbs/interrupt.ts";
import {
  type ExitCode,
  exitCode,
  exitsWith,
  explained,
  wrongUsage,
} from "../../ops/verbs/outcome.ts";
import { print, say } from "../../ops/verbs/output.ts";
import {
  defaultOut,
  exitCodeOf,
  openRunFolder,
  show,
  shown,
  writeIndex,
  writeResult,
} from "./main-output.ts";
import { catalogue, type PlanFile, plansOf, readPlan } from "./main-plans.ts";
import { readTally, runRounds, totalLine } from "./main-rounds.ts";
import { openScreen } from "./main-screen.ts";
import { startProcesses } from "./processes/system.ts";
import type { ChaosResult } from "./result.ts";
import { runPlan } from "./run.ts";

interface Options {
  readonly faults?: string;
  readonly catalogue: boolean;
  readonly list: boolean;
  readonly swarm: boolean;
  readonly seed?: number;
  readonly for: number;
  readonly rounds: number;
  readonly rate: number;
  readonly brokers: "1" | "3";
  readonly tally?: string;
  readonly out?: string;
  readonly keep: boolean;
}

const program = new Command("npm run chaos --")
  .description(
    "Brings up a bank as processes on this machine (brokers, registry, Postgres, workers), sends it commands, does " +
      "to it what a plan says, heals, waits until all is at rest, checks every promise on the log, the views and what " +
      "clients saw, and writes a page.",
  )
  .argument(
    "[plan...]",
    "plan files (JSON), one after the other; what they may say: test/chaos/plan.ts",
  )
  .option("--faults <names>", "the catalogue's plans of these faults, for example F1,F5")
  .option("--catalogue", "every plan of the catalogue, one after the other", false)
  .option("--list", "say what the catalogue has, and run nothing", false)
  .option("--swarm", "round after round of plans drawn by seeds, on one system", false)
  .option("--seed <number>", "of a plan instead of its own; of a swarm's first round", seedOption)
  .option("--for <time>", "a swarm begins no round after so long", durationOption, 600_000)
  .option("--rounds <number>", "a swarm ends after so many", countOption, Infinity)
  .option("--rate <number>", "of a swarm, commands a second", countOption, 1_000)
  .addOption(new Option("--brokers <number>", "of a swarm").choices(["1", "3"]).default("1"))
  .option("--tally <file>", "of a swarm: a line a round; those that are there are not done again")
  .option("--out <folder>", "where the runs' folders go (default: .foldlog/chaos)")
  .option("--keep", "keep logs and histories also of runs that held", false)
  .addHelpText(
    "after",
    `
Plans that come between processes need Linux and root; the others do not. Ctrl-C heals, checks nothing, stops
everything, and writes what was seen; a second one leaves the stopping to a process of its own.

Exit codes: 0 every promise held, 1 one is violated, or it did not come to rest, 2 wrong usage,
5 it could not be run, 130 interrupted.

Examples:
  npm run chaos -- --faults F1,F3
  npm run chaos -- --swarm --seed 1 --for 2h --tally swarm.jsonl`,
  )
  .action(exitsWith(run));

async function run(files: readonly string[], options: Options): Promise<ExitCode> {
  const ways = [files.length > 0, options.faults !== undefined, options.catalogue, options.swarm];
  const chosen = ways.filter((it) => it).length;
  if (options.list) return list();
  if (chosen !== 1) {
    throw wrongUsage(
      chosen === 0
        ? "What is to be run?"
        : "It is one of them: plans, --faults, --catalogue, --swarm.",
      "All options: npm run chaos -- --help",
    );
  }
  const out = resolve(options.out === undefined ? defaultOut() : givenPath(options.out));
  mkdirSync(out, { recursive: true });
  if (options.swarm) return swarm(options, out);
  return runPlans(chosenPlans(files, options), options, out);
}

function list(): ExitCode {
  for (const { file, plan } of catalogue(null)) print(`${file}  ${plan.about}`);
  return exitCode.ok;
}

function chosenPlans(files: readonly string[], options: Options): readonly PlanFile[] {
  const { faults } = options;
  const seed = options.seed ?? null;
  if (files.length > 0) return files.map((file) => readPlan(givenPath(file), seed));
  const all = catalogue(seed);
  return faults === undefined ? all : plansOf(faults.split(","), all);
}

async function runPlans(
  plans: readonly PlanFile[],
  options: Options,
  out: string,
): Promise<ExitCode> {
  const interrupt = onInterrupt(sayInterrupted);
  const keep = options.keep ? "all" : "what did not hold";
  const results: ChaosResult[] = [];
  for (const { file, plan } of plans) {
    if (interrupt.signal.aborted) break;
    const startedAt = systemClock.now();
    const folder = openRunFolder(out, plan, startedAt);
    const screen = openScreen(startedAt);
    screen.step(`${plan.name}: ${plan.about}`);
    const replay = `npm run chaos -- ${quoted(shown(file))} --seed ${plan.seed}`;
    const start = startProcesses;
    try {
      const asked = { plan, backEnd: "processes", folder, screen, start, replay } as const;
      const result = await runPlan(asked, interrupt.signal);
      results.push(result);
      writeResult(result, folder, keep);
      screen.end();
      show(result, folder);
    } finally {
      screen.end();
    }
  }
  if (plans.length > 1) writeIndex(results, out);
  return interrupt.signal.aborted ? exitCode.interrupted : exitCodeOf(results);
}

async function swarm(options: Options, out: string): Promise<ExitCode> {
  const { seed = 1, for: forMs, rounds, rate, brokers } = options;
  const interrupt = onInterrupt(sayInterrupted);
  const screen = openScreen(systemClock.now());
  const tallyFile =
    options.tally === undefined ? join(out, "swarm.jsonl") : givenPath(options.tally);
  try {
    const done = await runRounds(
      {
        ...{ seed, forMs, rounds, rate, tallyFile, out, screen },
        brokers: brokers === "3" ? 3 : 1,
        keep: options.keep ? "all" : "what did not hold",
      },
      interrupt.signal,
    );
    screen.end();
    const all = readTally(tallyFile);
    print(`This time: ${totalLine(done)}`);
    print(`In ${shown(tallyFile)}: ${totalLine(all)}`);
    for (const { verdict, seed: of, because, folder } of done) {
      if (verdict !== "held") print(`${of}: ${verdict}; ${because.join("; ")}  ${shown(folder)}`);
    }
    return interrupt.signal.aborted ? exitCode.interrupted : exitCodeOf(done);
  } finally {
    screen.end();
  }
}

function sayInterrupted(): void {
  say("Interrupted: everything is healed and stopped. Ctrl-C again leaves that to others.");
}

function seedOption(text: string): number {
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw wrongUsage(`--seed ${text}: a seed is a whole number from 0 to 999999999.`);
}

function countOption(text: string): number {
  if (/^[1-9]\d{0,5}$/.test(text)) return Number(text);
  throw wrongUsage(`${text} is no whole number from 1 to 999999.`);
}

function quoted(text: string): string {
  return /^[\w./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

try {
  await program.parseAsync();
} catch (error) {
  const { text, code } = explained(error);
  say(text);
  process.exitCode = code;
}
