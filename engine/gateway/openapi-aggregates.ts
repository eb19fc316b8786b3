import type { RecordType } from "../topic.ts";
import { type AggregateApi, apiLimits } from "./api.ts";
import type { JsonSchema } from "./json-schema.ts";
import {
  commonRefusals,
  count,
  indexedId,
  instant,
  jsonContent,
  objectOf,
  parameter,
  pascal,
  refTo,
  text,
  version,
} from "./openapi-parts.ts";
import { refusals } from "./openapi-problems.ts";
import { answerRecord } from "./openapi-records.ts";
import type { ProblemCode } from "./problem.ts";

/** The aggregates in the OpenAPI document: their states and their events. */

/** ISO 8601 to the minute at least, with its zone. */
const zoned =
  "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\\.[0-9]{1,9})?)?(?:Z|[+-][0-9]{2}:[0-9]{2})$";

export function aggregatePaths({
  topics,
}: AggregateApi): readonly (readonly [string, JsonSchema])[] {
  const { aggregate } = topics;
  const name = pascal(aggregate);
  const example = `${aggregate}-1`;
  const id = { name: "id", in: "path", required: true, schema: indexedId, example };
  const refused: readonly ProblemCode[] = [
    ...commonRefusals,
    "INVALID_TOKEN",
    "NOT_FOUND",
    "BEHIND",
    "NOT_READY",
    "VIEWS_UNAVAILABLE",
  ];
  const state = {
    tags: ["aggregates"],
    operationId: `read${name}State`,
    summary: `The ${aggregate} as it is, or was`,
    description:
      "As it is now, at a version, or at an instant; `version` and `at` exclude each other.",
    parameters: [
      id,
      {
        name: "version",
        in: "query",
        description: "As it was after this event.",
        schema: { ...version, maximum: Number.MAX_SAFE_INTEGER },
      },
      {
        name: "at",
        in: "query",
        description: "As it was at this instant.",
        schema: { ...instant, pattern: zoned },
      },
      ...["token", "waitMs"].map(parameter),
    ],
    responses: {
      200: { description: "Its state.", content: jsonContent(refTo(`${name}State`)) },
      ...refusals(...refused),
    },
  };
  return [
    [`/aggregates/${aggregate}/{id}`, { get: state }],
    [`/aggregates/${aggregate}/{id}/events`, { get: eventsOperation(aggregate, id, refused) }],
  ];
}

function eventsOperation(
  aggregate: string,
  id: JsonSchema,
  refused: readonly ProblemCode[],
): JsonSchema {
  const { fallback, most } = apiLimits.pageRows;
  const page = objectOf({
    events: { type: "array", maxItems: most, items: refTo(`${pascal(aggregate)}Event`) },
    next: { ...version, type: ["integer", "null"], description: "`after` of the next page." },
  });
  return {
    tags: ["aggregates"],
    operationId: `read${pascal(aggregate)}Events`,
    summary: `What has happened to the ${aggregate}`,
    description: "Its events in their order. `next` is null on the last page.",
    parameters: [
      id,
      {
        name: "after",
        in: "query",
        description: "Only events after this version.",
        schema: { ...count, maximum: Number.MAX_SAFE_INTEGER },
      },
      {
        name: "limit",
        in: "query",
        description: "The most events of one page.",
        schema: { type: "integer", minimum: 1, maximum: most, default: fallback },
      },
      ...["token", "waitMs"].map(parameter),
    ],
    responses: {
      200: { description: "A page of events.", content: jsonContent(page) },
      ...refusals(...refused),
    },
  };
}

export function aggregateSchemas({
  topics,
}: AggregateApi): readonly (readonly [string, JsonSchema])[] {
  const { aggregate, events, snapshots } = topics;
  const [state] = snapshots.records;
  const refs = events.records.map((record) => refTo(record.fullName));
  const mapping = Object.fromEntries(events.records.map(({ name }, i) => [name, refs[i]?.$ref]));
  const event = { oneOf: refs, discriminator: { propertyName: "type", mapping } };
  return [
    ...events.records.map((record) => [record.fullName, eventSchema(record)] as const),
    [`${pascal(aggregate)}Event`, event],
    [
      `${pascal(aggregate)}State`,
      objectOf({
        aggregate: { const: aggregate },
        id: text,
        version: { ...version, description: "How many events it has." },
        time: { ...instant, description: "Of its last event." },
        state: state === undefined ? {} : answerRecord(state).root,
      }),
    ],
  ];
}

function eventSchema(record: RecordType): JsonSchema {
  const { root } = answerRecord(record);
  const schema = objectOf(
    { version, type: { const: record.name }, time: instant, commandId: text, data: root },
    { correlationId: text, causationId: text, actor: text },
  );
  return { title: record.name, ...schema };
}
