import { type Killing, kill, nameOf } from "./killing.ts";
import type { Killer, Mutant } from "./mutant.ts";

/** Which mutants the tests find. */

export interface Judged {
  readonly mutant: Mutant;
  /** `unused`: what is to kill it never loads its file. `broken`: it failed, and no test says so. */
  readonly verdict: "killed" | "survived" | "unused" | "broken";
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
const slack = { factor: 4, ms: 15_000 };

/**
 * Judges each mutant by its killer. The killers pass on the engine as it is before and after that.
 * @throws Error where one of them does not
 */
export async function judgeAll(
  mutants: readonly Mutant[],
  { lanes, onLine }: JudgingOptions,
  signal: AbortSignal,
): Promise<readonly Judged[]> {
  const killers = [
    ...new Map(mutants.map(({ killedBy }) => [nameOf(killedBy), killedBy])).values(),
  ];
  const tookMs = new Map<string, number>();
  const passAll = async (when: string) =>
    inLanes(killers, { lanes, killerOf: (killer) => killer }, async (killer) => {
      const name = nameOf(killer);
      const sound = await kill(killer, { mutant: null, deadlineMs: soundWithinMs }, signal);
      if (sound.end !== "passed") throw unsound(name, when, sound);
      onLine(`${name} passes in ${seconds(sound)} s on the engine as it is`);
      tookMs.set(name, sound.tookMs);
    });
  await passAll("before the mutants");

  const judged = new Map<Mutant, Judged>();
  await inLanes(mutants, { lanes, killerOf: ({ killedBy }) => killedBy }, async (mutant) => {
    const soundMs = tookMs.get(nameOf(mutant.killedBy)) ?? 0;
    const deadlineMs = Math.ceil(soundMs * slack.factor + slack.ms);
    const it = judge(mutant, await kill(mutant.killedBy, { mutant, deadlineMs }, signal));
    judged.set(mutant, it);
    const so = `${judged.size}/${mutants.length}`;
    onLine(`${so} ${it.verdict} ${mutant.name}, ${it.seconds.toFixed(1)} s: ${it.finding}`);
  });
  await passAll("after the mutants"); // A test that fails now and then proves nothing.
  return mutants.flatMap((mutant) => judged.get(mutant) ?? []);
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

function unsound(name: string, when: string, { end, finding, said }: Killing): Error {
  const what = end === "late" ? `did not end within ${soundWithinMs} ms` : (finding ?? said);
  return new Error(
    `${name} does not pass on the engine as it is, ${when}, so it says nothing of them: ${what}`,
  );
}

function seconds({ tookMs }: Killing): string {
  return (tookMs / 1000).toFixed(1);
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
