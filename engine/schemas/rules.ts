import { type AvroSchema, type FieldSchema, shortName } from "../avro/avro-schema.ts";
import { compileType } from "../avro/avro-type.ts";
import { messageOf } from "../errors.ts";
import { byFullName, engineFolder, type Source } from "./sources.ts";

/** Names that mean something to every JavaScript object: as a key they would vanish, or be there unasked. */
const reserved: readonly string[] = ["prototype", ...Object.getOwnPropertyNames(Object.prototype)];

/** What these files break of the rules of `schemas/README.md`; each problem begins with the file. */
export function problemsOf(sources: readonly Source[]): readonly string[] {
  return [
    ...sources.flatMap((source) => fileProblems(source).map((text) => `${source.file}: ${text}`)),
    ...[...byFullName(sources).values()].flatMap(versionProblems),
    ...nameProblems(sources),
  ];
}

function fileProblems({ folder, kind, schema, json }: Source): readonly string[] {
  const problems: string[] = [];
  const namespace = schema.name.slice(0, -shortName(schema.name).length - 1);
  const inEngine = folder === engineFolder;
  if (inEngine ? namespace !== engineFolder : !namespace.endsWith(`.${folder}`)) {
    const expected = inEngine ? engineFolder : `<namespace>.${folder}`;
    problems.push(`the namespace is "${namespace}"; in this folder it must be ${expected}`);
  }
  if (kind === "command" && !inEngine) problems.push(...commandProblems(schema.fields, folder));
  walk(schema, schema.name, (node, path) => {
    if (kind === "event" && node.kind === "enum" && node.default === null) {
      problems.push(
        `${path}: an enum in an event needs a default from v1, or no symbol can ever be added`,
      );
    }
    if (node.kind === "union" && !isNullable(node)) {
      problems.push(`${path}: a union must be [null, X]; others can never change, use a record`);
    }
    for (const field of node.kind === "record" ? node.fields : []) {
      if (reserved.includes(field.name)) problems.push(`${path}: no field may be ${field.name}`);
    }
  });
  try {
    compileType(json);
  } catch (error) {
    problems.push(`avsc does not take it: ${messageOf(error)}`);
  }
  for (const key of reservedKeys(json)) problems.push(`no key may be ${key}, in a default neither`);
  return problems;
}

/** What the command processor reads from every command. */
function commandProblems(fields: readonly FieldSchema[], folder: string): readonly string[] {
  const problems: string[] = [];
  for (const name of ["commandId", `${folder}Id`]) {
    const field = fields.find((candidate) => candidate.name === name);
    if (field?.schema.kind !== "string") {
      problems.push(`a command of the ${folder} needs the field ${name} of type string`);
    }
  }
  for (const name of ["issuedAt", "expectedVersion"]) {
    const field = fields.find((candidate) => candidate.name === name);
    if (field === undefined) continue;
    const [first, second] = field.schema.kind === "union" ? field.schema.branches : [];
    if (first?.kind !== "null" || second?.kind !== "long" || field.default !== null) {
      problems.push(`${name} must be of type ["null", "long"] with the default null`);
    }
  }
  return problems;
}

function isNullable(union: AvroSchema & { readonly kind: "union" }): boolean {
  return union.branches.length === 2 && union.branches[0]?.kind === "null";
}

function versionProblems(versions: readonly Source[]): readonly string[] {
  const newest = versions.at(-1);
  if (newest === undefined) return [];
  const problems: string[] = [];
  const name = shortName(newest.schema.name);
  for (const [i, { version }] of versions.entries()) {
    if (version !== i + 1) {
      problems.push(`${newest.folder}/${name}: version ${i + 1} is missing before ${version}`);
      break;
    }
  }
  const odd = versions.find((source) => source.kind !== newest.kind);
  if (odd)
    problems.push(`${odd.file}: has the kind ${odd.kind}, but ${newest.file} has ${newest.kind}`);
  return problems;
}

/** Records of one short name would be one message type, and one TypeScript type. */
function nameProblems(sources: readonly Source[]): readonly string[] {
  const problems: string[] = [];
  const taken = new Map<string, Source>();
  for (const source of sources) {
    const name = shortName(source.schema.name);
    const first = taken.get(name);
    taken.set(name, first ?? source);
    if (first !== undefined && first.schema.name !== source.schema.name) {
      const both = `${first.schema.name} (${first.file}) and ${source.schema.name}`;
      problems.push(`${source.file}: ${both} have one name; every record needs its own`);
    }
  }
  return problems;
}

/** Calls `visit` once for each schema within a schema, with a path for people. */
function walk(
  root: AvroSchema,
  name: string,
  visit: (node: AvroSchema, path: string) => void,
): void {
  const seen = new Set<AvroSchema>();
  const go = (node: AvroSchema, path: string) => {
    if (seen.has(node)) return;
    seen.add(node);
    visit(node, path);
    if (node.kind === "record") {
      for (const field of node.fields) go(field.schema, `${path}.${field.name}`);
    } else if (node.kind === "union") {
      for (const branch of node.branches) go(branch, path);
    } else if (node.kind === "array") {
      go(node.items, `${path}[]`);
    } else if (node.kind === "map") {
      go(node.values, `${path}{}`);
    }
  };
  go(root, shortName(name));
}

/** The reserved names among the keys of any object in this JSON. */
function reservedKeys(json: unknown): ReadonlySet<string> {
  const found = new Set<string>();
  const go = (value: unknown) => {
    if (typeof value !== "object" || value === null) return;
    for (const [key, inner] of Object.entries(value)) {
      if (reserved.includes(key)) found.add(key);
      go(inner);
    }
  };
  go(json);
  return found;
}
