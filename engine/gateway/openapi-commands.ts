import type { RecordType } from "../topic.ts";
import type { AggregateApi, Api } from "./api.ts";
import type { JsonSchema } from "./json-schema.ts";
import { exampleOf } from "./openapi-examples.ts";
import {
  commonRefusals,
  count,
  indexedId,
  instant,
  jsonContent,
  type Named,
  objectOf,
  parameter,
  pascal,
  refTo,
  text,
  version,
} from "./openapi-parts.ts";
import { refusals, retryAfter } from "./openapi-problems.ts";

/** The commands in the OpenAPI document, and what becomes of them. */

export function commandPaths({ topics }: AggregateApi): readonly (readonly [string, JsonSchema])[] {
  return topics.commands.records.map((record) => {
    const post = {
      tags: ["commands"],
      operationId: record.name.charAt(0).toLowerCase() + record.name.slice(1),
      summary: summaryOf(record),
      parameters: ["waitMs", "idempotencyKey", "correlationId", "traceparent"].map(parameter),
      requestBody: {
        required: true,
        content: jsonContent(refTo(record.fullName), {
          examples: { [record.name]: { value: exampleOf(record) } },
        }),
      },
      responses: commandResponses(topics.aggregate),
    };
    return [`/commands/${record.name}`, { post }] as const;
  });
}

function commandResponses(aggregate: string): JsonSchema {
  const id = "$response.body#/aggregateId";
  const token = "$response.body#/token";
  const links = {
    status: {
      operationId: "readCommandStatus",
      parameters: { id: "$response.body#/commandId", aggregate, aggregateId: id },
    },
    state: { operationId: `read${pascal(aggregate)}State`, parameters: { id, token } },
    events: { operationId: `read${pascal(aggregate)}Events`, parameters: { id, token } },
  };
  const { status } = links;
  const accepted = { description: "Accepted: its events are kept.", links };
  return {
    200: { ...accepted, content: jsonContent(refTo("Accepted")) },
    202: { ...pendingResponse, links: { status } },
    ...commandRefusals,
  };
}

const pendingResponse: JsonSchema = {
  description:
    "In the log, and not answered in time. It will be handled: ask for the answer later.",
  headers: {
    Location: {
      description: "Where the answer can be asked for.",
      required: true,
      schema: { type: "string", format: "uri-reference" },
    },
    "Retry-After": { ...retryAfter, required: true },
  },
  content: jsonContent(refTo("Pending")),
};

const commandRefusals = refusals(
  ...commonRefusals,
  "COMMAND_FAILED",
  "REJECTED",
  "EXPIRED",
  "VERSION_CONFLICT",
  "TOO_LARGE",
  "UNSUPPORTED_MEDIA_TYPE",
  "COMMAND_ID_REUSED",
  "TOO_MANY_IN_FLIGHT",
  "NOT_READY",
  "NOT_ACKNOWLEDGED",
);

export function statusPath({ aggregates }: Api): JsonSchema {
  const names = aggregates.map(({ topics }) => topics.aggregate);
  const get = {
    tags: ["commands"],
    operationId: "readCommandStatus",
    summary: "What became of a command",
    description:
      "By its id. Where an id was used on several aggregates, name the one that is meant. The address in the " +
      "answer 202 has all of these parameters.",
    parameters: [
      { name: "id", in: "path", required: true, schema: indexedId, example: "my-command-1" },
      { name: "aggregate", in: "query", schema: { type: "string", enum: names } },
      { name: "aggregateId", in: "query", schema: indexedId },
      {
        name: "at",
        in: "query",
        description: "Where the command stands in the log, from the answer 202; with `aggregate`.",
        schema: { type: "string", pattern: "^[0-9]{1,9}-[0-9]{1,18}$" },
      },
    ],
    responses: {
      200: {
        description: "Its answer; `pending` where it has none yet.",
        content: jsonContent(refTo("CommandStatus")),
      },
      ...refusals(...commonRefusals, "NOT_FOUND", "AMBIGUOUS", "VIEWS_UNAVAILABLE"),
    },
  };
  return { get };
}

const tokenSchema: JsonSchema = {
  type: "string",
  description: "For `?token=` of a read that is to show what this command did.",
};

export const answerSchemas: Named = {
  Accepted: objectOf({
    outcome: { const: "accepted" },
    commandId: text,
    aggregateId: text,
    version: { ...version, description: "The aggregate's version after the command." },
    duplicate: { type: "boolean", description: "Whether this answer has been given before." },
    token: tokenSchema,
  }),
  Pending: objectOf({
    outcome: { const: "pending" },
    commandId: text,
    aggregateId: text,
    status: { type: "string", format: "uri-reference" },
  }),
  CommandStatus: objectOf(
    {
      commandId: text,
      aggregate: text,
      aggregateId: { type: ["string", "null"] },
      outcome: { enum: ["accepted", "rejected", "conflict", "failed", "pending"] },
      version: { ...count, type: ["integer", "null"] },
      reason: { type: ["string", "null"], description: "Why not, or the code of the failure." },
      answeredAt: { ...instant, type: ["string", "null"] },
    },
    { token: tokenSchema },
  ),
};

/** The first sentence of what its author wrote about a record. */
function summaryOf({ name, versions }: RecordType): string {
  const { doc } = (versions.at(-1) ?? versions[0]).schema as { readonly doc?: unknown };
  return typeof doc === "string" ? doc.replace(/\.$/, "") : name;
}
