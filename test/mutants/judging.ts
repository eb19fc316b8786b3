import { type Killing, kill, nameOf } from "./killing.ts";
import type { Killer, Mutant } from "./mutant.ts";

/** Which mutants the tests find. */

export interface Judged {
  readonly mutant: Mutant;
  /**
   * `unused`: what is to kill it never loads its file. `broken`: it failed, and no test says so. `unsound`: what is to
   * kill it fails without it.
   */
  readonly verdict: "killed" | "survived" | "unused" | "broken" | "unsound";
  /** The test or the seed; of a hang "by time-out"; of what is broken the last that was printed. */
  readonly finding: string;
  readonly seconds: number;
}

export interface JudgingOptions {
  /** How many run at once. */
  readonly lanes: number;
  readonly onLine: (line: string) => void;
}

/** The unmutated code gets this long, in milliseconds. */
const soundWithinMs = 240_000;
/** A mutant may be slower by so much before it counts as hanging. */
const slack = { factor: 4, ms: 45_000 };

/**
 * Judges each mutant by its killer. A killer must pass on the engine as it is, before its mutants and after them; of
 * the simulation, which is the same each time, the seed that fails must.
 */
export async function judgeAll(
  mutants: readonly Mutant[],
  { lanes, onLine }: JudgingOptions,
  signal: AbortSignal,
): Promise<readonly Judged[]> {
  const suites = mutants.map(({ killedBy }) => killedBy).filter(({ by }) => by !== "simulation");
  const killers = new Map(suites.map((killer) => [nameOf(killer), killer]));
  const soundMs = new Map<string, number>();
  const unsound = new Map<string, string>();
  const passAll = async (when: string) =>
    inLanes([...killers], { lanes, killerOf: ([, killer]) => killer }, async ([name, killer]) => {
      if (unsound.has(name)) return;
      const { end, finding, said, tookMs } = await kill(
        killer,
        { mutant: null, deadlineMs: soundWithinMs },
        signal,
      );
      const what = end === "late" ? `did not end in ${soundWithinMs} ms` : (finding ?? said);
      if (end !== "passed") unsound.set(name, `${name} fails ${when} the mutants: ${what}`);
      soundMs.set(name, tookMs);
      const passes = unsound.get(name) ?? `${name} passes ${when} the mutants`;
      onLine(`${passes}, ${(tookMs / 1000).toFixed(1)} s`);
    });

  await passAll("before");
  const judged = new Map<Mutant, Judged>();
  await inLanes(mutants, { lanes, killerOf: ({ killedBy }) => killedBy }, async (mutant) => {
    const name = nameOf(mutant.killedBy);
    if (unsound.has(name)) return;
    const deadlineMs = Math.ceil((soundMs.get(name) ?? 0) * slack.factor + slack.ms);
    const { killedBy } = mutant;
    const it =
      killedBy.by === "simulation"
        ? await judgeBySeeds(mutant, killedBy, signal)
        : judge(mutant, await kill(killedBy, { mutant, deadlineMs }, signal));
    judged.set(mutant, it);
    const so = `${judged.size}/${mutants.length}`;
    onLine(`${so} ${it.verdict} ${mutant.name}, ${it.seconds.toFixed(1)} s: ${it.finding}`);
  });
  await passAll("after"); // A test that fails now and then proves nothing.
  return mutants.flatMap((mutant) => {
    const finding = unsound.get(nameOf(mutant.killedBy));
    const it = judged.get(mutant) ?? { mutant, verdict: "unsound", finding: "", seconds: 0 };
    return finding === undefined ? it : { ...it, verdict: "unsound", finding };
  });
}

type Simulation = Extract<Killer, { readonly by: "simulation" }>;

/** The seed that fails must pass on the engine as it is: then it is the mutant that fails. */
async function judgeBySeeds(
  mutant: Mutant,
  killer: Simulation,
  signal: AbortSignal,
): Promise<Judged> {
  const killing = await kill(killer, { mutant, deadlineMs: soundWithinMs }, signal);
  const it = judge(mutant, killing);
  // Whoever waits for ever in simulated time is found by it, and not by ours.
  if (killing.end === "late") return { ...it, verdict: "broken" };
  const seed = Number(/^SEED=(\d+)/.exec(killing.finding ?? "")?.[1]);
  if (killing.end === "passed" || Number.isNaN(seed)) return it;
  const alone = { by: "simulation", from: seed, seeds: 1 } as const;
  const sound = await kill(alone, { mutant: null, deadlineMs: soundWithinMs }, signal);
  const finding = `SEED=${seed} fails without it, too`;
  return sound.end === "passed" ? it : { ...it, verdict: "unsound", finding };
}

/** The kind of test, for a table. */
export function kinds(killer: Killer): string {
  return killer.by === "simulation" ? killer.by : `${killer.by} ${killer.file}`;
}

function judge(mutant: Mutant, killing: Killing): Judged {
  const { end, finding, isUsed, said, tookMs } = killing;
  const verdictOf = (): Pick<Judged, "verdict" | "finding"> => {
    if (!isUsed) return { verdict: "unused", finding: `${nameOf(mutant.killedBy)} never loads it` };
    if (end === "late") return { verdict: "killed", finding: "by time-out" };
    if (end === "passed") return { verdict: "survived", finding: mutant.breaks };
    if (finding === null) return { verdict: "broken", finding: `no test failed, but: ${said}` };
    return { verdict: "killed", finding };
  };
  return { mutant, ...verdictOf(), seconds: tookMs / 1000 };
}

interface Lanes<T> {
  readonly lanes: number;
  readonly killerOf: (one: T) => Killer;
}

/**
 * Does the work on each, so many at once, but of those that bring up a broker only one at a time. After an error,
 * what has begun is finished and nothing more is begun.
 */
async function inLanes<T>(
  all: readonly T[],
  { lanes, killerOf }: Lanes<T>,
  work: (one: T) => Promise<void>,
): Promise<void> {
  const isHeavy = (one: T) => ["contract", "integration"].includes(killerOf(one).by);
  const [heavy, light] = [all.filter(isHeavy), all.filter((one) => !isHeavy(one))];
  const failures: unknown[] = [];
  const lane = async (take: () => T | undefined) => {
    for (let one = take(); one !== undefined && failures.length === 0; one = take()) {
      try {
        await work(one);
      } catch (error) {
        failures.push(error);
      }
    }
  };
  const others = Array.from({ length: lanes - 1 }, () => lane(() => light.shift()));
  await Promise.all([lane(() => heavy.shift() ?? light.shift()), ...others]);
  if (failures.length > 0) throw failures[0];
}
