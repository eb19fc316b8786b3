import type { Mutant } from "./mutant.ts";
import { mutantsOfAdapters } from "./of-adapters.ts";
import { mutantsOfCommands } from "./of-commands.ts";
import { mutantsOfRestores } from "./of-restores.ts";
import { mutantsOfState } from "./of-state.ts";
import { mutantsOfViews } from "./of-views.ts";

/**
 * Bugs that the tests must find. A mutant that survives is a hole in them: it is closed by a test, never by taking the
 * mutant out, unless what it does turns out to break nothing.
 */
export const mutants: readonly Mutant[] = [
  ...mutantsOfCommands,
  ...mutantsOfState,
  ...mutantsOfRestores,
  ...mutantsOfViews,
  ...mutantsOfAdapters,
];
