import { createHash } from "node:crypto";
import type { RecordType, SchemaVersion } from "../topic.ts";

/**
 * An Avro schema, parsed: names full, references followed, attributes that this engine does not use dropped.
 * A recursive schema is a cycle of these objects. Pure: no avsc here, so that the guard, the JSON reader, the
 * generator and the compatibility rules need no client.
 */
export type AvroSchema =
  PrimitiveSchema | FixedSchema | EnumSchema | ArraySchema | MapSchema | UnionSchema | RecordSchema;

export type Primitive =
  "null" | "boolean" | "int" | "long" | "float" | "double" | "bytes" | "string";

export interface PrimitiveSchema {
  readonly kind: Primitive;
  readonly logicalType: string | null;
}

export interface FixedSchema {
  readonly kind: "fixed";
  readonly name: string;
  readonly doc: string | null;
  readonly size: number;
  readonly logicalType: string | null;
}

export interface EnumSchema {
  readonly kind: "enum";
  readonly name: string;
  readonly doc: string | null;
  readonly symbols: readonly string[];
  /** What a reader takes for a symbol that it does not know. */
  readonly default: string | null;
}

export interface ArraySchema {
  readonly kind: "array";
  readonly items: AvroSchema;
}

export interface MapSchema {
  readonly kind: "map";
  readonly values: AvroSchema;
}

export interface UnionSchema {
  readonly kind: "union";
  readonly branches: readonly AvroSchema[];
}

export interface RecordSchema {
  readonly kind: "record";
  readonly name: string;
  readonly doc: string | null;
  readonly fields: readonly FieldSchema[];
}

export interface FieldSchema {
  readonly name: string;
  readonly aliases: readonly string[];
  readonly doc: string | null;
  readonly schema: AvroSchema;
  /** As JSON in the form that the Avro specification gives defaults; `undefined` where there is none. */
  readonly default: unknown;
}

/** A schema that is not valid Avro; the message begins with the place in it. */
export class SchemaError extends Error {
  override readonly name = "SchemaError";
}

/** Deeper schemas are refused: a hostile one must not exhaust the stack. */
const maxDepth = 64;

const primitives: ReadonlySet<string> = new Set<Primitive>([
  "null",
  "boolean",
  "int",
  "long",
  "float",
  "double",
  "bytes",
  "string",
]);

/** One identifier of the Avro specification, "Names". */
const namePattern = /^[A-Za-z_][A-Za-z0-9_]*$/;

interface Scope {
  readonly named: Map<string, AvroSchema>;
  readonly namespace: string;
  readonly path: string;
  readonly depth: number;
}

/**
 * Parses a schema given as JSON data (Avro 1.11, "Schema Declaration"). Refuses references to types that the
 * schema itself does not define.
 * @throws SchemaError
 */
export function parseSchema(json: unknown): AvroSchema {
  return parse(json, { named: new Map(), namespace: "", path: "schema", depth: 0 });
}

function parse(json: unknown, scope: Scope): AvroSchema {
  if (scope.depth > maxDepth) fail(scope, `nested deeper than ${maxDepth}`);
  if (typeof json === "string") return reference(json, scope);
  if (Array.isArray(json)) return parseUnion(json, scope);
  const node = asObject(json, scope);
  const type = node["type"];
  if (typeof type !== "string") return parse(type, deeper(scope, ""));
  switch (type) {
    case "record":
      return parseRecord(node, scope);
    case "enum":
      return parseEnum(node, scope);
    case "fixed":
      return parseFixed(node, scope);
    case "array":
      return { kind: "array", items: parse(node["items"], deeper(scope, "[]")) };
    case "map":
      return { kind: "map", values: parse(node["values"], deeper(scope, "{}")) };
    default: {
      const schema = reference(type, scope);
      const logicalType = textOf(node["logicalType"]);
      return isPrimitive(schema) ? { kind: schema.kind, logicalType } : schema;
    }
  }
}

export function isPrimitive(schema: AvroSchema): schema is PrimitiveSchema {
  return primitives.has(schema.kind);
}

function reference(name: string, scope: Scope): AvroSchema {
  if (primitives.has(name)) return { kind: name as Primitive, logicalType: null };
  const known = scope.named.get(qualify(name, scope.namespace)) ?? scope.named.get(name);
  return known ?? fail(scope, `unknown type ${JSON.stringify(name)}`);
}

function parseUnion(json: readonly unknown[], scope: Scope): UnionSchema {
  const branches = json.map((branch, i) => parse(branch, deeper(scope, `[${i}]`)));
  if (branches.length === 0) fail(scope, "an empty union");
  const seen = new Set<string>();
  for (const branch of branches) {
    if (branch.kind === "union") fail(scope, "a union directly in a union");
    const label = "name" in branch ? branch.name : branch.kind;
    if (seen.has(label)) fail(scope, `a union with two branches ${label}`);
    seen.add(label);
  }
  return { kind: "union", branches };
}

function parseRecord(node: Readonly<Record<string, unknown>>, scope: Scope): RecordSchema {
  const { name, namespace } = nameOf(node, scope);
  const fields: FieldSchema[] = [];
  const schema: RecordSchema = { kind: "record", name, doc: textOf(node["doc"]), fields };
  define(schema, scope);
  const inner: Scope = { ...scope, namespace };
  const seen = new Set<string>();
  for (const [i, item] of asArray(node["fields"], inner, "fields").entries()) {
    const field = parseField(item, deeper(inner, `.fields[${i}]`), inner);
    if (seen.has(field.name)) fail(inner, `two fields named ${field.name}`);
    seen.add(field.name);
    fields.push(field);
  }
  return schema;
}

function parseField(json: unknown, scope: Scope, record: Scope): FieldSchema {
  const node = asObject(json, scope);
  const name = textOf(node["name"]);
  if (name === null || !namePattern.test(name)) fail(scope, "a field without a valid name");
  return {
    name,
    aliases: stringsOf(node["aliases"] ?? [], scope, "aliases"),
    doc: textOf(node["doc"]),
    schema: parse(node["type"], deeper(record, `.${name}`)),
    default: node["default"],
  };
}

function parseEnum(node: Readonly<Record<string, unknown>>, scope: Scope): EnumSchema {
  const { name } = nameOf(node, scope);
  const symbols = stringsOf(node["symbols"], scope, "symbols");
  const bad = symbols.find((symbol) => !namePattern.test(symbol));
  if (bad !== undefined) fail(scope, `enum symbol ${JSON.stringify(bad)} is not a name`);
  if (symbols.length === 0 || new Set(symbols).size !== symbols.length) {
    fail(scope, "an enum needs symbols, each once");
  }
  const fallback = textOf(node["default"]);
  if (fallback !== null && !symbols.includes(fallback)) {
    fail(scope, `the enum's default ${JSON.stringify(fallback)} is not one of its symbols`);
  }
  const schema: EnumSchema = {
    kind: "enum",
    name,
    doc: textOf(node["doc"]),
    symbols,
    default: fallback,
  };
  define(schema, scope);
  return schema;
}

function parseFixed(node: Readonly<Record<string, unknown>>, scope: Scope): FixedSchema {
  const { name } = nameOf(node, scope);
  const size = node["size"];
  if (typeof size !== "number" || !Number.isInteger(size) || size < 0 || size > 2 ** 31 - 1) {
    fail(scope, "a fixed type needs a size");
  }
  const logicalType = textOf(node["logicalType"]);
  const schema: FixedSchema = { kind: "fixed", name, doc: textOf(node["doc"]), size, logicalType };
  define(schema, scope);
  return schema;
}

function nameOf(
  node: Readonly<Record<string, unknown>>,
  scope: Scope,
): { name: string; namespace: string } {
  const given = textOf(node["name"]);
  const valid = given?.split(".").every((part) => namePattern.test(part)) ?? false;
  if (given === null || !valid) fail(scope, "a named type without a valid name");
  if (given.includes(".")) return { name: given, namespace: given.replace(/\.[^.]*$/, "") };
  const namespace = textOf(node["namespace"]) ?? scope.namespace;
  return { name: qualify(given, namespace), namespace };
}

function define(schema: RecordSchema | EnumSchema | FixedSchema, scope: Scope): void {
  if (scope.named.has(schema.name)) fail(scope, `the type ${schema.name} is defined twice`);
  scope.named.set(schema.name, schema);
}

function qualify(name: string, namespace: string): string {
  return name.includes(".") || namespace === "" ? name : `${namespace}.${name}`;
}

function deeper(scope: Scope, step: string): Scope {
  return { ...scope, path: scope.path + step, depth: scope.depth + 1 };
}

function asObject(json: unknown, scope: Scope): Readonly<Record<string, unknown>> {
  if (typeof json !== "object" || json === null || Array.isArray(json)) {
    fail(scope, `expected a schema, got ${json === undefined ? "nothing" : JSON.stringify(json)}`);
  }
  return json as Record<string, unknown>;
}

function asArray(json: unknown, scope: Scope, what: string): readonly unknown[] {
  return Array.isArray(json) ? json : fail(scope, `${what} must be a list`);
}

function stringsOf(json: unknown, scope: Scope, what: string): readonly string[] {
  const list = asArray(json, scope, what);
  return list.map((item) =>
    typeof item === "string" ? item : fail(scope, `${what} must be a list of names`),
  );
}

function textOf(json: unknown): string | null {
  return typeof json === "string" ? json : null;
}

function fail(scope: Scope, problem: string): never {
  throw new SchemaError(`${scope.path}: ${problem}`);
}

/** The part of a full name after its last dot. */
export function shortName(fullName: string): string {
  return fullName.slice(fullName.lastIndexOf(".") + 1);
}

/**
 * The parsing canonical form (Avro 1.11, "Transforming into Parsing Canonical Form"): two schemas with the
 * same form write and read the same bytes. Docs, defaults, aliases and logical types are not part of it.
 */
export function canonicalForm(schema: AvroSchema): string {
  return JSON.stringify(canonical(schema, new Set()));
}

function canonical(schema: AvroSchema, defined: Set<string>): unknown {
  if ("name" in schema) {
    if (defined.has(schema.name)) return schema.name;
    defined.add(schema.name);
  }
  switch (schema.kind) {
    case "record": {
      const fields = schema.fields.map((field) => ({
        name: field.name,
        type: canonical(field.schema, defined),
      }));
      return { name: schema.name, type: "record", fields };
    }
    case "enum":
      return { name: schema.name, type: "enum", symbols: schema.symbols };
    case "fixed":
      return { name: schema.name, type: "fixed", size: schema.size };
    case "array":
      return { type: "array", items: canonical(schema.items, defined) };
    case "map":
      return { type: "map", values: canonical(schema.values, defined) };
    case "union":
      return schema.branches.map((branch) => canonical(branch, defined));
    case "null":
    case "boolean":
    case "int":
    case "long":
    case "float":
    case "double":
    case "bytes":
    case "string":
      return schema.kind;
  }
}

/** SHA-256 of the parsing canonical form, in hex (Avro 1.11, "Schema Fingerprints"). */
export function fingerprintOf(schema: AvroSchema): string {
  return createHash("sha256").update(canonicalForm(schema)).digest("hex");
}

/** The newest version of a record: what today's code writes, and reads every other as. */
export function newestOf(record: RecordType): SchemaVersion {
  return record.versions.at(-1) ?? record.versions[0];
}
