import { availableParallelism } from "node:os";
import { expect, test } from "vitest";
import { randomFrom } from "../../engine/testing/jumping-clock.ts";
import { compileFaults } from "./compiling.ts";
import { judgeAll } from "./judging.ts";
import { mutated, type Mutant } from "./mutant.ts";
import { mutants } from "./mutants.ts";

/** All of them: `npm run mutants`. Here, that they could be run, and a few that are, others each day. */

const seed = Number(process.env["SEED"] ?? Math.floor(Date.now() / 86_400_000));
const few = 6;

test("every mutant has a name of its own, and says which promise it breaks", () => {
  const names = mutants.map(({ name }) => name);
  expect(names.filter((name, i) => names.indexOf(name) !== i)).toEqual([]);
  expect(names.filter((name) => !/^[a-z0-9]+(-[a-z0-9]+)*$/.test(name))).toEqual([]);
  expect(mutants.filter(({ breaks }) => !/^(G\d+: )?[A-Za-z].*\.$/.test(breaks))).toEqual([]);
});

test("a mutant that no longer fits the engine is named, with what to do", () => {
  const [mutant] = mutants as readonly [Mutant, ...Mutant[]];
  expect(() => mutated(mutant, "other code")).toThrow(
    `Mutant ${mutant.name} no longer fits ${mutant.file}: what it replaces is not there.`,
  );
  const twice = mutant.find + mutant.find;
  expect(() => mutated(mutant, twice)).toThrow("it would replace 2 places");
});

test("every mutant fits the engine as it is, and compiles: it is a bug that could have been made", () => {
  expect(compileFaults(mutants)).toEqual([]);
});

test(`mutants that are chosen by the day are found (SEED=${seed})`, async ({ signal }) => {
  const random = randomFrom(seed);
  const quick = mutants.filter(({ killedBy }) => ["simulation", "unit"].includes(killedBy.by));
  const chosen = quick
    .map((mutant) => ({ mutant, at: random() }))
    .sort((a, b) => a.at - b.at)
    .slice(0, few)
    .map(({ mutant }) => mutant);
  const options = { lanes: Math.min(2, availableParallelism()), onLine: () => undefined };
  const judged = await judgeAll(chosen, options, signal);
  const found = judged.map(({ mutant: { name }, verdict }) => [name, verdict]);
  expect(found).toEqual(chosen.map(({ name }) => [name, "killed"]));
});
