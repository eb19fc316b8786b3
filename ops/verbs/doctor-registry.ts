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

/** Throws as `Registry` says. Writes nothing. Asks side by side: a busy registry takes its time for each. */
export async function askSchemas(asked: Asked, signal: AbortSignal): Promise<SchemaFacts> {
  const { topics, idsFile: file } = asked;
  const ofTopics = topics.map((topic) =>
    checkAll({ ...asked, topics: [topic], idsFile: null }, signal),
  );
  const [drift, unrecorded, ...rows] = await Promise.all([
    driftOf(asked, signal),
    unrecordedIds(asked, signal),
    ...ofTopics,
  ]);
  const recorded = file === null || drift !== null ? 0 : readSchemaIds(file).size;
  return { rows: rows.flat(), ids: { file, recorded, drift, unrecorded } };
}

async function driftOf(asked: Asked, signal: AbortSignal): Promise<string | null> {
  try {
    await checkAll({ ...asked, topics: [] }, signal); // Without a topic it looks at the ids alone.
    return null;
  } catch (error) {
    if (error instanceof FatalError && error.code === "SCHEMA_DRIFT") return error.message;
    throw error;
  }
}

async function unrecordedIds(
  { registry, topics, idsFile }: Asked,
  signal: AbortSignal,
): Promise<readonly string[]> {
  if (idsFile === null) return [];
  const recorded = readSchemaIds(idsFile);
  const versions = topics.flatMap((topic) =>
    topic.records.flatMap((record) =>
      record.versions.map((it) => ({ ...it, subject: subjectOf(topic, record) })),
    ),
  );
  const missing = versions.map(async ({ subject, version, schema }) => {
    const id = await registry.idOf(subject, schema, signal);
    return id === null || recorded.has(id) ? [] : [`${subject} v${version} (id ${id})`];
  });
  return (await Promise.all(missing)).flat();
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
