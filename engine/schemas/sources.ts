import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parseSchema, type RecordSchema, shortName } from "../avro/avro-schema.ts";
import { messageOf } from "../errors.ts";

export const kinds = ["command", "event", "state", "reply"] as const;

export type Kind = (typeof kinds)[number];

/** One `.avsc` file: one version of one record. */
export interface Source {
  /** Relative to `schemas/`, with `/`: `account/DepositFunds.v1.avsc`. */
  readonly file: string;
  readonly folder: string;
  readonly version: number;
  readonly kind: Kind;
  /** As the file has it; this is what is registered. */
  readonly json: Readonly<Record<string, unknown>>;
  readonly schema: RecordSchema;
}

/** The folder whose records belong to the engine: generated into `engine/generated.ts`. */
export const engineFolder = "foldlog";

const filePattern = /^([A-Z][A-Za-z0-9]*)\.v([1-9][0-9]*)\.avsc$/;
const folderPattern = /^[a-z][A-Za-z0-9]*$/;

/**
 * Every `.avsc` file below `directory`, sorted by folder, record and version, and what is wrong with those
 * that could not be taken.
 */
export function readSources(directory: string): {
  sources: readonly Source[];
  problems: readonly string[];
} {
  const sources: Source[] = [];
  const problems: string[] = [];
  for (const file of avscFiles(directory)) {
    const read = readSource(directory, file);
    if (typeof read === "string") problems.push(`${file}: ${read}`);
    else sources.push(read);
  }
  sources.sort((a, b) => compare(a.folder, b.folder) || byRecord(a, b) || a.version - b.version);
  return { sources, problems };
}

/** The versions of each record, oldest first, by its full name. */
export function byFullName(sources: readonly Source[]): ReadonlyMap<string, readonly Source[]> {
  return groupedBy(sources, (source) => source.schema.name);
}

/** The versions of every record of a folder, by its name. */
export function byFolder(sources: readonly Source[]): ReadonlyMap<string, readonly Source[]> {
  return groupedBy(sources, (source) => source.folder);
}

function groupedBy(
  sources: readonly Source[],
  key: (source: Source) => string,
): ReadonlyMap<string, readonly Source[]> {
  const groups = new Map<string, Source[]>();
  for (const source of sources) {
    const group = groups.get(key(source)) ?? [];
    groups.set(key(source), group);
    group.push(source);
  }
  return groups;
}

function avscFiles(directory: string): readonly string[] {
  return readdirSync(directory, { recursive: true, encoding: "utf8" })
    .map((file) => file.replaceAll("\\", "/"))
    .filter((file) => file.endsWith(".avsc"));
}

function readSource(directory: string, file: string): Source | string {
  const [folder = "", name, ...deeper] = file.split("/");
  const match = filePattern.exec(name ?? "");
  if (deeper.length > 0 || !match || !folderPattern.test(folder)) {
    return "must be <folder>/<Record>.v<version>.avsc, the folder in camelCase, the record in PascalCase";
  }
  const [, record, version] = match;
  try {
    const json: unknown = JSON.parse(readFileSync(join(directory, file), "utf8"));
    const schema = parseSchema(json);
    if (schema.kind !== "record") return `is a ${schema.kind}; only records are messages`;
    if (shortName(schema.name) !== record) return `holds the record ${shortName(schema.name)}`;
    const attributes = json as Readonly<Record<string, unknown>>;
    const kind = kinds.find((known) => known === attributes["kind"]);
    if (kind === undefined) return `needs the attribute "kind": one of ${kinds.join(", ")}`;
    return { file, folder, version: Number(version), kind, json: attributes, schema };
  } catch (error) {
    return messageOf(error);
  }
}

function byRecord(a: Source, b: Source): number {
  return kinds.indexOf(a.kind) - kinds.indexOf(b.kind) || compare(a.schema.name, b.schema.name);
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
