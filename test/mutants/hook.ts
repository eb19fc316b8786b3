import { type ModuleSource, registerHooks } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { chosenMutant, noteUse } from "./chosen.ts";
import { mutated } from "./mutant.ts";

/**
 * `node --import …/test/mutants/hook.ts`: a process in which one file of the engine is another. Node strips the types
 * of what this hands on, as it does of any file.
 */

const mutant = chosenMutant();
if (mutant !== null) {
  const file = pathToFileURL(join(import.meta.dirname, "../..", mutant.file)).href;
  registerHooks({
    load(url, context, nextLoad) {
      const loaded = nextLoad(url, context);
      if (url !== file) return loaded;
      noteUse();
      return { ...loaded, source: mutated(mutant, textOf(loaded.source)) };
    },
  });
}

function textOf(source: ModuleSource | undefined): string {
  return typeof source === "string" ? source : new TextDecoder().decode(source);
}
