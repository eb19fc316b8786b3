import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { format, resolveConfig } from "prettier";
import { shortName } from "../engine/avro/avro-schema.ts";
import type { Upcasts } from "../engine/avro/upcast.ts";
import { messageOf } from "../engine/errors.ts";
import { incompatibilities } from "./compatibility.ts";
import { publicationsOf, type Published, publishedProblems } from "./published.ts";
import { problemsOf } from "./rules.ts";
import { byFullName, engineFolder, readSources, type Source } from "./sources.ts";
import { typescriptOf } from "./typescript.ts";
import { upcasts } from "./upcasts.ts";

/** The files that the schemas become: path → text. */
export type Generated = ReadonlyMap<string, string>;

/**
 * Reads the schemas below `root`/schemas, checks them, and makes the files that follow from them. Writes
 * nothing. With any problem there is nothing to write. The records that have an upcast leave the unions.
 */
export async function generate(
  root: string,
  retiring: Upcasts = upcasts,
): Promise<{ readonly problems: readonly string[]; readonly generated: Generated }> {
  const schemas = join(root, "schemas");
  const { sources, problems: unreadable } = readSources(schemas);
  const publishedFile = join(schemas, "published.json");
  const published = readPublished(publishedFile);
  const problems = [
    ...unreadable,
    ...problemsOf(sources),
    ...versionsApart(sources),
    ...publishedProblems(sources, published),
    ...Object.keys(retiring)
      .filter((name) => !sources.some(({ schema }) => schema.name === name))
      .map((name) => `upcasts.ts: there is no record ${name}`),
  ];
  if (problems.length > 0) return { problems, generated: new Map() };

  const bank = sources.filter((source) => source.folder !== engineFolder);
  const engine = sources.filter((source) => source.folder === engineFolder);
  const retired = new Set(Object.keys(retiring));
  try {
    const files: readonly (readonly [string, string])[] = [
      [join(schemas, "generated.ts"), typescriptOf(bank, "../engine/topic.ts", retired)],
      [join(root, "engine", "generated.ts"), typescriptOf(engine, "./topic.ts", retired)],
      [publishedFile, JSON.stringify(sorted(publicationsOf(sources)))],
    ];
    const generated = new Map<string, string>();
    for (const [file, text] of files) {
      const style = await resolveConfig(file);
      generated.set(file, await format(text, { ...style, filepath: file }));
    }
    return { problems, generated };
  } catch (error) {
    return { problems: [messageOf(error)], generated: new Map() };
  }
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

/** The generated files that differ from what is on disk. */
export function staleFiles(generated: Generated): readonly string[] {
  return [...generated]
    .filter(([file, text]) => !existsSync(file) || readFileSync(file, "utf8") !== text)
    .map(([file]) => file);
}

function readPublished(file: string): Published {
  return existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as Published) : {};
}

function sorted(published: Published): Published {
  return Object.fromEntries(Object.entries(published).sort(([a], [b]) => (a < b ? -1 : 1)));
}

const usage = `npm run schemas             write generated.ts and published.json from the .avsc files
npm run schemas -- --check  write nothing; exit 1 where they are stale or a schema is refused
`;

async function main(args: readonly string[]): Promise<number> {
  const unknown = args.find((arg) => arg !== "--check");
  if (unknown !== undefined) {
    process.stderr.write(unknown === "--help" ? usage : `unknown option ${unknown}\n\n${usage}`);
    return unknown === "--help" ? 0 : 2;
  }
  const root = join(import.meta.dirname, "..");
  const { problems, generated } = await generate(root);
  for (const problem of problems) process.stderr.write(`${problem}\n`);
  if (problems.length > 0) return 1;

  const stale = staleFiles(generated);
  const names = stale.map((file) => relative(root, file)).join(", ");
  if (args.includes("--check")) {
    if (stale.length > 0) process.stderr.write(`stale: ${names}; run npm run schemas\n`);
    return stale.length > 0 ? 1 : 0;
  }
  for (const file of stale) writeFileSync(file, generated.get(file) ?? "");
  process.stdout.write(stale.length > 0 ? `written: ${names}\n` : "up to date\n");
  return 0;
}

if (import.meta.main) process.exitCode = await main(process.argv.slice(2));
