import { join } from "node:path";
import { defineConfig } from "vitest/config";
import base from "../../vitest.config.ts";
import { chosenMutant, noteUse } from "./chosen.ts";
import { mutated } from "./mutant.ts";

/** The tests as they are, over an engine with a mutant in it: what Vite loads does not pass by Node's hooks. */

const root = join(import.meta.dirname, "../..");
const mutant = chosenMutant();

const plugins =
  mutant === null
    ? []
    : [
        {
          name: "mutant",
          enforce: "pre" as const,
          transform(code: string, id: string) {
            if (id !== join(root, mutant.file)) return null;
            noteUse();
            return { code: mutated(mutant, code), map: null };
          },
        },
      ];

const { projects = [], ...test } = base.test ?? {};
export default defineConfig({
  root,
  test: {
    ...test,
    projects: projects.map((project) =>
      typeof project === "object" && !(project instanceof Promise)
        ? // A cache on disk knows a file by what it was before a plugin changed it.
          { ...project, plugins, test: { ...project.test, fsModuleCache: false } }
        : project,
    ),
  },
});
