/**
 * `npm run chaos:compose`: the bank of docker-compose.yml with three brokers, everything in it killed, paused,
 * cut off and restarted under load, and then checked. Needs Docker and nothing else.
 */
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { join, resolve } from "node:path";
import { Command } from "commander";
import { systemClock } from "../../../engine/clock.ts";
import { messageOf } from "../../../engine/errors.ts";
import { givenPath } from "../../../ops/verbs/given-path.ts";
import { onInterrupt } from "../../../ops/verbs/interrupt.ts";
import {
  CliError,
  type ExitCode,
  exitCode,
  exitsWith,
  explained,
  wrongUsage,
} from "../../../ops/verbs/outcome.ts";
import { say } from "../../../ops/verbs/output.ts";
import { runName, whyNoContainers } from "../../containers/docker.ts";
import { defaultOut, exitCodeOf, show, writeResult } from "../main-output.ts";
import { openScreen } from "../main-screen.ts";
import { parsePlan, type Plan } from "../plan.ts";
import { reportName } from "../report-index.ts";
import type { ChaosResult } from "../result.ts";
import { runPlan } from "../run.ts";
import type { StartSystem } from "../system.ts";
import { containersLog } from "./project.ts";
import { requirePossible, startProject } from "./system.ts";
import { tour } from "./tour.ts";

interface Options {
  readonly seed?: string;
  readonly out?: string;
  readonly keep: boolean;
}

const program = new Command("npm run chaos:compose --")
  .description(
    "Brings up the bank of docker-compose.yml with three brokers, as a project of its own on free ports; kills, " +
      "pauses, cuts off and restarts each service in turn under load; waits until all is at rest; checks every " +
      "promise on the log, the views and what clients saw; writes a page; and removes all of it again.",
  )
  .argument("[plan]", "a plan file (JSON) instead of the tour; its `on` names compose")
  .option("--seed <number>", "another seed than the plan's: other commands, at other moments")
  .option("--out <folder>", "where the run's folder goes (default: .foldlog/chaos)")
  .option(
    "--keep",
    "leave everything up at the end, and say how to look at it and remove it",
    false,
  )
  .addHelpText(
    "after",
    `
Ctrl-C heals, checks nothing, and removes everything; a second one leaves that to a process of its own.

Exit codes: 0 every promise held, 1 one is violated, or it did not come to rest, 2 wrong usage,
5 it could not be run (no Docker engine, no image, not enough memory), 130 interrupted.

Examples:
  npm run chaos:compose
  npm run chaos:compose -- test/chaos/catalogue/broker-killed.json --seed 7 --keep`,
  )
  .action(exitsWith(run));

async function run(file: string | undefined, options: Options): Promise<ExitCode> {
  const plan = planOf(file, options);
  const why = await whyNoContainers();
  if (why !== null) {
    throw new CliError(exitCode.unavailable, `It cannot be run: ${why}.`, {
      next: "Start a Docker engine with `docker compose` (docker info must succeed), then run this again.",
    });
  }
  const startedAt = systemClock.now();
  const out = options.out === undefined ? defaultOut() : givenPath(options.out);
  const folder = resolve(out, reportName({ plan, backEnd: "compose", startedAt }));
  mkdirSync(folder, { recursive: true });

  const interrupt = onInterrupt(() => {
    say("Interrupted: everything is healed and removed. Ctrl-C again leaves that to others.");
  });
  const replay = ["npm run chaos:compose --", ...(file === undefined ? [] : [quoted(file)])];
  const screen = openScreen(startedAt);
  const start: StartSystem = (its, signal) => startProject(its, projectFor(options), signal);
  let result: ChaosResult;
  try {
    result = await runPlan(
      {
        ...{ plan, backEnd: "compose", folder, screen, start },
        replay: [...replay, "--seed", String(plan.seed)].join(" "),
      },
      interrupt.signal,
    );
  } finally {
    screen.end();
    interrupt.release();
  }
  writeResult(result, folder, "what did not hold");
  if (result.verdict === "held") rmSync(join(folder, containersLog), { force: true });
  show(result, folder);
  return interrupt.signal.aborted ? exitCode.interrupted : exitCodeOf([result]);
}

/** @throws CliError where it cannot be read, is no plan, or is not for containers */
function planOf(file: string | undefined, { seed }: Options): Plan {
  const ownSeed = seed === undefined ? {} : { seed: seedOf(seed) };
  if (file === undefined) return { ...tour(), ...ownSeed };
  let plan: Plan;
  try {
    plan = parsePlan(JSON.parse(readFileSync(givenPath(file), "utf8")));
    requirePossible(plan);
  } catch (error) {
    throw wrongUsage(`${file}: ${messageOf(error)}`, "What a plan may say: test/chaos/plan.ts");
  }
  return { ...plan, ...ownSeed };
}

function seedOf(text: string): number {
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw wrongUsage(`--seed ${text}: a seed is a whole number from 0 to 999999999.`);
}

/** What is kept has a name by which no later run takes it for something left behind. */
function projectFor({ keep }: Options) {
  return keep
    ? ({ name: `foldlog-chaos-${process.pid}`, afterwards: "keep" } as const)
    : ({ name: `foldlog-test-${runName}`, afterwards: "remove" } as const);
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
