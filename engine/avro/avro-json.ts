import type { RecordType } from "../topic.ts";
import {
  type AvroSchema,
  type EnumSchema,
  type FieldSchema,
  newestOf,
  parseSchema,
  type RecordSchema,
  shortName,
} from "./avro-schema.ts";
import { isObject, misfitOf, shown } from "./avro-value.ts";
import { guardLimits } from "./guard.ts";

/** What is wrong with a JSON value, and where: `accountId`, `lines[2].amount`; empty for the whole. */
export interface JsonProblem {
  readonly path: string;
  readonly message: string;
}

export type FromJson =
  | { readonly ok: true; readonly value: Readonly<Record<string, unknown>> }
  | { readonly ok: false; readonly problems: readonly JsonProblem[] };

/**
 * A record from JSON data, in the form that the codec encodes, by the newest version of its schema. Missing
 * fields take their defaults; bytes and fixed values are base64 text. Every problem is reported, not only the
 * first: fields that are unknown or missing, wrong types, numbers that are no integers or beyond ±(2^53 − 2),
 * which JSON cannot carry exactly, and text that is not Unicode.
 */
export function fromJson(record: RecordType, json: unknown): FromJson {
  const problems: JsonProblem[] = [];
  const value = convert(schemaOf(record), json, { path: "", depth: 1, problems });
  return problems.length > 0
    ? { ok: false, problems }
    : { ok: true, value: value as Readonly<Record<string, unknown>> };
}

/** Parsed once a record: a RecordType is data that never changes. */
const schemas = new WeakMap<RecordType, AvroSchema>();

function schemaOf(record: RecordType): AvroSchema {
  let schema = schemas.get(record);
  if (schema === undefined) {
    schema = parseSchema(newestOf(record).schema);
    schemas.set(record, schema);
  }
  return schema;
}

interface Place {
  readonly path: string;
  readonly depth: number;
  readonly problems: JsonProblem[];
}

/** The converted value; where there is a problem, it is noted and the result means nothing. */
function convert(schema: AvroSchema, json: unknown, at: Place): unknown {
  switch (schema.kind) {
    case "record":
      if (!isObject(json)) return wrong(at, "an object", json);
      if (at.depth > guardLimits.depth)
        return note(at, `is nested deeper than ${guardLimits.depth}`);
      return convertRecord(schema, json, at);
    case "union":
      return convertUnion(schema.branches, json, at);
    case "array":
      if (!Array.isArray(json)) return wrong(at, "a list", json);
      return json.map((item, i) => convert(schema.items, item, below(at, `[${i}]`)));
    case "map":
      if (!isObject(json)) return wrong(at, "an object", json);
      return convertMap(schema.values, json, at);
    case "bytes":
    case "fixed":
      return convertBytes(json, schema.kind === "fixed" ? schema.size : null, at);
    case "enum":
      return convertEnum(schema, json, at);
    case "null":
    case "boolean":
    case "int":
    case "long":
    case "float":
    case "double":
    case "string": {
      const misfit = misfitOf(schema, json);
      if (misfit !== null) note(at, misfit.message);
      return json;
    }
  }
}

function convertRecord(
  schema: RecordSchema,
  json: Readonly<Record<string, unknown>>,
  at: Place,
): Readonly<Record<string, unknown>> {
  const value: Record<string, unknown> = {};
  for (const field of schema.fields) {
    const place = below(at, field.name);
    const given = Object.hasOwn(json, field.name) ? json[field.name] : undefined;
    if (given !== undefined) value[field.name] = convert(field.schema, given, place);
    else if (field.default !== undefined) value[field.name] = defaultOf(field);
    else note(place, `is missing (${typeOf(field.schema)})`);
  }
  for (const key of Object.keys(json)) {
    if (schema.fields.some((field) => field.name === key)) continue;
    const near = nearest(
      key,
      schema.fields.map((field) => field.name),
    );
    const hint = near === null ? "" : `; did you mean ${near}?`;
    note(below(at, key), `is not a field of ${shortName(schema.name)}${hint}`);
  }
  return value;
}

function convertUnion(branches: readonly AvroSchema[], json: unknown, at: Place): unknown {
  if (json === null && branches.some((branch) => branch.kind === "null")) return null;
  const others = branches.filter((branch) => branch.kind !== "null");
  let problems: readonly JsonProblem[] = [];
  for (const branch of others) {
    const attempt: Place = { ...at, problems: [] };
    const value = convert(branch, json, attempt);
    if (attempt.problems.length === 0) return value;
    problems = attempt.problems;
  }
  if (others.length === 1) at.problems.push(...problems);
  else note(at, `expected ${others.map(typeOf).join(" or ")}, got ${shown(json)}`);
  return null;
}

function convertMap(
  values: AvroSchema,
  json: Readonly<Record<string, unknown>>,
  at: Place,
): Readonly<Record<string, unknown>> {
  const map: Record<string, unknown> = {};
  for (const [key, item] of Object.entries(json)) {
    const place = below(at, `[${JSON.stringify(key)}]`);
    if (key === "__proto__") note(place, "no key may be __proto__");
    else if (!key.isWellFormed()) note(place, "a key with a lone surrogate is not Unicode");
    else map[key] = convert(values, item, place);
  }
  return map;
}

const base64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

function convertBytes(json: unknown, size: number | null, at: Place): unknown {
  const expected = size === null ? "bytes in base64" : `${size} bytes in base64`;
  if (typeof json !== "string" || !base64.test(json)) return wrong(at, expected, json);
  const bytes = Buffer.from(json, "base64");
  return size === null || bytes.length === size
    ? bytes
    : note(at, `expected ${expected}, got ${bytes.length}`);
}

function convertEnum(schema: EnumSchema, json: unknown, at: Place): unknown {
  if (typeof json === "string" && schema.symbols.includes(json)) return json;
  const near = typeof json === "string" ? nearest(json, schema.symbols) : null;
  const hint = near === null ? "" : `; did you mean ${near}?`;
  note(at, `expected one of ${schema.symbols.join(", ")}, got ${shown(json)}${hint}`);
  return json;
}

/** A default as the codec takes it. The specification writes bytes in one as text, a byte a character. */
function defaultOf({ schema, default: json }: FieldSchema): unknown {
  return fromDefault(schema.kind === "union" ? firstOf(schema.branches) : schema, json);
}

function fromDefault(schema: AvroSchema, json: unknown): unknown {
  switch (schema.kind) {
    case "bytes":
    case "fixed":
      return Buffer.from(String(json), "latin1");
    case "array":
      return (json as readonly unknown[]).map((item) => fromDefault(schema.items, item));
    case "map":
      return Object.fromEntries(
        Object.entries(json as object).map(([key, item]) => [
          key,
          fromDefault(schema.values, item),
        ]),
      );
    case "record": {
      const given = json as Readonly<Record<string, unknown>>;
      return Object.fromEntries(
        schema.fields.map((field) => [
          field.name,
          defaultOf({ ...field, default: given[field.name] ?? field.default }),
        ]),
      );
    }
    case "union":
      return fromDefault(firstOf(schema.branches), json);
    case "null":
    case "boolean":
    case "int":
    case "long":
    case "float":
    case "double":
    case "string":
    case "enum":
      return json;
  }
}

/** A union's default is one of its first branch. */
function firstOf(branches: readonly AvroSchema[]): AvroSchema {
  return branches[0] ?? { kind: "null", logicalType: null };
}

/** The default of each field that has one, as JSON data: what `payloadHash` takes for "not said". */
export function defaultsOf(record: RecordType): ReadonlyMap<string, unknown> {
  const schema = schemaOf(record);
  const fields = schema.kind === "record" ? schema.fields : [];
  return new Map(
    fields
      .filter((field) => field.default !== undefined)
      .map((field) => [field.name, defaultOf(field)]),
  );
}

function typeOf(schema: AvroSchema): string {
  if (schema.kind === "union") return schema.branches.map(typeOf).join(" or ");
  if (schema.kind === "enum") return `one of ${schema.symbols.join(", ")}`;
  return schema.kind;
}

/** The name that a person most likely meant, or `null`. */
function nearest(given: string, names: readonly string[]): string | null {
  if (given.length > 64) return null;
  const fold = (name: string) => name.toLowerCase().replace(/[^a-z0-9]/g, "");
  let best: { name: string; distance: number } | null = null;
  for (const name of names) {
    const distance = editDistance(fold(given), fold(name));
    if (distance <= Math.max(1, Math.floor(name.length / 4)) && distance < (best?.distance ?? 99)) {
      best = { name, distance };
    }
  }
  return best?.name ?? null;
}

/** Levenshtein's distance: insertions, deletions and replacements from one to the other. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 0; i < a.length; i++) {
    const next = [i + 1];
    for (let j = 0; j < b.length; j++) {
      const replaced = (row[j] ?? 0) + (a[i] === b[j] ? 0 : 1);
      next.push(Math.min(replaced, (row[j + 1] ?? 0) + 1, (next[j] ?? 0) + 1));
    }
    row = next;
  }
  return row.at(-1) ?? 0;
}

function wrong(at: Place, expected: string, json: unknown): null {
  return note(at, `expected ${expected}, got ${shown(json)}`);
}

/** Returns `null` in the place of the value that there is none of. */
function note(at: Place, message: string): null {
  at.problems.push({ path: at.path, message });
  return null;
}

function below(at: Place, step: string): Place {
  const joint = at.path === "" || step.startsWith("[") ? "" : ".";
  return { ...at, path: `${at.path}${joint}${step}`, depth: at.depth + 1 };
}
