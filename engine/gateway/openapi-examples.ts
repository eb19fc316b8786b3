import { type AvroSchema, type FieldSchema, newestOf, parseSchema } from "../avro/avro-schema.ts";
import type { RecordType } from "../topic.ts";

/** Fields that every command may have and few senders need to give. */
const envelope: readonly string[] = ["commandId", "issuedAt", "expectedVersion"];

/** Nested deeper, what may be empty or null is: a schema may hold itself. */
const maxDepth = 3;

/**
 * A command as a person might send it: what it says, by the names and types of its fields. The same each time,
 * and taken by `fromJson` once it has a command id.
 */
export function exampleOf(record: RecordType): Readonly<Record<string, unknown>> {
  const schema = parseSchema(newestOf(record).schema);
  const fields = schema.kind === "record" ? schema.fields : [];
  return recordExample(
    fields.filter(({ name }) => !envelope.includes(name)),
    0,
  );
}

function recordExample(
  fields: readonly FieldSchema[],
  depth: number,
): Readonly<Record<string, unknown>> {
  return Object.fromEntries(fields.map(({ name, schema }) => [name, valueOf(name, schema, depth)]));
}

function valueOf(name: string, schema: AvroSchema, depth: number): unknown {
  switch (schema.kind) {
    case "null":
      return null;
    case "boolean":
      return true;
    case "int":
    case "long":
      if (schema.logicalType === "timestamp-millis") return Date.UTC(2026, 0, 1, 12);
      return /cents|amount/i.test(name) ? 2500 : 1;
    case "float":
    case "double":
      return 0.5;
    case "string":
      return textOf(name);
    case "bytes":
      return "AQID";
    case "fixed":
      return Buffer.alloc(schema.size).toString("base64");
    case "enum":
      return schema.symbols[0];
    case "array":
      return depth < maxDepth ? [valueOf(name, schema.items, depth + 1)] : [];
    case "map":
      return depth < maxDepth ? { key: valueOf(name, schema.values, depth + 1) } : {};
    case "union": {
      const isNullable = schema.branches.some(({ kind }) => kind === "null");
      const told = schema.branches.find(({ kind }) => kind !== "null");
      const isDeep = isNullable && depth >= maxDepth;
      return told === undefined || isDeep ? null : valueOf(name, told, depth);
    }
    case "record":
      return recordExample(schema.fields, depth + 1);
  }
}

/** Words that tell what a text is about, and such a text. The first that fits is taken. */
const texts: readonly (readonly [RegExp, string])[] = [
  [/e-?mail/i, "ada@example.com"],
  [/owner|holder|name|customer|person/i, "Ada Lovelace"],
  [/currency/i, "EUR"],
  [/country/i, "GB"],
  [/reference|note|comment|message|reason|text|description/i, "Invoice 4711"],
];

function textOf(name: string): string {
  const about = /^(.+)Id$/.exec(name)?.[1];
  if (about !== undefined) return `${about}-1`;
  return texts.find(([word]) => word.test(name))?.[1] ?? `some ${name}`;
}
