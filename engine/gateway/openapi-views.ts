import { apiLimits } from "./api.ts";
import type { JsonSchema } from "./json-schema.ts";
import { commonRefusals, type Named, objectOf, parameter, pascal, text } from "./openapi-parts.ts";
import { refusals } from "./openapi-problems.ts";
import type { ViewColumn, ViewShape } from "./view-shape.ts";
import { type ColumnKind, kindOf } from "./view-value.ts";

/** The views in the OpenAPI document: a path for each list and one for each row. */

const viewsSchema = objectOf({
  views: {
    type: "array",
    items: objectOf({
      name: text,
      key: { type: "array", items: text, description: "The columns of the key, in order." },
      columns: {
        type: "array",
        items: objectOf({ name: text, type: text, nullable: { type: "boolean" } }),
      },
    }),
  },
});

export interface ViewPart {
  readonly paths: Named;
  readonly schemas: Named;
}

/** `null` where Postgres has not been seen yet: then they are described without their columns. */
export function viewPart(views: readonly ViewShape[] | null): ViewPart {
  const parts = views === null ? [anyView] : views.map(partOf);
  return {
    paths: Object.assign({ "/views": catalogPath }, ...parts.map(({ paths }) => paths)) as Named,
    schemas: Object.assign({ Views: viewsSchema }, ...parts.map(({ schemas }) => schemas)) as Named,
  };
}

const catalogPath: JsonSchema = {
  get: {
    tags: ["views"],
    operationId: "listViews",
    summary: "The views, their keys and their columns",
    responses: {
      200: {
        description: "Every view that can be read.",
        content: { "application/json": { schema: { $ref: "#/components/schemas/Views" } } },
      },
      ...refusals(...commonRefusals, "VIEWS_UNAVAILABLE"),
    },
  },
};

const readRefusals = [
  ...commonRefusals,
  "INVALID_TOKEN",
  "NOT_FOUND",
  "BEHIND",
  "VIEWS_UNAVAILABLE",
] as const;

const freshness = [parameter("token"), parameter("waitMs")];

const limit = {
  name: "limit",
  in: "query",
  description: "The most rows of one page.",
  schema: {
    type: "integer",
    minimum: 1,
    maximum: apiLimits.pageRows.most,
    default: apiLimits.pageRows.fallback,
  },
};

const after = {
  name: "after",
  in: "query",
  description: "`next` of the page before, with the same filters and the same sort.",
  schema: text,
};

function partOf(view: ViewShape): ViewPart {
  const { name, key } = view;
  const row = `View.${name}`;
  const list = {
    get: {
      tags: ["views"],
      operationId: `list${pascal(name)}Rows`,
      summary: `Rows of ${name}`,
      description: listDescription,
      parameters: [...view.columns.flatMap(filtersOf), sortOf(view), limit, after, ...freshness],
      responses: pageResponses({ $ref: `#/components/schemas/${row}` }),
    },
  };
  const columns = key.flatMap((it) => view.columns.filter((column) => column.name === it));
  const one = {
    get: {
      tags: ["views"],
      operationId: `read${pascal(name)}Row`,
      summary: `One row of ${name}`,
      parameters: [
        ...columns.map((column) => ({
          name: column.name,
          in: "path",
          required: true,
          schema: givenSchema(column),
          ...exampleOf(column),
        })),
        ...freshness,
      ],
      responses: rowResponses({ $ref: `#/components/schemas/${row}` }),
    },
  };
  const rowPath = `/views/${name}/${key.map((it) => `{${it}}`).join("/")}`;
  return {
    paths: { [`/views/${name}`]: list, ...(key.length > 0 && { [rowPath]: one }) },
    schemas: { [row]: rowSchema(view) },
  };
}

const listDescription =
  "Filters are all to hold. Rows come in the order of `sort` (what is null last), then of the key. `next` is " +
  "the `after` of the next page, and null on the last one.";

const viewName = {
  name: "view",
  in: "path",
  required: true,
  schema: { type: "string", pattern: "^[a-z][a-z0-9_]*$" },
};
const anyRow: JsonSchema = { type: "object", description: "The columns by their names." };

const anyView: ViewPart = {
  schemas: {},
  paths: {
    "/views/{view}": {
      get: {
        tags: ["views"],
        operationId: "listRows",
        summary: "Rows of a view",
        description: listDescription,
        parameters: [
          viewName,
          {
            name: "filters",
            in: "query",
            description:
              "A column's name is a parameter: `<column>=v`, and `<column>.gt`, `.gte`, `.lt`, `.lte`.",
            style: "form",
            explode: true,
            schema: { type: "object", additionalProperties: text },
          },
          {
            name: "sort",
            in: "query",
            description: "A column; `-` before it for the greatest first.",
            schema: text,
          },
          limit,
          after,
          ...freshness,
        ],
        responses: pageResponses(anyRow),
      },
    },
    "/views/{view}/{key}": {
      get: {
        tags: ["views"],
        operationId: "readRow",
        summary: "One row of a view",
        description: "Where the key has more columns, each is a further part of the address.",
        parameters: [
          viewName,
          { name: "key", in: "path", required: true, schema: text },
          ...freshness,
        ],
        responses: rowResponses(anyRow),
      },
    },
  },
};

function pageResponses(row: JsonSchema): JsonSchema {
  const schema = {
    type: "object",
    required: ["rows", "next"],
    properties: {
      rows: { type: "array", maxItems: apiLimits.pageRows.most, items: row },
      next: { type: ["string", "null"], description: "`after` of the next page." },
    },
  };
  return {
    200: { description: "A page of rows.", content: { "application/json": { schema } } },
    ...refusals(...readRefusals, "INVALID_CURSOR"),
  };
}

function rowResponses(row: JsonSchema): JsonSchema {
  return {
    200: { description: "The row.", content: { "application/json": { schema: row } } },
    ...refusals(...readRefusals),
  };
}

function rowSchema({ name, columns }: ViewShape): JsonSchema {
  return {
    title: name,
    type: "object",
    required: columns.map((column) => column.name),
    properties: Object.fromEntries(columns.map((column) => [column.name, shownSchema(column)])),
  };
}

function kindOfColumn({ type }: ViewColumn): ColumnKind {
  return kindOf(type.replace(/\(.*?\)/, ""));
}

/** From this year to that, any day and any time of it, in a zone. */
const instantPattern =
  "^(?!0000)[0-9]{4}-[0-9]{2}-[0-9]{2}T(?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:\\.[0-9]{1,6})?)?" +
  "(?:Z|[+-](?:0[0-9]|1[0-5]):[0-5][0-9])$";

/** Postgres has no NUL in texts. */
const storable: JsonSchema = { type: "string", pattern: "^[^\\u0000]*$" };

/** Of a value as a request gives it; `null` where the column cannot be asked for by a value. */
const given: Readonly<Record<ColumnKind, JsonSchema | null>> = {
  integer: {
    type: "integer",
    format: "int64",
    minimum: -(2n ** 63n), // Written with all its digits, which a number would lose.
    maximum: 2n ** 63n - 1n,
  },
  numeric: {
    type: "string",
    pattern: "^-?[0-9]+(?:\\.[0-9]+)?$",
    maxLength: 1_000,
    examples: ["12.50"],
  },
  real: { type: "number", format: "float" },
  double: { type: "number", format: "double" },
  boolean: { type: "boolean" },
  text: storable,
  label: storable,
  instant: { type: "string", format: "date-time", pattern: instantPattern },
  date: { type: "string", format: "date" },
  uuid: { type: "string", format: "uuid" },
  json: null,
  other: storable, // An enum is one of these; what cannot be compared is refused with a word about it.
};

const orNotFinite = (schema: JsonSchema): JsonSchema => ({
  anyOf: [schema, { enum: ["NaN", "Infinity", "-Infinity"] }],
});

/** Of a value as an answer shows it; JSON may be anything. */
const answered: Readonly<Record<ColumnKind, JsonSchema>> = {
  integer: { type: "integer", format: "int64" },
  numeric: { type: "string", examples: ["12.50"] },
  real: orNotFinite({ type: "number", format: "float" }),
  double: orNotFinite({ type: "number", format: "double" }),
  boolean: { type: "boolean" },
  text,
  label: text,
  instant: { type: "string", format: "date-time" },
  date: { type: "string", format: "date" },
  uuid: { type: "string", format: "uuid" },
  json: {},
  other: text,
};

function givenSchema(column: ViewColumn): JsonSchema {
  const kind = kindOfColumn(column);
  const schema = given[kind] ?? storable;
  // As a part of an address, an empty text would be another address.
  return schema["type"] === "string" ? { ...schema, minLength: 1 } : schema;
}

/** For what people write by hand. */
function exampleOf(column: ViewColumn): JsonSchema {
  const { name } = column;
  switch (kindOfColumn(column)) {
    case "integer":
      return { example: 1 };
    case "text":
      return { example: name.endsWith("_id") ? `${name.slice(0, -3)}-1` : `some ${name}` };
    case "numeric":
    case "real":
    case "double":
    case "boolean":
    case "label":
    case "instant":
    case "date":
    case "uuid":
    case "json":
    case "other":
      return {};
  }
}

function shownSchema(column: ViewColumn): JsonSchema {
  const schema = answered[kindOfColumn(column)];
  if (!column.nullable || Object.keys(schema).length === 0) return schema;
  if (schema["type"] === undefined) return { anyOf: [schema, { type: "null" }] };
  return { ...schema, type: [schema["type"], "null"] };
}

/** Parameters of every list: a column of one of these names cannot be filtered by. */
const reserved: readonly string[] = ["limit", "sort", "after", "token", "waitMs"];

const ranges = [
  ["gt", "Greater than this."],
  ["gte", "This or greater."],
  ["lt", "Less than this."],
  ["lte", "This or less."],
] as const;

function filtersOf(column: ViewColumn): readonly JsonSchema[] {
  const { name } = column;
  const schema = given[kindOfColumn(column)];
  if (schema === null || reserved.includes(name)) return [];
  return [
    { name, in: "query", description: "Just this.", schema },
    ...ranges.map(([operator, description]) => ({
      name: `${name}.${operator}`,
      in: "query",
      description,
      schema,
    })),
  ];
}

function sortOf({ columns }: ViewShape): JsonSchema {
  const names = columns.filter((column) => given[kindOfColumn(column)] !== null);
  return {
    name: "sort",
    in: "query",
    description:
      "A column; `-` before it for the greatest first. Without it, the order of the key.",
    schema: { type: "string", enum: names.flatMap(({ name }) => [name, `-${name}`]) },
  };
}
