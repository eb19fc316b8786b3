import { readSchemaIds } from "../../engine/avro/schema-ids.ts";
import type { Registry } from "../../engine/avro/registry.ts";
import { FatalError } from "../../engine/errors.ts";
import { checkAll, type CheckRow } from "../../engine/schemas/register.ts";
import { subjectOf, type Topic } from "../../engine/topic.ts";
import { type Finding, good, mends, orGood, warning, wrong } from "./doctor-finding.ts";
import { plural } from "./output.ts";

/** The schema registry against the repository, and against the file of ids. */

export interface SchemaFacts {
  readonly rows: readonly CheckRow[];
  readonly ids: IdFacts;
}

export interface IdFacts {
  /** `null` where the deployment keeps none. */
  readonly file: string | null;
  readonly recorded: number;
  /** What says that an id means something else than was recorded; `null` where none does. */
  readonly drift: string | null;
  /** Versions that are registered under an id which the file does not have. */
  readonly unrecorded: readonly string[];
}

interface Asked {
  readonly registry: Registry;
  readonly topics: readonly Topic[];
  readonly idsFile: string | null;
}

/** Throws as `Registry` says. Writes nothing. */
export async function askSchemas(asked: Asked, signal: AbortSignal): Promise<SchemaFacts> {
  const { idsFile } = asked;
  try {
    const rows = await checkAll(asked, signal);
    const recorded = idsFile === null ? new Map<number, string>() : readSchemaIds(idsFile);
    const unrecorded = idsFile === null ? [] : await unrecordedIds(asked, recorded, signal);
    return { rows, ids: { file: idsFile, recorded: recorded.size, drift: null, unrecorded } };
  } catch (error) {
    if (!(error instanceof FatalError) || error.code !== "SCHEMA_DRIFT") throw error;
    // What is registered can be told all the same.
    const rows = await checkAll({ ...asked, idsFile: null }, signal);
    return { rows, ids: { file: idsFile, recorded: 0, drift: error.message, unrecorded: [] } };
  }
}

async function unrecordedIds(
  { registry, topics }: Asked,
  recorded: ReadonlyMap<number, string>,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const missing: string[] = [];
  for (const topic of topics) {
    for (const record of topic.records) {
      const subject = subjectOf(topic, record);
      for (const { version, schema } of record.versions) {
        const id = await registry.idOf(subject, schema, signal);
        if (id !== null && !recorded.has(id)) missing.push(`${subject} v${version} (id ${id})`);
      }
    }
  }
  return missing;
}

/** What the repository declares and the registry does not have, or has at another level. */
export function schemaFindings(rows: readonly CheckRow[]): readonly Finding[] {
  const troubles = rows.flatMap(({ subject, version, verdict, level, levelNow, reasons }) => {
    const id = `schemas/${subject}`;
    const levels =
      levelNow === level
        ? []
        : [
            wrong(`${id}/level`, {
              found: `the compatibility level is ${levelNow ?? "the registry's own"}, should be ${level}`,
              why: "at another level a version that no reader can read may be registered, or a good one refused",
              mend: mends.schemas,
            }),
          ];
    switch (verdict) {
      case "is registered":
        return levels;
      case "would register":
        return [
          wrong(id, {
            found: `version ${version} is not registered`,
            why: "SCHEMA_UNREGISTERED: a worker that writes it does not start",
            mend: mends.schemas,
          }),
        ];
      case "would be refused":
        return [
          wrong(id, {
            found: `version ${version} would be refused: ${reasons.join("; ")}`,
            why: "SCHEMA_UNREGISTERED: a worker that writes it does not start",
            mend: "undo the change, and write a version that goes with the earlier ones, or a new record",
          }),
        ];
    }
  });
  const once = [...new Map(troubles.map((it) => [it.id, it])).values()];
  return orGood(once, good("schemas", `${plural(rows.length, "schema")} registered, levels right`));
}

export function idFindings({ file, recorded, drift, unrecorded }: IdFacts): readonly Finding[] {
  const id = "schema-ids";
  if (file === null) {
    const found = "SCHEMA_IDS_FILE is not set";
    const why = "a registry that was wiped would not be noticed before records are misread";
    const mend = `set it to a file beside the deployment's data, then ${mends.schemas}`;
    return [warning(id, { found, why, mend })];
  }
  if (drift !== null) {
    return [
      wrong(id, {
        found: drift,
        why: "SCHEMA_DRIFT: records carry these ids for ever, and would be read as something else",
        mend:
          "look at SCHEMA_REGISTRY_URL, then restore the registry from its backup; only where the log was " +
          `wiped with it: rm '${file}', then ${mends.schemas}`,
      }),
    ];
  }
  const [first] = unrecorded;
  if (first !== undefined) {
    const found = `${file} lacks ${plural(unrecorded.length, "id")}, for one of ${first}`;
    const why = "a registry that gave such an id another meaning would not be noticed";
    return [warning(id, { found, why, mend: mends.schemas })];
  }
  return [good(id, `${plural(recorded, "id")}, each meaning what ${file} says`)];
}
