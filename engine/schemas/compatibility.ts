import type { AvroSchema, FieldSchema, RecordSchema } from "../avro/avro-schema.ts";

/**
 * What stands between two versions of a record, or nothing where each reads what the other wrote: the rules
 * of Avro's schema resolution (1.11, "Schema Resolution") in both directions at once, which is what a
 * registry's FULL_TRANSITIVE asks of every pair. Stricter in two points: a string never becomes bytes, and a
 * logical type never changes, since either would change what a value means. Each problem begins with its path.
 */
export function incompatibilities(older: AvroSchema, newer: AvroSchema): readonly string[] {
  const known = new Map<AvroSchema, Set<AvroSchema>>();
  const pathOf = (schema: AvroSchema) => ("name" in schema ? schema.name : schema.kind);
  return compare(older, newer, { path: pathOf(newer), known });
}

interface Place {
  readonly path: string;
  /** The pairs already under comparison, so that a recursive schema ends. */
  readonly known: Map<AvroSchema, Set<AvroSchema>>;
}

function compare(older: AvroSchema, newer: AvroSchema, at: Place): readonly string[] {
  const partners = at.known.get(older) ?? new Set();
  if (partners.has(newer)) return [];
  at.known.set(older, partners.add(newer));

  if (older.kind === "record" && newer.kind === "record") return compareRecords(older, newer, at);
  if (older.kind === "array" && newer.kind === "array") {
    return compare(older.items, newer.items, below(at, "[]"));
  }
  if (older.kind === "map" && newer.kind === "map") {
    return compare(older.values, newer.values, below(at, "{}"));
  }
  if (older.kind === "union" && newer.kind === "union") {
    return compareUnions(older.branches, newer.branches, at);
  }
  if (older.kind === "enum" && newer.kind === "enum") {
    if (older.name !== newer.name) return [renamed(older.name, newer.name, at)];
    return [
      ...unknownSymbols({ writer: newer, reader: older, age: "the older version" }, at),
      ...unknownSymbols({ writer: older, reader: newer, age: "the newer version" }, at),
    ];
  }
  if (older.kind === "fixed" && newer.kind === "fixed") {
    if (older.name !== newer.name) return [renamed(older.name, newer.name, at)];
    return older.size === newer.size
      ? sameLogicalType(older.logicalType, newer.logicalType, at)
      : [`${at.path}: the size changes from ${older.size} to ${newer.size}`];
  }
  if (older.kind !== newer.kind) {
    return [`${at.path}: ${described(older)} becomes ${described(newer)}`];
  }
  const before = "logicalType" in older ? older.logicalType : null;
  const after = "logicalType" in newer ? newer.logicalType : null;
  return sameLogicalType(before, after, at);
}

function compareRecords(older: RecordSchema, newer: RecordSchema, at: Place): readonly string[] {
  if (older.name !== newer.name) return [renamed(older.name, newer.name, at)];
  return [
    ...unreadableFields(older, newer, "the newer version", at),
    ...unreadableFields(newer, older, "the older version", at),
    ...newer.fields.flatMap((field) => {
      const before = older.fields.find((candidate) => candidate.name === field.name);
      return before ? compare(before.schema, field.schema, below(at, `.${field.name}`)) : [];
    }),
    ...newer.fields.flatMap((field) => {
      const before = aliased(field, older);
      return before ? compare(before.schema, field.schema, below(at, `.${field.name}`)) : [];
    }),
  ];
}

/** The fields that `reader` would find neither in what `writer` wrote nor in a default. */
function unreadableFields(
  writer: RecordSchema,
  reader: RecordSchema,
  age: string,
  at: Place,
): readonly string[] {
  return reader.fields
    .filter((field) => field.default === undefined)
    .filter((field) => !writer.fields.some((written) => written.name === field.name))
    .filter((field) => aliased(field, writer) === undefined)
    .map((field) => `${at.path}.${field.name}: only in ${age}, and has no default there`);
}

/** The field of the writer that this field takes its value from by an alias. */
function aliased(field: FieldSchema, writer: RecordSchema): FieldSchema | undefined {
  if (writer.fields.some((written) => written.name === field.name)) return undefined;
  return writer.fields.find((written) => field.aliases.includes(written.name));
}

function compareUnions(
  older: readonly AvroSchema[],
  newer: readonly AvroSchema[],
  at: Place,
): readonly string[] {
  const missing = (from: readonly AvroSchema[], to: readonly AvroSchema[]) =>
    from.filter((branch) => !to.some((candidate) => described(candidate) === described(branch)));
  const gone = missing(older, newer).map(described);
  const grown = missing(newer, older).map(described);
  return [
    ...grown.map((branch) => `${at.path}: the union grows by ${branch}; the older version fails`),
    ...gone.map((branch) => `${at.path}: the union loses ${branch}; the newer version fails`),
    ...newer.flatMap((branch) => {
      const before = older.find((candidate) => described(candidate) === described(branch));
      return before ? compare(before, branch, at) : [];
    }),
  ];
}

interface EnumPair {
  readonly writer: AvroSchema & { readonly kind: "enum" };
  readonly reader: AvroSchema & { readonly kind: "enum" };
  readonly age: string;
}

function unknownSymbols({ writer, reader, age }: EnumPair, at: Place): readonly string[] {
  if (reader.default !== null) return [];
  return writer.symbols
    .filter((symbol) => !reader.symbols.includes(symbol))
    .map((symbol) => `${at.path}: ${age} does not know ${symbol} and its enum has no default`);
}

function sameLogicalType(older: string | null, newer: string | null, at: Place): readonly string[] {
  if (older === newer) return [];
  return [`${at.path}: the logical type changes from ${older ?? "none"} to ${newer ?? "none"}`];
}

function renamed(older: string, newer: string, at: Place): string {
  return `${at.path}: the type ${older} becomes ${newer}; a rename is a new record and an upcast`;
}

function described(schema: AvroSchema): string {
  return "name" in schema ? `${schema.kind} ${schema.name}` : schema.kind;
}

function below(at: Place, step: string): Place {
  return { path: at.path + step, known: at.known };
}
