/** A bug that somebody could have made, and what is to find it. */
export interface Mutant {
  /** `kebab-case`, as it is asked for: `npm run mutants -- dedupe-off`. */
  readonly name: string;
  /** The guarantee of docs/guarantees.md that it breaks, and how, in a sentence. */
  readonly breaks: string;
  /** Of the engine, from the repository's root. */
  readonly file: `engine/${string}.ts`;
  /** The exact text that becomes `replace`. It stands in the file exactly once. */
  readonly find: string;
  readonly replace: string;
  readonly killedBy: Killer;
}

/** What fails on the mutant, and passes without it. */
export type Killer =
  /** Seeds of `test/simulation/main.ts`; one that fails without the mutant too does not count. */
  | { readonly by: "simulation"; readonly from: number; readonly seeds: number }
  /** The contract that the memory log and the broker share: a file of the project `integration`. */
  | { readonly by: "contract"; readonly file: TestFile }
  /** A file of the project `unit`. */
  | { readonly by: "unit"; readonly file: TestFile }
  /** A file of the project `integration`, with the broker, the registry or Postgres beside it. */
  | { readonly by: "integration"; readonly file: TestFile };

export type TestFile = `${"engine" | "test"}/${string}.test.ts`;

/**
 * The source with the mutant in it.
 * @throws Error where the text that it replaces is not there, or is there more than once
 */
export function mutated({ name, file, find, replace }: Mutant, source: string): string {
  const times = source.split(find).length - 1;
  if (times === 1) return source.replace(find, () => replace);
  const found = times === 0 ? "what it replaces is not there" : `it would replace ${times} places`;
  throw new Error(
    `Mutant ${name} no longer fits ${file}: ${found}. The code has changed: write the same bug into the ` +
      "code as it is now, in test/mutants/.",
  );
}
