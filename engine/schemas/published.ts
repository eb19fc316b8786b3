import { createHash } from "node:crypto";
import { fingerprintOf } from "../avro/avro-schema.ts";
import type { Source } from "./sources.ts";

/** What `published.json` remembers of a version, so that a published file is held still. */
export interface Publication {
  /** Of the parsing canonical form: which bytes it writes and reads. */
  readonly fingerprint: string;
  /** Of everything in the file but its docs: defaults, aliases and attributes too. */
  readonly content: string;
}

/** By record and version: `bank.account.FundsDeposited.v1`. */
export type Published = Readonly<Record<string, Publication>>;

export function publicationsOf(sources: readonly Source[]): Published {
  const entries = sources.map((source) => [
    labelOf(source),
    { fingerprint: fingerprintOf(source.schema), content: contentHash(source.json) },
  ]);
  return Object.fromEntries(entries) as Published;
}

/** What has changed, or is gone, of what was published. */
export function publishedProblems(
  sources: readonly Source[],
  published: Published,
): readonly string[] {
  const now = publicationsOf(sources);
  const fileOf = new Map(sources.map((source) => [labelOf(source), source.file]));
  return Object.entries(published).flatMap(([label, before]) => {
    const after = now[label];
    if (after === undefined) {
      return [`${label} was published and its file is gone: events written with it are still read`];
    }
    if (after.fingerprint === before.fingerprint && after.content === before.content) return [];
    return [
      `${fileOf.get(label) ?? label}: a published version must not change; undo the change and write` +
        ` the next version (only where no registry ever saw it: take its entry out of published.json)`,
    ];
  });
}

function labelOf({ schema, version }: Source): string {
  return `${schema.name}.v${version}`;
}

/** The docs may be improved at any time; anything else in a published file may not change. */
function contentHash(json: unknown): string {
  return createHash("sha256")
    .update(JSON.stringify(undocumented(json)))
    .digest("hex");
}

function undocumented(json: unknown): unknown {
  if (Array.isArray(json)) return json.map(undocumented);
  if (typeof json !== "object" || json === null) return json;
  const entries = Object.entries(json)
    .filter(([key]) => key !== "doc")
    .sort(([a], [b]) => (a < b ? -1 : 1));
  return entries.map(([key, value]) => [key, undocumented(value)]);
}
