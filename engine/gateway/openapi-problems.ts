import type { JsonSchema } from "./json-schema.ts";
import { count, text } from "./openapi-parts.ts";
import { problemHelp } from "./problem-help.ts";
import { type ProblemCode, problemTable } from "./problem.ts";

/** The refusals in the OpenAPI document: a schema for each code, and the answers that hold them. */

const codes = Object.keys(problemTable) as readonly ProblemCode[];

const nullable = (schema: JsonSchema): JsonSchema => ({
  ...schema,
  type: [schema["type"], "null"],
});

const errors: JsonSchema = {
  type: "array",
  minItems: 1,
  description: "All that is wrong with the request.",
  items: {
    type: "object",
    required: ["field", "message"],
    properties: {
      field: { type: "string", examples: ["query limit", "header Idempotency-Key", "body amount"] },
      message: text,
    },
  },
};

const version: JsonSchema = {
  ...nullable(count),
  description: "The version that the command met; null where it was not looked at.",
};

/** What is told of a command that was answered, beside the answer. */
function answered(outcome: string, reason: JsonSchema): JsonSchema {
  return {
    outcome: { const: outcome },
    commandId: text,
    aggregateId: text,
    version: outcome === "failed" ? version : { ...count, description: "The aggregate's version." },
    reason,
    duplicate: { type: "boolean", description: "Whether this answer has been given before." },
  };
}

const failure: JsonSchema = { type: "string", description: "The code of the failure." };

/** The members of each kind of problem beside the standard ones; all of them are there. */
const members: Readonly<Partial<Record<ProblemCode, JsonSchema>>> = {
  INVALID_REQUEST: { errors },
  INVALID_TOKEN: { errors },
  REJECTED: answered("rejected", {
    type: "string",
    description: "The state of affairs that forbids it, by its name.",
  }),
  VERSION_CONFLICT: answered("conflict", { type: ["string", "null"] }),
  COMMAND_FAILED: answered("failed", failure),
  EXPIRED: answered("failed", failure),
  COMMAND_ID_REUSED: answered("failed", failure),
  NOT_ACKNOWLEDGED: { commandId: text, aggregateId: text },
  BEHIND: {
    behind: {
      type: "object",
      required: ["commandOffset", "at"],
      properties: {
        commandOffset: { ...count, description: "How far the token asks the view to be." },
        at: { ...nullable(count), description: "How far it is; null before the first event." },
      },
    },
  },
  AMBIGUOUS: {
    aggregates: {
      type: "array",
      description: "Those that have had a command of this id.",
      items: {
        type: "object",
        required: ["aggregate", "aggregateId"],
        properties: { aggregate: text, aggregateId: nullable(text) },
      },
    },
  },
};

/** The last part of a problem's `type`. */
export function problemSlug(code: ProblemCode): string {
  return code.toLowerCase().replaceAll("_", "-");
}

/** A component for each code, by its name there. */
export function problemSchemas(): Readonly<Record<string, JsonSchema>> {
  return Object.fromEntries(codes.map((code) => [`Problem.${code}`, problemSchema(code)]));
}

function problemSchema(code: ProblemCode): JsonSchema {
  const { status, title } = problemTable[code];
  const more = members[code] ?? {};
  return {
    title,
    description: problemHelp[code].why,
    type: "object",
    required: ["type", "title", "status", "code", "detail", ...Object.keys(more)],
    properties: {
      type: { const: `/problems/${problemSlug(code)}` },
      title: text,
      status: { const: status },
      code: { const: code },
      detail: { type: "string", description: "What is wrong here, and what to do about it." },
      ...more,
    },
  };
}

export const retryAfter = {
  description: "Seconds to wait before the next attempt.",
  schema: { type: "integer", minimum: 0 },
};

/** Always, sometimes or never with the header `Retry-After`, by what the routes do. */
const waits: readonly ProblemCode[] = [
  "TOO_MANY_IN_FLIGHT",
  "NOT_READY",
  "NOT_ACKNOWLEDGED",
  "VIEWS_UNAVAILABLE",
  "BEHIND",
];

/** The answers of an operation that may refuse with these codes, by their status. */
export function refusals(...given: readonly ProblemCode[]): Readonly<Record<string, JsonSchema>> {
  const statuses = [...new Set(given.map((code) => problemTable[code].status))].sort();
  return Object.fromEntries(
    statuses.map((status) => {
      const own = given.filter((code) => problemTable[code].status === status);
      return [String(status), refusal(own)] as const;
    }),
  );
}

function refusal(own: readonly ProblemCode[]): JsonSchema {
  const refs = own.map((code) => ({ $ref: `#/components/schemas/Problem.${code}` }));
  const mapping = Object.fromEntries(own.map((code, i) => [code, refs[i]?.$ref]));
  const [only] = refs;
  const schema =
    refs.length === 1 ? only : { oneOf: refs, discriminator: { propertyName: "code", mapping } };
  const mayWait = own.some((code) => waits.includes(code));
  const waitsAlways = own.every((code) => waits.includes(code));
  return {
    description: own.map((code) => `${code}: ${problemTable[code].title}.`).join(" "),
    ...(mayWait && { headers: { "Retry-After": { ...retryAfter, required: waitsAlways } } }),
    content: { "application/problem+json": { schema } },
  };
}
