import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { fingerprintOf, parseSchema } from "../engine/avro/avro-schema.ts";
import { staleFiles } from "../engine/schemas/generate.ts";
import { catalog } from "../topics/catalog.ts";
import { generate } from "./generate.ts";

const root = join(import.meta.dirname, "..");

test("the generated files are fresh and no schema breaks a rule; if not: npm run schemas", async () => {
  const { problems, generated } = await generate(root);
  expect(problems).toEqual([]);
  expect(staleFiles(generated)).toEqual([]);
});

test("each constant in the catalog has the fingerprint of its own schema", () => {
  for (const { versions } of catalog.flatMap((topic) => topic.records)) {
    for (const { fingerprint, schema } of versions) {
      expect(fingerprintOf(parseSchema(schema))).toBe(fingerprint);
    }
  }
});

let copy = "";

beforeEach(() => {
  copy = mkdtempSync(join(tmpdir(), "schemas-"));
  cpSync(join(root, "schemas"), join(copy, "schemas"), {
    recursive: true,
    filter: (path) => !path.endsWith(".ts"),
  });
});

afterEach(() => {
  rmSync(copy, { recursive: true });
});

type Attributes = Readonly<Record<string, unknown>>;

function read(file: string): Attributes {
  return JSON.parse(readFileSync(join(copy, "schemas", file), "utf8")) as Attributes;
}

function write(file: string, json: object | string): void {
  const path = join(copy, "schemas", file);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, typeof json === "string" ? json : JSON.stringify(json));
}

async function problems(): Promise<readonly string[]> {
  return (await generate(copy)).problems;
}

function schemaOf(name: string, attributes: object = {}): object {
  return {
    type: "record",
    name,
    namespace: "bank.account",
    kind: "event",
    fields: [],
    ...attributes,
  };
}

test("a copy of the schemas is without problems, so that the tests below show what they change", async () => {
  expect(await problems()).toEqual([]);
});

const field = (type: unknown, more: object = {}) => ({ fields: [{ name: "f", type, ...more }] });
const ids = [
  { name: "commandId", type: "string" },
  { name: "accountId", type: "string" },
];
const command = (...fields: readonly object[]) => ({
  kind: "command",
  fields: [...ids, ...fields],
});

test.each<[string, string, object | string, string]>([
  ["a file that is not JSON", "account/Bad.v1.avsc", "{", "account/Bad.v1.avsc: Expected property"],
  [
    "a file at the wrong place",
    "Bad.v1.avsc",
    schemaOf("Bad"),
    "must be <folder>/<Record>.v<version>",
  ],
  ["a file too deep", "a/b/Bad.v1.avsc", schemaOf("Bad"), "must be <folder>/<Record>.v<version>"],
  ["a version 0", "account/Bad.v0.avsc", schemaOf("Bad"), "must be <folder>/<Record>.v<version>"],
  ["another name", "account/Bad.v1.avsc", schemaOf("Good"), "holds the record Good"],
  [
    "another namespace",
    "account/Bad.v1.avsc",
    schemaOf("Bad", { namespace: "bank.transfer" }),
    'the namespace is "bank.transfer"; in this folder it must be <namespace>.account',
  ],
  [
    "a namespace of the application among the engine's",
    "foldlog/Bad.v1.avsc",
    schemaOf("Bad"),
    'the namespace is "bank.account"; in this folder it must be foldlog',
  ],
  [
    "no kind",
    "account/Bad.v1.avsc",
    schemaOf("Bad", { kind: "message" }),
    'needs the attribute "kind": one of command, event, state, reply',
  ],
  [
    "a missing version",
    "account/Bad.v2.avsc",
    schemaOf("Bad"),
    "account/Bad: version 1 is missing before 2",
  ],
  [
    "a type that is not there",
    "account/Bad.v1.avsc",
    schemaOf("Bad", field("Money")),
    'schema.f: unknown type "Money"',
  ],
  [
    "an enum in an event without a default",
    "account/Bad.v1.avsc",
    schemaOf("Bad", field({ type: "enum", name: "E", symbols: ["A"] })),
    "Bad.f: an enum in an event needs a default from v1",
  ],
  [
    "such an enum deep within",
    "account/Bad.v1.avsc",
    schemaOf(
      "Bad",
      field(["null", { type: "array", items: { type: "enum", name: "E", symbols: ["A"] } }]),
    ),
    "Bad.f[]: an enum in an event needs a default from v1",
  ],
  [
    "a union of more than null and one",
    "account/Bad.v1.avsc",
    schemaOf("Bad", field(["null", "int", "string"])),
    "Bad.f: a union must be [null, X]",
  ],
  [
    "a union with null last",
    "account/Bad.v1.avsc",
    schemaOf("Bad", field(["int", "null"])),
    "Bad.f: a union must be [null, X]",
  ],
  ...["__proto__", "constructor", "prototype", "toString"].map(
    (name): [string, string, object, string] => [
      `a field ${name}`,
      "account/Bad.v1.avsc",
      schemaOf("Bad", { fields: [{ name, type: "int" }] }),
      `Bad: no field may be ${name}`,
    ],
  ),
  [
    "a map key __proto__ in a default",
    "account/Bad.v1.avsc",
    JSON.stringify(schemaOf("Bad", field({ type: "map", values: "int" }, { default: {} }))).replace(
      '"default":{}',
      '"default":{"__proto__":1}',
    ),
    "no key may be __proto__, in a default neither",
  ],
  [
    "a default that does not fit",
    "account/Bad.v1.avsc",
    schemaOf("Bad", field("int", { default: "x" })),
    "avsc does not take it: incompatible field default",
  ],
  [
    "a command without an id",
    "account/Bad.v1.avsc",
    schemaOf("Bad", { ...command(), fields: ids.slice(1) }),
    "a command of the account needs the field commandId of type string",
  ],
  [
    "a command without its aggregate's id",
    "account/Bad.v1.avsc",
    schemaOf("Bad", {
      ...command(),
      fields: [ids[0], { name: "accountId", type: ["null", "string"] }],
    }),
    "a command of the account needs the field accountId of type string",
  ],
  [
    "an issue time that is not nullable",
    "account/Bad.v1.avsc",
    schemaOf("Bad", command({ name: "issuedAt", type: "long" })),
    'issuedAt must be of type ["null", "long"] with the default null',
  ],
  [
    "one record name in two folders",
    "card/AccountOpened.v1.avsc",
    schemaOf("AccountOpened", { namespace: "bank.card" }),
    "bank.account.AccountOpened (account/AccountOpened.v1.avsc) and bank.card.AccountOpened have one name",
  ],
  [
    "one type name for two enums",
    "account/Bad.v1.avsc",
    schemaOf("Bad", field({ type: "enum", name: "AccountStatus", symbols: ["A"], default: "A" })),
    "two different types named AccountStatus",
  ],
])("%s is refused", async (_, file, json, problem) => {
  write(file, json);
  expect((await problems()).join("\n")).toContain(problem);
});

test("a published version is held still, its docs apart", async () => {
  const file = "account/FundsDeposited.v1.avsc";
  const before = read(file);
  write(file, { ...before, doc: "Better words." });
  expect(await problems()).toEqual([]);

  const [amount, ...others] = before["fields"] as readonly object[];
  const changes = [
    { fields: [{ ...amount, name: "amount" }, ...others] },
    { fields: [{ ...amount, default: 0 }, ...others] },
    { fields: [{ ...amount, aliases: ["sum"] }, ...others] },
  ];
  for (const change of changes) {
    write(file, { ...before, ...change });
    expect((await problems()).join()).toContain(`${file}: a published version must not change`);
  }
  rmSync(join(copy, "schemas", file));
  expect((await problems()).join()).toContain(
    "bank.account.FundsDeposited.v1 was published and its file is gone",
  );
});

test("every later version must go with every earlier one", async () => {
  const v1 = { fields: [{ name: "a", type: "int", default: 0 }] };
  const v2 = { fields: [] };
  const v3 = { fields: [{ name: "a", type: "string", default: "" }] };
  for (const [i, version] of [v1, v2, v3].entries()) {
    write(`account/Moved.v${i + 1}.avsc`, schemaOf("Moved", version));
  }
  expect(await problems()).toEqual([
    "account/Moved.v3.avsc: v3 of Moved does not go with v1: bank.account.Moved.a: int becomes string",
  ]);
});

test("a private state may change as it likes, the engine's own may not", async () => {
  const v2 = { ...read("account/AccountState.v1.avsc"), fields: [{ name: "all", type: "string" }] };
  write("account/AccountState.v2.avsc", v2);
  expect(await problems()).toEqual([]);
  write("foldlog/Position.v2.avsc", { ...read("foldlog/Position.v1.avsc"), fields: [] });
  expect((await problems()).join()).toContain("v2 of Position does not go with v1");
});

test("a record changes no kind from one version to the next", async () => {
  write("account/Moved.v1.avsc", schemaOf("Moved"));
  write("account/Moved.v2.avsc", schemaOf("Moved", { kind: "state" }));
  expect(await problems()).toEqual([
    "account/Moved.v1.avsc: has the kind event, but account/Moved.v2.avsc has state",
  ]);
});

test("the newest version gives the type, every version is in the constant, new ones are published", async () => {
  write("account/Moved.v1.avsc", schemaOf("Moved", { doc: "Once." }));
  const kinds = { type: "enum", name: "Kind", symbols: ["a", "b"], default: "a", doc: "Which." };
  const fields = [
    { name: "kind", type: kinds, default: "a" },
    { name: "parts", type: { type: "array", items: ["null", "double"] }, default: [] },
    { name: "seals", type: { type: "map", values: "bytes" }, default: {}, doc: "Ends */ here." },
    { name: "at", type: { type: "long", logicalType: "timestamp-millis" }, default: 0 },
    { name: "next", type: ["null", "Moved"], default: null },
  ];
  write("account/Moved.v2.avsc", schemaOf("Moved", { doc: "Now.", fields }));
  const { generated, problems: none } = await generate(copy);
  expect(none).toEqual([]);
  const types = generated.get(join(copy, "schemas", "generated.ts")) ?? "";
  expect(types).toContain(`/** Now. */
export interface Moved {
  readonly kind: Kind;
  readonly parts: readonly (number | null)[];
  /** Ends *\\/ here. */
  readonly seals: Readonly<Record<string, Buffer>>;
  /** Milliseconds since the epoch. */
  readonly at: number;
  readonly next: Moved | null;
}`);
  expect(types).toContain('/** Which. */\nexport type Kind = "a" | "b";');
  expect(types).toContain('| { readonly type: "Moved"; readonly data: Moved }');
  expect(types.slice(types.indexOf("const Moved: RecordType"))).toMatch(
    /version: 1,[^]*version: 2,/,
  );
  const published = generated.get(join(copy, "schemas", "published.json")) ?? "";
  expect(Object.keys(JSON.parse(published) as object)).toContain("bank.account.Moved.v2");
});

test("a record that has an upcast leaves the union and stays readable", async () => {
  write("account/Moved.v1.avsc", schemaOf("Moved"));
  const upcast = () => ({ type: "FundsDeposited", data: {} });
  const { generated } = await generate(copy, { "bank.account.Moved": upcast });
  const types = generated.get(join(copy, "schemas", "generated.ts")) ?? "";
  expect(types).toContain("export const Moved: RecordType");
  expect(types).not.toContain('type: "Moved"');
  expect((await generate(copy, { "bank.account.Gone": upcast })).problems).toEqual([
    "upcasts.ts: there is no record bank.account.Gone",
  ]);
});
