import { join } from "node:path";
import { format, resolveConfig } from "prettier";
import type { Upcasts } from "../engine/avro/upcast.ts";
import {
  generateFromCommandLine,
  generateSchemas,
  type SchemaProject,
} from "../engine/schemas/generate.ts";
import { upcasts } from "./upcasts.ts";

/** `npm run schemas`: the TypeScript of the bank's schemas, and of the engine's own, which lie beside them. */

/** What is generated from the schemas below `root`/schemas; see `generateSchemas`. */
export function generate(root: string, retiring: Upcasts = upcasts) {
  return generateSchemas(projectAt(root, retiring));
}

function projectAt(root: string, retiring: Upcasts): SchemaProject {
  const folder = join(root, "schemas");
  return {
    folder,
    command: "npm run schemas",
    modules: [
      {
        file: join(folder, "generated.ts"),
        records: "application",
        importsFrom: "../engine/topic.ts",
      },
      {
        file: join(root, "engine", "generated.ts"),
        records: "engine",
        importsFrom: "./topic.ts",
      },
    ],
    client: { file: join(folder, "client.ts"), importsFrom: "../engine/client/index.ts" },
    upcasts: retiring,
    format: async (text, file) => format(text, { ...(await resolveConfig(file)), filepath: file }),
  };
}

if (import.meta.main) {
  const root = join(import.meta.dirname, "..");
  process.exitCode = await generateFromCommandLine(projectAt(root, upcasts));
}
