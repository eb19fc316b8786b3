import { type Api } from "./api.ts";
import type { JsonSchema } from "./json-schema.ts";
import { aggregatePaths, aggregateSchemas } from "./openapi-aggregates.ts";
import { answerSchemas, commandPaths, statusPath } from "./openapi-commands.ts";
import { commonRefusals, jsonContent, type Named, parameters, text } from "./openapi-parts.ts";
import { problemSchemas, refusals } from "./openapi-problems.ts";
import { recordComponents } from "./openapi-records.ts";
import { viewPart } from "./openapi-views.ts";
import type { ViewShape } from "./view-shape.ts";

/**
 * The OpenAPI 3.1 document of a gateway: every route, what it takes and each way it answers, made from the same
 * schemas that requests are checked by. `views` is `null` until Postgres has been seen; the views are then
 * described without their columns. Bounds of 64 bits are `bigint`: it is written by `toJson`.
 */
export function openApi(api: Api, views: readonly ViewShape[] | null): object {
  const fromViews = viewPart(views);
  return {
    openapi: "3.1.0",
    info: { title: api.title, version: api.version, description: introduction },
    servers: [{ url: "/" }],
    tags: [
      { name: "commands", description: "Ask for a change, and learn what became of it." },
      { name: "views", description: "Read what the events add up to." },
      { name: "aggregates", description: "Read one aggregate as it is or was, and its events." },
      { name: "service", description: "About this server." },
    ],
    paths: {
      ...Object.fromEntries(api.aggregates.flatMap(commandPaths)),
      "/commands/{id}": statusPath(api),
      ...fromViews.paths,
      ...Object.fromEntries(api.aggregates.flatMap(aggregatePaths)),
      ...servicePaths,
    },
    components: {
      parameters,
      schemas: {
        ...answerSchemas,
        ...recordComponents(api),
        ...Object.fromEntries(api.aggregates.flatMap(aggregateSchemas)),
        ...fromViews.schemas,
        ...problemSchemas(),
      },
    },
  };
}

const introduction = [
  "A command asks for a change. It is sent by `POST /commands/<Type>` and answered by the business: 200 says that " +
    "it was accepted and its events are kept; 409 that it was rejected, with the reason; 202 that the answer has " +
    "not come in time and where to ask for it.",
  "A command id stands for one intent. The same command sent again with the same id is done once and gets the " +
    "same answer, so a client that got no answer just sends it again. Give the id in the header " +
    "`Idempotency-Key`; a UUIDv7 is best.",
  "Views follow the events a little later. The `token` of an accepted command, given as `?token=`, makes a read " +
    "wait until the view has that command.",
  "Every refusal is `application/problem+json` (RFC 9457): `code` says which kind, `detail` what to do about it.",
].join("\n\n");

function plainAnswer(description: string): JsonSchema {
  return { description, content: { "text/plain": { schema: text } } };
}

function serviceOperation(operationId: string, summary: string, responses: JsonSchema): JsonSchema {
  return { get: { tags: ["service"], operationId, summary, responses } };
}

const page = { "text/html": { schema: text } };

const servicePaths: Named = {
  "/": serviceOperation("readReference", "This document as a page for people", {
    200: { description: "The page.", content: page },
    ...refusals(...commonRefusals),
  }),
  "/openapi.json": serviceOperation("readOpenApi", "This document", {
    200: { description: "OpenAPI 3.1.", content: jsonContent({ type: "object" }) },
    ...refusals(...commonRefusals),
  }),
  "/livez": serviceOperation("readLiveness", "Whether this process runs", {
    200: plainAnswer("It does."),
  }),
  "/readyz": serviceOperation(
    "readReadiness",
    "Whether commands are taken, and what cannot be done",
    {
      200: plainAnswer("They are."),
      503: plainAnswer("They are not, and why."),
    },
  ),
  "/problems/{problem}": {
    get: {
      tags: ["service"],
      operationId: "readProblem",
      summary: "What a problem means, for people: the address in its `type`",
      parameters: [{ name: "problem", in: "path", required: true, schema: text }],
      responses: {
        200: { description: "The page.", content: page },
        ...refusals(...commonRefusals, "NOT_FOUND"),
      },
    },
  },
};
