import {
  type AvroSchema,
  type EnumSchema,
  type FieldSchema,
  fingerprintOf,
  type RecordSchema,
  shortName,
} from "../avro/avro-schema.ts";
import { byFolder, byFullName, type Source } from "./sources.ts";

export interface TypescriptOptions {
  /** How a person has the file written again. */
  readonly command: string;
  /** What the type `RecordType` is imported from. */
  readonly importsFrom: string;
  /** The full names of records that stay out of the unions. */
  readonly retired: ReadonlySet<string>;
}

/**
 * TypeScript for these records: an interface of the newest version, a constant with every version, and for
 * each folder the unions of its commands and of its events, but for the retired. Valid, not pretty: the caller
 * formats it.
 * @throws Error where two types would get one name
 */
export function typescriptOf(
  sources: readonly Source[],
  { command, importsFrom, retired }: TypescriptOptions,
): string {
  const declarations = new Map<string, string>();
  const declare = (name: string, text: string) => {
    const known = declarations.get(name);
    if (known !== undefined && known !== text) {
      throw new Error(
        `two different types named ${name}: TypeScript has one namespace for all folders`,
      );
    }
    declarations.set(name, text);
  };

  const constants: string[] = [];
  const declared = new Set<AvroSchema>();
  for (const versions of byFullName(sources).values()) {
    const newest = versions.at(-1);
    if (newest === undefined) continue;
    for (const schema of namedTypes(newest.schema, declared))
      declare(shortName(schema.name), declarationOf(schema));
    constants.push(constantOf(newest.schema, versions));
  }
  for (const [folder, members] of byFolder(sources)) {
    const live = members.filter((source) => !retired.has(source.schema.name));
    for (const kind of ["command", "event"] as const) {
      const names = new Set(
        live
          .filter((source) => source.kind === kind)
          .map((source) => shortName(source.schema.name)),
      );
      if (names.size > 0) {
        const union = `${capitalized(folder)}${capitalized(kind)}`;
        const lines = [...names].map(
          (name) => `{ readonly type: "${name}"; readonly data: ${name} }`,
        );
        const doc = docOf(`Every ${kind} of the ${folder}.`);
        declare(union, `${doc}export type ${union} = | ${lines.join(" | ")};\n`);
      }
    }
  }

  const banner = `Generated from the .avsc files by \`${command}\`. Never edited: a test holds it fresh.`;
  const head = `/**\n * ${banner}\n */\nimport type { RecordType } from "${importsFrom}";\n`;
  return [head, ...declarations.values(), ...constants].join("\n");
}

/** The records and enums in a schema, itself included, but for those already `seen`. */
export function namedTypes(
  schema: AvroSchema,
  seen: Set<AvroSchema>,
): readonly (RecordSchema | EnumSchema)[] {
  if (seen.has(schema)) return [];
  seen.add(schema);
  switch (schema.kind) {
    case "record":
      return [schema, ...schema.fields.flatMap((field) => namedTypes(field.schema, seen))];
    case "enum":
      return [schema];
    case "array":
      return namedTypes(schema.items, seen);
    case "map":
      return namedTypes(schema.values, seen);
    case "union":
      return schema.branches.flatMap((branch) => namedTypes(branch, seen));
    case "fixed":
    case "null":
    case "boolean":
    case "int":
    case "long":
    case "float":
    case "double":
    case "bytes":
    case "string":
      return [];
  }
}

/** How records are written: for processors, which get values, or for clients, which get and give JSON. */
export interface Dialect {
  /** What bytes are. */
  readonly bytes: "Buffer" | "string";
  readonly nameOf: (record: RecordSchema) => string;
  readonly mayBeLeftOut: (field: FieldSchema) => boolean;
}

const values: Dialect = {
  bytes: "Buffer",
  nameOf: ({ name }) => shortName(name),
  mayBeLeftOut: () => false,
};

/** The declaration of a named type, with its docstring. */
export function declarationOf(
  schema: RecordSchema | EnumSchema,
  dialect: Dialect = values,
): string {
  if (schema.kind === "record") return interfaceOf(schema, dialect);
  const symbols = schema.symbols.map((symbol) => `"${symbol}"`).join(" | ");
  return `${docOf(schema.doc)}export type ${shortName(schema.name)} = ${symbols};\n`;
}

function interfaceOf(record: RecordSchema, dialect: Dialect): string {
  const name = dialect.nameOf(record);
  const doc = docOf(record.doc);
  // An interface without members would take any value.
  if (record.fields.length === 0)
    return `${doc}export type ${name} = Readonly<Record<string, never>>;\n`;
  const fields = record.fields.map((field) => {
    const mark = dialect.mayBeLeftOut(field) ? "?" : "";
    const member = `readonly ${field.name}${mark}: ${typeOf(field.schema, dialect)};\n`;
    return indented(`${docOf(withUnit(field.doc, field.schema))}${member}`);
  });
  return `${doc}export interface ${name} {\n${fields.join("")}}\n`;
}

export function indented(text: string): string {
  return text.replaceAll(/^(?=.)/gm, "  ");
}

function typeOf(schema: AvroSchema, dialect: Dialect): string {
  switch (schema.kind) {
    case "null":
    case "boolean":
    case "string":
      return schema.kind;
    case "int":
    case "long":
    case "float":
    case "double":
      return "number";
    case "bytes":
    case "fixed":
      return dialect.bytes;
    case "enum":
      return shortName(schema.name);
    case "record":
      return dialect.nameOf(schema);
    case "array":
      return `readonly (${typeOf(schema.items, dialect)})[]`;
    case "map":
      return `Readonly<Record<string, ${typeOf(schema.values, dialect)}>>`;
    case "union":
      return [...schema.branches]
        .sort((a, b) => Number(a.kind === "null") - Number(b.kind === "null"))
        .map((branch) => typeOf(branch, dialect))
        .join(" | ");
  }
}

function withUnit(doc: string | null, schema: AvroSchema): string | null {
  const inner = schema.kind === "union" ? schema.branches.at(-1) : schema;
  const isInstant =
    inner !== undefined && "logicalType" in inner && inner.logicalType === "timestamp-millis";
  if (!isInstant) return doc;
  return `${doc === null ? "" : `${doc} `}Milliseconds since the epoch.`;
}

function constantOf(newest: RecordSchema, versions: readonly Source[]): string {
  const name = shortName(newest.name);
  const items = versions.map(
    ({ version, schema, json }) =>
      `{ version: ${version}, fingerprint: "${fingerprintOf(schema)}", schema: ${JSON.stringify(json)} }`,
  );
  return `export const ${name}: RecordType = {
  name: "${name}",
  fullName: "${newest.name}",
  versions: [${items.join(", ")}],
};\n`;
}

/** A comment with this text above a declaration; nothing for `null`. */
export function docOf(doc: string | null): string {
  if (doc === null) return "";
  const lines = doc.replaceAll("*/", "*\\/").split("\n");
  if (lines.length === 1 && doc.length < 90) return `/** ${lines.join("")} */\n`;
  const wrapped = lines.flatMap((line) => wrap(line, 95)).map((line) => ` * ${line}`.trimEnd());
  return `/**\n${wrapped.join("\n")}\n */\n`;
}

function wrap(text: string, width: number): readonly string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else {
      line = line === "" ? word : `${line} ${word}`;
    }
  }
  return [...lines, line];
}

export function capitalized(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
