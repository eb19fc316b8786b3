import { generateFromCommandLine, type SchemaProject } from "foldlog";

/** `node schemas/generate.ts` writes `generated.ts` and `published.json` from the `.avsc` files. */
export const schemas: SchemaProject = {
  folder: import.meta.dirname,
  command: "node schemas/generate.ts",
};

if (import.meta.main) process.exitCode = await generateFromCommandLine(schemas);
