import { Validator } from "@seriousme/openapi-schema-validator";
import { Ajv2020 } from "ajv/dist/2020.js";
import { expect, test } from "vitest";
import { accountDecider, bankTopics } from "../../test/bank.ts";
import { fromJson } from "../avro/avro-json.ts";
import type { Reply } from "../generated.ts";
import { aggregateTopics, type RecordType } from "../topic.ts";
import type { Api } from "./api.ts";
import { answered } from "./commands.ts";
import { toJson } from "./json.ts";
import { openApi } from "./openapi.ts";
import { exampleOf } from "./openapi-examples.ts";
import { Problem, problemTable } from "./problem.ts";
import type { ViewShape } from "./view-shape.ts";

const { commands, events, snapshots, replies } = bankTopics("test");
const [state, position] = snapshots.records;
const [reply] = replies.records;

function recordType(name: string, fields: readonly object[]): RecordType {
  const schema = { type: "record", name, namespace: "shop.order", fields };
  return {
    name,
    fullName: `shop.order.${name}`,
    versions: [{ version: 1, fingerprint: "", schema }],
  };
}

/** A record that holds itself, in a command and in an event. */
const box = {
  type: "record",
  name: "Box",
  fields: [
    { name: "label", type: "string", default: "" },
    { name: "boxes", type: { type: "array", items: "Box" }, default: [] },
  ],
};
const packOrder = recordType("PackOrder", [
  { name: "commandId", type: "string" },
  { name: "orderId", type: "string" },
  { name: "box", type: box },
  { name: "packedAt", type: { type: "long", logicalType: "timestamp-millis" } },
  { name: "seal", type: ["null", { type: "fixed", name: "Seal", size: 4 }], default: null },
  { name: "weights", type: { type: "map", values: "float" } },
  { name: "by", type: { type: "enum", name: "Carrier", symbols: ["Post", "Own"] } },
  { name: "size", type: ["int", "string"] },
]);
const orderPacked = recordType("OrderPacked", [{ name: "box", type: box }]);

const api: Api = {
  title: "The bank",
  version: "1.2.3",
  aggregates: [
    { topics: bankTopics("test"), decider: accountDecider },
    {
      topics: aggregateTopics({
        namespace: "shop",
        aggregate: "order",
        partitions: 1,
        commands: [packOrder],
        events: [orderPacked],
        state: recordType("OrderState", [{ name: "box", type: ["null", box] }]),
        reply: reply ?? packOrder,
        position: position ?? packOrder,
      }),
      decider: accountDecider,
    },
  ],
  projections: [],
};

const balances: ViewShape = {
  name: "balances",
  key: ["account_id"],
  columns: [
    { name: "account_id", type: "text", nullable: false },
    { name: "balance_cents", type: "bigint", nullable: false },
    { name: "rate", type: "numeric(10,2)", nullable: true },
    { name: "share", type: "double precision", nullable: true },
    { name: "limit", type: "integer", nullable: false },
    { name: "more", type: "jsonb", nullable: true },
    { name: "updated_at", type: "timestamp with time zone", nullable: false },
  ],
};
const statements: ViewShape = {
  name: "account_statements",
  key: ["account_id", "version"],
  columns: [
    { name: "version", type: "bigint", nullable: false },
    { name: "account_id", type: "text", nullable: false },
  ],
};

interface Operation {
  readonly operationId: string;
  readonly parameters?: readonly { readonly name?: string; readonly in?: string }[];
  readonly responses: Readonly<Record<string, unknown>>;
}

interface Document {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, object>> };
}

/** As clients get it. */
function documentWith(views: readonly ViewShape[] | null): Document & Record<string, unknown> {
  return JSON.parse(toJson(openApi(api, views))) as Document & Record<string, unknown>;
}

const document = documentWith([balances, statements]);

function operationsOf({ paths }: Document) {
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
  );
}

/** With the components as one schema, so that references within it are followed. */
const ajv = new Ajv2020({ strict: true, allowUnionTypes: true, allErrors: true });
ajv.addVocabulary(["discriminator", "components"]);
for (const format of ["int32", "int64", "float", "double"]) ajv.addFormat(format, true);
for (const format of ["date", "date-time", "uuid", "uri-reference"]) ajv.addFormat(format, true);
ajv.addSchema({ components: document.components }, "https://example.com/document");

/** What is wrong with a value by a component, or `null`. */
function misfits(component: string, value: unknown): unknown {
  const $ref = `https://example.com/document#/components/schemas/${component}`;
  const validate = ajv.compile({ $ref });
  return validate(JSON.parse(toJson(value))) ? null : validate.errors;
}

test.each([
  ["with the views", [balances, statements]],
  ["without them", null],
])("is a valid document of OpenAPI 3.1 %s", async (_, views) => {
  expect(await new Validator().validate(documentWith(views))).toStrictEqual({ valid: true });
});

test("every schema in it is one that a strict validator takes, and every reference leads to one", () => {
  for (const name of Object.keys(document.components.schemas)) {
    expect(() => misfits(name, {}), name).not.toThrow();
  }
  for (const [, $ref = ""] of JSON.stringify(document).matchAll(/"\$ref":"#([^"]*)"/g)) {
    const found = $ref
      .split("/")
      .slice(1)
      .reduce<unknown>((at, step) => (at as Record<string, unknown> | undefined)?.[step], document);
    expect(found, $ref).toBeTypeOf("object");
  }
});

test("each parameter of a path is declared, and no other is", () => {
  for (const { path, operation } of operationsOf(document)) {
    const inPath = [...path.matchAll(/\{([^}]+)\}/g)].map(([, name]) => name);
    const declared = (operation.parameters ?? []).filter((it) => it.in === "path");
    expect(
      declared.map(({ name }) => name),
      path,
    ).toStrictEqual(inPath);
  }
});

test("operations keep their names, which clients are generated by", () => {
  const ids = operationsOf(document).map(
    ({ path, method, operation }) => `${operation.operationId}: ${method} ${path}`,
  );
  expect(ids).toStrictEqual([
    "openAccount: post /commands/OpenAccount",
    "depositFunds: post /commands/DepositFunds",
    "withdrawFunds: post /commands/WithdrawFunds",
    "closeAccount: post /commands/CloseAccount",
    "packOrder: post /commands/PackOrder",
    "readCommandStatus: get /commands/{id}",
    "listViews: get /views",
    "listBalancesRows: get /views/balances",
    "readBalancesRow: get /views/balances/{account_id}",
    "listAccountStatementsRows: get /views/account_statements",
    "readAccountStatementsRow: get /views/account_statements/{account_id}/{version}",
    "readAccountState: get /aggregates/account/{id}",
    "readAccountEvents: get /aggregates/account/{id}/events",
    "readOrderState: get /aggregates/order/{id}",
    "readOrderEvents: get /aggregates/order/{id}/events",
    "readReference: get /",
    "readOpenApi: get /openapi.json",
    "readLiveness: get /livez",
    "readReadiness: get /readyz",
    "readProblem: get /problems/{problem}",
  ]);
});

test("the example of each command is taken as it stands, once it has an id", () => {
  for (const { topics } of api.aggregates) {
    for (const record of topics.commands.records) {
      const example = exampleOf(record);
      expect(misfits(record.fullName, example)).toBe(null);
      expect(fromJson(record, { ...example, commandId: "c" })).toMatchObject({ ok: true });
    }
  }
  expect(commands.records.map(exampleOf)).toStrictEqual([
    { accountId: "account-1", owner: "Ada Lovelace" },
    { accountId: "account-1", amountCents: 2500, reference: "Invoice 4711" },
    { accountId: "account-1", amountCents: 2500, reference: "Invoice 4711" },
    { accountId: "account-1" },
  ]);
});

test("every kind of problem is an answer of some operation, but for those of no operation", () => {
  const said = JSON.stringify(operationsOf(document).map(({ operation }) => operation.responses));
  const unsaid = Object.keys(problemTable).filter((code) => !said.includes(`Problem.${code}"`));
  expect(unsaid).toStrictEqual(["METHOD_NOT_ALLOWED"]);
});

const given = {
  topics: bankTopics("test"),
  commandId: "c",
  aggregateId: "a",
  record: {
    topic: "test.account.commands",
    partition: 0,
    key: "a",
    value: Buffer.alloc(0),
    headers: [],
    timestamp: 0,
  },
};
const replied: Reply = {
  commandId: "c",
  commandType: "OpenAccount",
  aggregateId: "a",
  commandOffset: 7,
  firstOffset: 7,
  outcome: "accepted",
  version: 3,
  reason: null,
  duplicate: false,
  payloadHash: null,
  issuedAt: null,
};

test("what a worker answers comes out as the document says", () => {
  expect(misfits("Accepted", answered(given, replied, 1))).toBe(null);
  const others: readonly (readonly [string, Partial<Reply>])[] = [
    ["REJECTED", { outcome: "rejected", reason: "NotOpen" }],
    ["VERSION_CONFLICT", { outcome: "conflict" }],
    ["COMMAND_FAILED", { outcome: "failed", version: null, reason: "TOO_LARGE" }],
    ["COMMAND_ID_REUSED", { outcome: "failed", version: null, reason: "COMMAND_ID_REUSED" }],
    ["EXPIRED", { outcome: "failed", version: null, reason: "EXPIRED" }],
  ];
  for (const [code, change] of others) {
    const problem = problemFrom(() => answered(given, { ...replied, ...change }, 1));
    expect(problem.code).toBe(code);
    expect(misfits(`Problem.${code}`, problem.body()), code).toBe(null);
    expect(misfits("Problem.NOT_READY", problem.body())).not.toBe(null);
  }
});

function problemFrom(attempt: () => unknown): Problem {
  try {
    attempt();
  } catch (error) {
    if (error instanceof Problem) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}

test("an event is known by its type, and its data by that", () => {
  const said = { version: 1, time: "2026-01-01T00:00:00.000Z", commandId: "c" };
  const opened = { ...said, type: "AccountOpened", data: { owner: "Ada" } };
  expect(misfits("AccountEvent", opened)).toBe(null);
  expect(misfits("AccountEvent", { ...opened, type: "FundsDeposited" })).not.toBe(null);
  expect(misfits("AccountEvent", { ...opened, type: "Foreign" })).not.toBe(null);
  expect(events.records.length).toBe(4);
  expect(state?.name).toBe("AccountState");
});

test("a record within others may lack its defaults in a request, and has them in an answer", () => {
  const order = { ...exampleOf(packOrder), box: { boxes: [{}] } };
  expect(misfits("shop.order.PackOrder", order)).toBe(null);
  const event = { version: 1, type: "OrderPacked", time: "2026-01-01T00:00:00Z", commandId: "c" };
  const whole = { label: "", boxes: [{ label: "", boxes: [] }] };
  expect(misfits("OrderEvent", { ...event, data: { box: whole } })).toBe(null);
  expect(misfits("OrderEvent", { ...event, data: { box: { boxes: [] } } })).not.toBe(null);
});

test("a list is filtered by what its columns can be compared with", () => {
  const list = document.paths["/views/balances"]?.["get"]?.parameters ?? [];
  const names = list.map(({ name }) => name);
  const filtered = ["account_id", "balance_cents", "rate", "share", "updated_at"];
  const filters = filtered.flatMap((it) => ["", ".gt", ".gte", ".lt", ".lte"].map((op) => it + op));
  // The token and the waiting are references; a column `limit` is hidden by the parameter.
  expect(names).toStrictEqual([...filters, "sort", "limit", "after", undefined, undefined]);
  const sort = list.find(({ name }) => name === "sort");
  expect(JSON.stringify(sort)).toContain('"-limit"');
  expect(JSON.stringify(sort)).not.toContain("more");
});

test("bounds of 64 bits keep all their digits", () => {
  const text = toJson(openApi(api, [balances]));
  expect(text).toContain('"minimum":-9223372036854775808,"maximum":9223372036854775807');
});

test("a row may be null where its column may", () => {
  const row = {
    account_id: "a",
    balance_cents: 2n ** 62n,
    rate: "1.50",
    share: "NaN",
    limit: 1,
    more: { any: [1] },
    updated_at: new Date(0),
  };
  expect(misfits("View.balances", row)).toBe(null);
  const empty = { ...row, rate: null, share: null, more: null };
  expect(misfits("View.balances", empty)).toBe(null);
  expect(misfits("View.balances", { ...row, balance_cents: null })).not.toBe(null);
  expect(misfits("View.balances", { ...row, rate: 1.5 })).not.toBe(null);
});
