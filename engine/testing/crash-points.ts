import { aggregatesOf, type Application } from "../application.ts";
import type { Codec } from "../codec.ts";
import type { Message } from "../decider.ts";
import { issueTimeOf } from "../message.ts";
import { commandTypeOf } from "../sending/command-record.ts";
import { outgoingOf } from "../sending/send-commands.ts";
import type { Worker } from "../worker.ts";
import { Finding, mustEqual } from "./crash-points-finding.ts";
import { type Death, type Disk, type Run, runOnce, type Subject } from "./crash-points-run.ts";
import { type Watched, watchedDecider, watchedProjection } from "./crash-points-watch.ts";
import { randomFrom } from "./jumping-clock.ts";
import { codecFor, type Loop, loopsOf } from "./memory-application-loops.ts";

/** Kills an application everywhere, and holds what becomes of it against a run in which nothing happened. */

/** Which points are tried; all of them where nothing is said. */
export interface ExploreOptions {
  /** Just this one, as a failure names it. */
  readonly point?: number;
  /** How many at most, evenly spread and else chosen by `seed`; 500 where nothing is said. */
  readonly atMost?: number;
  readonly seed?: number;
}

/** What an exploration has gone through. */
export interface CrashReport {
  /** How many points there are at which a process could die. */
  readonly points: number;
  /** How often the commands were run: once undisturbed, and once for each point that was tried. */
  readonly runs: number;
  readonly commands: number;
  readonly events: number;
  /** What each point is, the first one being point 1. */
  readonly places: readonly string[];
}

const defaultMost = 500;

/**
 * Runs an application's own workers in memory over `commands`, kills their process at every point at which it acts
 * on something (before and after each request to the log, each commit of a view, each write of the local store),
 * starts another one, and demands that nobody can tell: the same events and answers as in a run without a death,
 * versions without a gap, every view equal to a rebuild from the log, and a second delivery of every command
 * without any effect.
 *
 *     test("survives a crash anywhere", () => exploreCrashes({ workers }, commands));
 *
 * The successor finds the local store of the dead process, none, or an older one, by turns. On the way it holds
 * what authors can get wrong: `decide` and `evolve` that change what they are given, throw, or give something else
 * the second time; events and states that come back from the log as something else; views that depend on how
 * events come in batches, or that a rebuild would fill otherwise.
 *
 * Commands are as `MemoryApplication.send` takes them, and are sent one after the other. Time is the run's own. The
 * same application, commands and seed have the same points.
 * @throws Error that says what differs, at which point, and how to run just that one again
 */
export async function exploreCrashes(
  application: Application,
  commands: readonly Message[],
  options: ExploreOptions = {},
): Promise<CrashReport> {
  const { seed = 1, atMost = defaultMost } = options;
  const subject = await subjectOf(application, commands, seed);
  const calm = await orExplained(runOnce(subject, null), () => [
    "No process was killed: it is so without a crash, too.",
  ]);
  const { places } = calm;
  const points = chosen(places.length, { ...options, atMost, seed });
  for (const point of points) {
    const death: Death = { point, disk: diskAfter(point) };
    await orExplained(survive(subject, calm, death), () => [
      `The process was killed at point ${point} of ${places.length}: ${places[point - 1] ?? ""}.`,
      `The next one found ${death.disk}.`,
      `Only this again: exploreCrashes(application, commands, ${again(point, seed)})`,
    ]);
  }
  return {
    points: places.length,
    runs: points.length + 1,
    commands: commands.length,
    events: Object.keys(calm.outcome.events).length,
    places,
  };
}

async function survive(subject: Subject, calm: Run, death: Death): Promise<void> {
  const { places, outcome } = await runOnce(subject, death);
  const [expected, found] = [calm.places[death.point - 1], places[death.point - 1]];
  mustEqual("The process does not do the same in each run", expected, found, [
    "Something changes from run to run: time, chance, or what is kept outside of the state.",
  ]);
  const others = "are not those of the run without a crash";
  mustEqual(`The events ${others}`, calm.outcome.events, outcome.events);
  mustEqual(`The answers ${others}`, calm.outcome.answers, outcome.answers);
}

const disks: readonly [Disk, Disk, Disk] = [
  "its local store",
  "no local store",
  "an older local store",
];

/** By turns. */
function diskAfter(point: number): Disk {
  return disks[point % disks.length] ?? disks[0];
}

function again(point: number, seed: number): string {
  return seed === 1 ? `{ point: ${point} }` : `{ point: ${point}, seed: ${seed} }`;
}

/** The points to try, in ascending order. */
function chosen(
  all: number,
  { point, atMost, seed }: ExploreOptions & { atMost: number; seed: number },
) {
  if (point !== undefined) {
    if (Number.isInteger(point) && point >= 1 && point <= all) return [point];
    throw new Error(`There is no point ${point}: these commands have the points 1 to ${all}.`);
  }
  if (all <= atMost) return Array.from({ length: all }, (_, i) => i + 1);
  const random = randomFrom(seed);
  console.log(
    `exploreCrashes tries ${atMost} of ${all} points, evenly spread; ` +
      `{ seed: ${seed + 1} } takes others, { atMost: ${all} } takes all.`,
  );
  const bound = (i: number) => Math.floor((i * all) / atMost);
  return Array.from({ length: atMost }, (_, i) => {
    return 1 + bound(i) + Math.floor(random() * (bound(i + 1) - bound(i)));
  });
}

/** What was found, as an error that says all of it. */
async function orExplained<T>(run: Promise<T>, where: () => readonly string[]): Promise<T> {
  try {
    return await run;
  } catch (error) {
    if (!(error instanceof Finding)) throw error;
    const lines = [`${error.message}.`, ...error.details.map((line) => `  ${line}`), ...where()];
    throw new Error(lines.join("\n"), { cause: error.cause });
  }
}

async function subjectOf(
  application: Application,
  commands: readonly Message[],
  seed: number,
): Promise<Subject> {
  if (commands.length === 0) throw new Error("There are no commands, and so nothing to explore.");
  const codec = await codecFor(application);
  const findings: Finding[] = [];
  const watched = watchedApplication(application, {
    codec,
    onFinding: (finding) => findings.push(finding),
  });
  const made = commands.map((command) => outgoing(codec, application, command));
  const partitions = new Set(
    made.flatMap(({ topics: { commands: sent, events, replies }, record: { partition } }) =>
      [sent, events, replies].map(({ name }) => `${name}/${partition}`),
    ),
  );
  return {
    application: watched,
    codec,
    commands: made,
    loops: loopsOf(watched).filter((loop) => partitions.has(inputOf(loop))),
    startsAt: Math.max(...made.map(({ issueTime }) => issueTime), defaultStart),
    seed,
    finding: () => findings[0] ?? null,
  };
}

const defaultStart = Date.UTC(2020, 0, 1);

function inputOf(loop: Loop): string {
  if (loop.kind === "commands") return `${loop.worker.topics.commands.name}/${loop.partition}`;
  return `${loop.of.topic}/${loop.of.partition}`;
}

/** @throws Error with every fault where it cannot be a command */
function outgoing(codec: Codec, application: Application, command: Message) {
  const aggregates = aggregatesOf(application);
  const made = outgoingOf(codec, aggregates, command);
  const topics = commandTypeOf(aggregates, command.type)?.topics;
  if ("problems" in made || topics === undefined) {
    const problems = "problems" in made ? made.problems.join("; ") : "it has no topic";
    throw new Error(`${command.type} cannot be sent: ${problems}`);
  }
  const { issuedAt } = command.data as { readonly issuedAt?: unknown };
  const said = typeof issuedAt === "number" ? issuedAt : null;
  return { ...made, topics, issueTime: issueTimeOf(made.commandId, said) ?? 0 };
}

function watchedApplication(
  application: Application,
  watched: Pick<Watched, "codec" | "onFinding">,
): Application {
  const workers = Object.entries(application.workers).map(([name, worker]): [string, Worker] => {
    switch (worker.kind) {
      case "command-processor": {
        const { topics } = worker;
        const decider = watchedDecider(worker.decider, { ...watched, topics });
        return [name, { ...worker, decider }];
      }
      case "projector":
        return [name, { ...worker, projection: watchedProjection(worker.projection) }];
      case "gateway":
        return [name, worker];
    }
  });
  return { ...application, workers: Object.fromEntries(workers) };
}
