import { fingerprintOf, parseSchema } from "../avro/avro-schema.ts";
import type { Registry, SubjectVersion } from "../avro/registry.ts";
import { readSchemaIds, type SchemaIds, writeSchemaIds } from "../avro/schema-ids.ts";
import { FatalError, messageOf } from "../errors.ts";
import {
  type Compatibility,
  type RecordType,
  type SchemaVersion,
  subjectOf,
  type Topic,
} from "../topic.ts";
import { incompatibilities } from "./compatibility.ts";

/** What became of one version of one record on one topic. */
export interface RegisterRow {
  readonly subject: string;
  readonly version: number;
  /** `null` where it was refused. */
  readonly id: number | null;
  readonly outcome: "registered" | "was registered" | "refused";
  readonly level: Compatibility;
  /** The subject's own level before, where that was another one: it has been set right. */
  readonly levelBefore: string | null;
  /** Why it was refused: with which earlier version, and what in it; empty where it was not. */
  readonly reasons: readonly string[];
}

/** What would become of one version of one record on one topic. */
export interface CheckRow {
  readonly subject: string;
  readonly version: number;
  readonly verdict: "is registered" | "would register" | "would be refused";
  readonly level: Compatibility;
  /** The subject's level now; `null` where it has none of its own. `schemas register` sets it to `level`. */
  readonly levelNow: string | null;
  readonly reasons: readonly string[];
}

/** Which schemas, and where they go. */
export interface RegisterOptions {
  readonly registry: Registry;
  readonly topics: readonly Topic[];
  /** The JSON file in which this deployment keeps id → fingerprint; `null`: nowhere. */
  readonly idsFile: string | null;
}

/**
 * Registers every version of every record of these topics, in their order and oldest first, and sets the
 * level of each subject before its first schema. Doing it again changes nothing. A refused version is a row,
 * the later versions of its record are left out, and the other subjects go on.
 * @throws FatalError `SCHEMA_DRIFT`, before anything is written, where a recorded id has another meaning
 * @throws TransientError as the registry does
 */
export async function registerAll(
  { registry, topics, idsFile }: RegisterOptions,
  signal: AbortSignal,
): Promise<readonly RegisterRow[]> {
  const recorded = idsFile === null ? new Map<number, string>() : readSchemaIds(idsFile);
  await verifyIds(registry, recorded, signal);

  const ids = new Map(recorded);
  const rows: RegisterRow[] = [];
  for (const { subject, topic, record } of subjectsOf(topics)) {
    const level = topic.compatibility;
    const levelBefore = await registry.levelOf(subject, signal);
    if (levelBefore !== level) await registry.setLevel(subject, level, signal);
    for (const version of record.versions) {
      const put = await registerVersion(registry, { subject, level, version }, signal);
      rows.push({
        ...put,
        subject,
        version: version.version,
        level,
        levelBefore: levelBefore === level ? null : levelBefore,
      });
      if (put.id === null) break;
      keepId(ids, put.id, version);
    }
  }
  if (idsFile !== null && ids.size > recorded.size) writeSchemaIds(idsFile, ids);
  return rows;
}

/** Tells what `registerAll` would do, and changes nothing. Throws as `registerAll` does. */
export async function checkAll(
  { registry, topics, idsFile }: RegisterOptions,
  signal: AbortSignal,
): Promise<readonly CheckRow[]> {
  const recorded = idsFile === null ? new Map<number, string>() : readSchemaIds(idsFile);
  await verifyIds(registry, recorded, signal);

  const rows: CheckRow[] = [];
  for (const { subject, topic, record } of subjectsOf(topics)) {
    const level = topic.compatibility;
    const levelNow = await registry.levelOf(subject, signal);
    for (const { version, schema } of record.versions) {
      const isThere = (await registry.idOf(subject, schema, signal)) !== null;
      const reasons = isThere
        ? []
        : await objections(registry, { subject, level, schema, ask: levelNow === level }, signal);
      const verdict = isThere
        ? "is registered"
        : reasons.length > 0
          ? "would be refused"
          : "would register";
      rows.push({ subject, version, verdict, level, levelNow, reasons });
    }
  }
  return rows;
}

interface Subject {
  readonly subject: string;
  readonly topic: Topic;
  readonly record: RecordType;
}

function subjectsOf(topics: readonly Topic[]): readonly Subject[] {
  return topics.flatMap((topic) =>
    topic.records.map((record) => ({ subject: subjectOf(topic, record), topic, record })),
  );
}

interface NewVersion {
  readonly subject: string;
  readonly level: Compatibility;
  readonly version: SchemaVersion;
}

async function registerVersion(
  registry: Registry,
  { subject, level, version: { schema } }: NewVersion,
  signal: AbortSignal,
): Promise<Pick<RegisterRow, "id" | "outcome" | "reasons">> {
  const known = await registry.idOf(subject, schema, signal);
  if (known !== null) return { id: known, outcome: "was registered", reasons: [] };
  const put = await registry.register(subject, schema, level, signal);
  if (put.kind === "registered") return { id: put.id, outcome: "registered", reasons: [] };
  const earlier = await registry.versionsOf(subject, signal);
  const reasons = [...conflicts(earlier, schema), `the registry says: ${put.reason}`];
  return { id: null, outcome: "refused", reasons };
}

interface Candidate {
  readonly subject: string;
  readonly level: Compatibility;
  readonly schema: object;
  /** Whether the registry judges by the level that counts. */
  readonly ask: boolean;
}

async function objections(
  registry: Registry,
  { subject, level, schema, ask }: Candidate,
  signal: AbortSignal,
): Promise<readonly string[]> {
  if (level === "NONE") return [];
  const found = conflicts(await registry.versionsOf(subject, signal), schema);
  if (found.length > 0 || !ask) return found;
  return (await registry.accepts(subject, schema, signal)) ? [] : ["the registry would refuse it"];
}

/** What stands between this schema and those that the subject has, each with its version. */
function conflicts(earlier: readonly SubjectVersion[], schema: object): readonly string[] {
  const ours = parseSchema(schema);
  return earlier.flatMap(({ version, text }) => {
    try {
      const theirs = parseSchema(JSON.parse(text));
      const problems = incompatibilities(theirs, ours);
      return problems.map((problem) => `does not go with version ${version}: ${problem}`);
    } catch (error) {
      return [`version ${version} of the subject is not a schema of ours: ${messageOf(error)}`];
    }
  });
}

/**
 * Compares what was recorded of each id with what the registry says now. Records in the log carry these ids
 * for ever: in a registry that was wiped, or filled again, they would be read as something else.
 */
async function verifyIds(
  registry: Registry,
  recorded: SchemaIds,
  signal: AbortSignal,
): Promise<void> {
  for (const [id, fingerprint] of recorded) {
    const found = await registry.schemaById(id, signal);
    if (found === null) throw drift(id, "is gone");
    let now: string | null = null;
    try {
      now = fingerprintOf(parseSchema(JSON.parse(found.text)));
    } catch {
      // Not an Avro schema: certainly not the one that was recorded.
    }
    if (now !== fingerprint) throw drift(id, "means another schema than was recorded");
  }
}

function keepId(
  ids: Map<number, string>,
  id: number,
  { version, fingerprint }: SchemaVersion,
): void {
  const before = ids.get(id);
  if (before !== undefined && before !== fingerprint) {
    throw drift(id, `was recorded as another schema than the v${version} that now has it`);
  }
  ids.set(id, fingerprint);
}

function drift(id: number, what: string): FatalError {
  return new FatalError(
    "SCHEMA_DRIFT",
    `schema id ${id} ${what}: the registry was wiped, or it is not this deployment's. Restore it from its` +
      " backup; only where the log was wiped with it, delete the file of ids",
  );
}
