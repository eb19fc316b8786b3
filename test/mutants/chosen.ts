import { writeFileSync } from "node:fs";
import type { Mutant } from "./mutant.ts";
import { mutants } from "./mutants.ts";

/** What `killing.ts` tells the processes that it starts by `node:child_process`, by their environment. */

/** The name of the mutant. */
export const mutantVariable = "MUTANT";
/** A file to be written as soon as the mutant's file is loaded. */
export const noteVariable = "MUTANT_NOTE";

/**
 * The mutant that this process is to run with, or `null`.
 * @throws Error where there is none of that name
 */
export function chosenMutant(): Mutant | null {
  const name = process.env[mutantVariable];
  if (name === undefined) return null;
  const mutant = mutants.find((it) => it.name === name);
  if (mutant === undefined) throw new Error(`There is no mutant "${name}"; see test/mutants/.`);
  return mutant;
}

/** A killer that never loads the mutated file proves nothing. */
export function noteUse(): void {
  const file = process.env[noteVariable];
  if (file !== undefined) writeFileSync(file, "");
}
