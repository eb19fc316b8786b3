import {
  type AvroSchema,
  type FieldSchema,
  newestOf,
  parseSchema,
  type RecordSchema,
  shortName,
} from "../avro/avro-schema.ts";
import { maxLong } from "../avro/guard.ts";
import { maxIdBytes } from "../message.ts";
import type { RecordType } from "../topic.ts";

/** JSON Schema (draft 2020-12) as plain data. */
export type JsonSchema = Readonly<Record<string, unknown>>;

/**
 * Whether a schema says what a request may hold or what an answer does. A request may leave out fields that
 * have a default and may have no others; an answer has every field, and a later version may have more.
 */
export type SchemaForm = "request" | "answer";

/** A record's schema, and those of the records within it that are referred to by name. */
export interface RecordSchemas {
  readonly root: JsonSchema;
  /** By full name; the root is among them where it holds itself. */
  readonly named: ReadonlyMap<string, JsonSchema>;
}

export interface SchemaOptions {
  readonly form: SchemaForm;
  /** Fields of the record that hold ids: the command's own and the aggregate's. */
  readonly idFields: readonly string[];
  /** The value of `$ref` for a record, by its full name. */
  readonly refTo: (fullName: string) => string;
}

/**
 * What `fromJson` takes for a record, by its newest version. Three things no schema can say: that text is
 * well-formed Unicode, that an id has at most 255 bytes (here: characters), and how deep a value may go.
 */
export function jsonSchemaOf(record: RecordType, idFields: readonly string[] = []): JsonSchema {
  return standalone(schemasOf(record, { form: "request", idFields, refTo: toDefs }));
}

/** What the data of an event look like in an answer: every field is there, its default filled in. */
export function eventSchemaOf(record: RecordType): JsonSchema {
  return standalone(schemasOf(record, { form: "answer", idFields: [], refTo: toDefs }));
}

function standalone({ root, named }: RecordSchemas): JsonSchema {
  const $schema = "https://json-schema.org/draft/2020-12/schema";
  return { $schema, ...root, ...(named.size > 0 && { $defs: Object.fromEntries(named) }) };
}

function toDefs(fullName: string): string {
  return `#/$defs/${fullName}`;
}

/** The same, as parts of a larger document that says itself where named records are. */
export function schemasOf(record: RecordType, options: SchemaOptions): RecordSchemas {
  const schema = parseSchema(newestOf(record).schema);
  const named = new Map<string, JsonSchema>();
  const making: Making = { ...options, root: schema, named };
  const root = schema.kind === "record" ? recordSchema(schema, making) : inPlace(schema, making);
  return { root, named };
}

interface Making extends SchemaOptions {
  readonly root: AvroSchema;
  readonly named: Map<string, JsonSchema>;
}

function recordSchema(schema: RecordSchema, making: Making): JsonSchema {
  const isRequest = making.form === "request";
  const properties = schema.fields.map(
    (field) => [field.name, fieldSchema(field, schema, making)] as const,
  );
  const required = schema.fields
    .filter((field) => !isRequest || field.default === undefined)
    .map(({ name }) => name);
  return {
    title: shortName(schema.name),
    ...(schema.doc !== null && { description: schema.doc }),
    type: "object",
    properties: Object.fromEntries(properties),
    required,
    ...(isRequest && { additionalProperties: false }),
  };
}

function fieldSchema(field: FieldSchema, within: RecordSchema, making: Making): JsonSchema {
  const schema = inPlace(field.schema, making);
  const isId = within === making.root && making.idFields.includes(field.name);
  const notes = [field.doc ?? textOf(schema["description"])];
  if (isId && !field.doc?.includes(String(maxIdBytes))) {
    notes.push(`1 to ${maxIdBytes} bytes of UTF-8.`);
  }
  if (isInstant(field.schema)) notes.push("Milliseconds since the epoch.");
  const description = notes.filter((note) => note !== null).join(" ");
  return {
    ...schema,
    ...(isId && { minLength: 1, maxLength: maxIdBytes }),
    ...(description !== "" && { description }),
    ...(making.form === "request" && isPlainDefault(field) && { default: field.default }),
  };
}

/** A default that JSON shows as the specification of Avro does; bytes, and what may hold them, are not. */
function isPlainDefault({ schema, default: value }: FieldSchema): boolean {
  if (value === undefined) return false;
  const first = schema.kind === "union" ? schema.branches[0] : schema;
  if (first?.kind === "bytes" || first?.kind === "fixed") return false;
  return typeof value !== "object" || value === null || Object.keys(value).length === 0;
}

function isInstant(schema: AvroSchema): boolean {
  if (schema.kind === "union") return schema.branches.some(isInstant);
  return "logicalType" in schema && schema.logicalType === "timestamp-millis";
}

/** Of one type of numbers or texts, without a word about it. */
const plain = {
  null: { type: "null" },
  boolean: { type: "boolean" },
  int: { type: "integer", format: "int32", minimum: -(2 ** 31), maximum: 2 ** 31 - 1 },
  long: { type: "integer", format: "int64", minimum: -maxLong, maximum: maxLong },
  // From here on a double is rounded to infinity.
  float: {
    type: "number",
    format: "float",
    exclusiveMinimum: -(2 ** 128 - 2 ** 103),
    exclusiveMaximum: 2 ** 128 - 2 ** 103,
  },
  double: { type: "number", format: "double" },
  string: { type: "string", pattern: "^[^\\u0000]*$" }, // Postgres holds no U+0000, so no text may.
} as const satisfies Record<string, JsonSchema>;

function inPlace(schema: AvroSchema, making: Making): JsonSchema {
  switch (schema.kind) {
    case "null":
    case "boolean":
    case "int":
    case "long":
    case "float":
    case "double":
    case "string":
      return plain[schema.kind];
    case "bytes":
      return base64Schema(null);
    case "fixed":
      return { ...base64Schema(schema.size), ...described(schema.doc) };
    case "enum":
      return { type: "string", enum: schema.symbols, ...described(schema.doc) };
    case "array":
      return { type: "array", items: inPlace(schema.items, making) };
    case "map":
      return {
        type: "object",
        additionalProperties: inPlace(schema.values, making),
        ...(making.form === "request" && { propertyNames: { not: { const: "__proto__" } } }),
      };
    case "union":
      return unionSchema(schema.branches, making);
    case "record":
      return reference(schema, making);
  }
}

function reference(schema: RecordSchema, making: Making): JsonSchema {
  if (!making.named.has(schema.name)) {
    making.named.set(schema.name, {}); // Before its fields, which may hold the same record again.
    making.named.set(schema.name, recordSchema(schema, making));
  }
  return { $ref: making.refTo(schema.name) };
}

/** Where it says no more, a nullable type is one type with two names: that is how people read it. */
function unionSchema(branches: readonly AvroSchema[], making: Making): JsonSchema {
  const others = branches.filter(({ kind }) => kind !== "null").map((it) => inPlace(it, making));
  const [only, ...more] = others;
  if (only === undefined) return plain.null;
  const isNullable = others.length < branches.length;
  if (more.length > 0) return { anyOf: isNullable ? [...others, plain.null] : others };
  if (!isNullable) return only;
  const isSimple = typeof only["type"] === "string" && !("enum" in only);
  return isSimple ? { ...only, type: [only["type"], "null"] } : { anyOf: [only, plain.null] };
}

const quads = "^(?:[A-Za-z0-9+/]{4})*";
const tails = ["", "[A-Za-z0-9+/]{2}==", "[A-Za-z0-9+/]{3}="] as const;

/** Bytes as text, RFC 4648 section 4; `null` where any number of them will do. */
function base64Schema(size: number | null): JsonSchema {
  const text = { type: "string", contentEncoding: "base64" };
  if (size === null) return { ...text, pattern: `${quads}(?:${tails[1]}|${tails[2]})?$` };
  const length = 4 * Math.ceil(size / 3);
  const pattern = `${quads}${tails[size % 3] ?? ""}$`;
  return { ...text, pattern, minLength: length, maxLength: length };
}

function described(doc: string | null): JsonSchema {
  return doc === null ? {} : { description: doc };
}

function textOf(value: unknown): string | null {
  return typeof value === "string" ? value : null;
}
