import { type RecordSchema, shortName } from "../avro/avro-schema.ts";
import { byFolder, byFullName, type Source } from "./sources.ts";
import {
  capitalized,
  declarationOf,
  type Dialect,
  docOf,
  indented,
  namedTypes,
  type TypescriptOptions,
} from "./typescript.ts";

/** What a client reads: JSON, with every field that there is. */
const read: Dialect = {
  bytes: "string",
  nameOf: ({ name }) => shortName(name),
  mayBeLeftOut: () => false,
};

/** What a client gives: JSON, and what has a default may be left out; an id is made where there is none. */
const given: Dialect = {
  bytes: "string",
  nameOf: ({ name }) => `${shortName(name)}Fields`,
  mayBeLeftOut: (field) => field.default !== undefined || field.name === "commandId",
};

/** What every aggregate of a client has beside its commands. */
const ownMethods: readonly string[] = ["state", "events", "waitFor"];

/**
 * TypeScript for `foldlog/client`: for each folder a function that opens the aggregate over a connection, with a
 * method a command, and the types of all that is given and read; but for the retired. Imports nothing of
 * Node. Valid, not pretty: the caller formats it.
 * @throws Error where two types, or two methods, would get one name
 */
export function clientTypescriptOf(
  sources: readonly Source[],
  { command, importsFrom, retired }: TypescriptOptions,
): string {
  const types = new Map<string, string>();
  const declare = (records: readonly RecordSchema[], dialect: Dialect) => {
    const seen = new Set<RecordSchema>();
    for (const schema of records.flatMap((record) => namedTypes(record, seen))) {
      const name = schema.kind === "record" ? dialect.nameOf(schema) : shortName(schema.name);
      const text = declarationOf(schema, dialect);
      if ((types.get(name) ?? text) !== text) {
        throw new Error(`two different types named ${name} in the module for clients`);
      }
      types.set(name, text);
    }
  };

  const aggregates: string[] = [];
  for (const [folder, all] of byFolder(sources)) {
    const live = newestOf(all.filter(({ schema }) => !retired.has(schema.name)));
    const of = (kind: Source["kind"]) =>
      live.filter((source) => source.kind === kind).map(({ schema }) => schema);
    const commands = of("command");
    if (commands.length === 0) continue;
    const events = of("event");
    const states = of("state").slice(0, 1);
    declare(commands, given);
    declare([...events, ...states], read);
    aggregates.push(aggregateOf(folder, { commands, events, state: states[0] }));
  }

  const banner = `Generated from the .avsc files by \`${command}\`. Never edited: a test holds it fresh.`;
  const imported =
    "aggregateClient, type AggregateReads, type Answer, type Connection, type SendOptions";
  const head = `/**\n * ${banner}\n */\nimport { ${imported} } from "${importsFrom}";\n`;
  return [head, ...aggregates, ...types.values()].join("\n");
}

/** The newest version of each record. */
function newestOf(sources: readonly Source[]): readonly Source[] {
  return [...byFullName(sources).values()].flatMap((versions) => versions.slice(-1));
}

interface Records {
  readonly commands: readonly RecordSchema[];
  readonly events: readonly RecordSchema[];
  readonly state: RecordSchema | undefined;
}

function aggregateOf(folder: string, { commands, events, state }: Records): string {
  const name = capitalized(folder);
  const methods = commands.map((record) => ({ record, method: methodOf(folder, record) }));
  const reads = `AggregateReads<${state ? shortName(state.name) : "object"}, ${name}Event, R>`;
  const signatures = methods.map(({ record, method }) =>
    indented(
      `${docOf(record.doc)}${method}(fields: ${given.nameOf(record)}, options?: SendOptions): Promise<Answer<R>>;\n`,
    ),
  );
  const types = methods.map(({ record, method }) => `${method}: "${shortName(record.name)}"`);
  const union = events.map(
    (record) =>
      `| { readonly type: "${shortName(record.name)}"; readonly data: ${shortName(record.name)} }`,
  );
  return [
    `/** The ${folder} to a client; \`R\` is the union of the reasons for which it says no. */`,
    `export interface ${name}Client<R extends string = string> extends ${reads} {`,
    `${signatures.join("")}}\n`,
    `/** For \`client(…, { aggregates: { ${folder}: ${folder}Client } })\`. */`,
    `export function ${folder}Client<R extends string = string>(connection: Connection): ${name}Client<R> {`,
    `  return aggregateClient(connection, "${folder}", { ${types.join(", ")} });`,
    `}\n`,
    `/** Every event of the ${folder}. */`,
    `export type ${name}Event = ${union.length === 0 ? "never" : union.join(" ")};\n`,
  ].join("\n");
}

function methodOf(folder: string, { name }: RecordSchema): string {
  const short = shortName(name);
  const method = short.charAt(0).toLowerCase() + short.slice(1);
  if (!ownMethods.includes(method)) return method;
  throw new Error(
    `the command ${short} of the ${folder} would hide the client's own method ${method}; say what is to be ` +
      "done in more than a word",
  );
}
