import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { shortName } from "../avro/avro-schema.ts";
import type { Upcasts } from "../avro/upcast.ts";
import { messageOf } from "../errors.ts";
import { incompatibilities } from "./compatibility.ts";
import { clientTypescriptOf } from "./client-typescript.ts";
import { publicationsOf, type Published, publishedProblems } from "./published.ts";
import { problemsOf } from "./rules.ts";
import { byFullName, engineFolder, readSources, type Source } from "./sources.ts";
import { typescriptOf } from "./typescript.ts";

/** From the `.avsc` files of an application to its TypeScript, and to what is remembered as published. */

/** What to read and what to write. */
export interface SchemaProject {
  /**
   * Below it are the schemas, `<aggregate>/<Record>.v<version>.avsc`, each with the attribute `kind`: command,
   * event, state or reply. `published.json` is kept in it.
   */
  readonly folder: string;
  /** How a person has the files written, for their head and for messages: `node schemas/generate.ts`. */
  readonly command: string;
  /** `generated.ts` in `folder`, which imports from "foldlog", where left out. */
  readonly modules?: readonly SchemaModule[];
  /** Where the aggregates go as `foldlog/client` knows them, and what they import; nowhere where left out. */
  readonly client?: Pick<SchemaModule, "file" | "importsFrom">;
  /** The records that have an upcast leave the unions, so that no decider and no projection meets them. */
  readonly upcasts?: Upcasts;
  /** Makes a file's text as the project wants it; it is valid and plain where left out. */
  readonly format?: (text: string, file: string) => Promise<string>;
}

/** One TypeScript file to write. */
export interface SchemaModule {
  readonly file: string;
  /** Which records go into it. The engine's own are those in the folder `foldlog`. */
  readonly records: "application" | "engine";
  /** What the type `RecordType` is imported from. */
  readonly importsFrom: string;
}

/** The files that the schemas become: path → text. */
export type Generated = ReadonlyMap<string, string>;

/**
 * Reads the schemas, checks them by the rules of names, versions and compatibility, and makes the files that
 * follow from them. Writes nothing. With any problem, a sentence each, there is nothing to write.
 */
export async function generateSchemas(
  project: SchemaProject,
): Promise<{ readonly problems: readonly string[]; readonly generated: Generated }> {
  const { folder, upcasts = {} } = project;
  const { sources, problems: unreadable } = readSources(folder);
  const publishedFile = join(folder, "published.json");
  const problems = [
    ...unreadable,
    ...problemsOf(sources),
    ...homeless(sources, modulesOf(project)),
    ...versionsApart(sources),
    ...publishedProblems(sources, readPublished(publishedFile)),
    ...Object.keys(upcasts)
      .filter((name) => !sources.some(({ schema }) => schema.name === name))
      .map((name) => `upcasts.ts: there is no record ${name}`),
  ];
  if (problems.length > 0) return { problems, generated: new Map() };

  try {
    const published = `${JSON.stringify(sorted(publicationsOf(sources)), null, 2)}\n`;
    const files = [...textsOf(sources, project), [publishedFile, published] as const];
    const generated = new Map<string, string>();
    for (const [file, text] of files) {
      generated.set(file, (await project.format?.(text, file)) ?? text);
    }
    return { problems, generated };
  } catch (error) {
    return { problems: [messageOf(error)], generated: new Map() };
  }
}

/** The generated files that differ from what is on disk. */
export function staleFiles(generated: Generated): readonly string[] {
  return [...generated]
    .filter(([file, text]) => !existsSync(file) || readFileSync(file, "utf8") !== text)
    .map(([file]) => file);
}

/**
 * The same as a program: writes what is stale, or with `--check` only says so. Resolves to its exit code: 1
 * where a schema breaks a rule or, with `--check`, a file is stale; 2 for wrong usage.
 */
export async function generateFromCommandLine(
  project: SchemaProject,
  args: readonly string[] = process.argv.slice(2),
): Promise<number> {
  const unknown = args.find((arg) => arg !== "--check");
  if (unknown !== undefined) {
    const usage = usageOf(project);
    process.stderr.write(unknown === "--help" ? usage : `unknown option ${unknown}\n\n${usage}`);
    return unknown === "--help" ? 0 : 2;
  }
  const { problems, generated } = await generateSchemas(project);
  for (const problem of problems) process.stderr.write(`${problem}\n`);
  if (problems.length > 0) return 1;

  const stale = staleFiles(generated);
  const names = stale.map((file) => relative(dirname(project.folder), file)).join(", ");
  if (args.includes("--check")) {
    if (stale.length > 0) process.stderr.write(`stale: ${names}; run ${project.command}\n`);
    return stale.length > 0 ? 1 : 0;
  }
  for (const file of stale) writeFileSync(file, generated.get(file) ?? "");
  process.stdout.write(stale.length > 0 ? `written: ${names}\n` : "up to date\n");
  return 0;
}

function usageOf({ command }: SchemaProject): string {
  const check = command.startsWith("npm run ") ? `${command} -- --check` : `${command} --check`;
  const width = check.length + 2;
  return (
    `${command.padEnd(width)}write generated.ts and published.json from the .avsc files\n` +
    `${check.padEnd(width)}write nothing; exit 1 where they are stale or a schema is refused\n`
  );
}

function modulesOf({ folder, modules }: SchemaProject): readonly SchemaModule[] {
  const own = {
    file: join(folder, "generated.ts"),
    records: "application",
    importsFrom: "foldlog",
  };
  return modules ?? [own as SchemaModule];
}

function textsOf(
  sources: readonly Source[],
  project: SchemaProject,
): readonly (readonly [file: string, text: string])[] {
  const { command, upcasts = {} } = project;
  const retired = new Set(Object.keys(upcasts));
  const modules = modulesOf(project).map(({ file, records, importsFrom }) => {
    const own = sources.filter((it) => ownerOf(it) === records);
    return [file, typescriptOf(own, { command, importsFrom, retired })] as const;
  });
  const { client } = project;
  if (client === undefined) return modules;
  const own = sources.filter((it) => ownerOf(it) === "application");
  const text = clientTypescriptOf(own, { command, importsFrom: client.importsFrom, retired });
  return [...modules, [client.file, text]];
}

function ownerOf({ folder }: Source): SchemaModule["records"] {
  return folder === engineFolder ? "engine" : "application";
}

/** The records that would go into no module: those that an application calls by the engine's name. */
function homeless(sources: readonly Source[], modules: readonly SchemaModule[]): readonly string[] {
  return sources
    .filter((source) => !modules.some(({ records }) => records === ownerOf(source)))
    .map(({ file }) => `${file}: the folder ${engineFolder} is for the engine's own records`);
}

/**
 * Each version of a command, an event or a reply must read, and be read by, every other. A state of the
 * application is private and folded anew where its fold changes: nothing is promised for it.
 */
function versionsApart(sources: readonly Source[]): readonly string[] {
  const problems: string[] = [];
  for (const versions of byFullName(sources).values()) {
    for (const [i, newer] of versions.entries()) {
      if (newer.kind === "state" && newer.folder !== engineFolder) continue;
      for (const older of versions.slice(0, i)) {
        for (const problem of incompatibilities(older.schema, newer.schema)) {
          const record = shortName(newer.schema.name);
          const pair = `v${newer.version} of ${record} does not go with v${older.version}`;
          problems.push(`${newer.file}: ${pair}: ${problem}`);
        }
      }
    }
  }
  return problems;
}

function readPublished(file: string): Published {
  return existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as Published) : {};
}

function sorted(published: Published): Published {
  return Object.fromEntries(Object.entries(published).sort(([a], [b]) => (a < b ? -1 : 1)));
}
