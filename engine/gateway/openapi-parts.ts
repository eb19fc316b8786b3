import { maxLong } from "../avro/guard.ts";
import { maxIdBytes } from "../message.ts";
import { apiLimits } from "./api.ts";
import type { JsonSchema } from "./json-schema.ts";

/** What several routes of the OpenAPI document have in common. */

/** Parts of the document by their name, or by their address. */
export type Named = Readonly<Record<string, JsonSchema>>;

export const text: JsonSchema = { type: "string" };

/** A whole number of which no reader of JSON loses a digit. */
export const count: JsonSchema = { type: "integer", format: "int64", minimum: 0 };

export const instant: JsonSchema = { type: "string", format: "date-time" };
export const version: JsonSchema = {
  type: "integer",
  format: "int64",
  minimum: 1,
  maximum: maxLong,
};

/** Of a command or an aggregate that is looked up in Postgres, which has no NUL in texts. */
export const indexedId: JsonSchema = {
  type: "string",
  minLength: 1,
  maxLength: maxIdBytes,
  pattern: "^[^\\u0000]*$",
  description: `1 to ${maxIdBytes} bytes of UTF-8.`,
};

export const parameters: Named = {
  waitMs: {
    name: "waitMs",
    in: "query",
    description: "How long to wait at most, in milliseconds.",
    schema: {
      type: "integer",
      minimum: 0,
      maximum: apiLimits.waitMs.most,
      default: apiLimits.waitMs.fallback,
    },
  },
  token: {
    name: "token",
    in: "query",
    description: "Of an accepted command: the answer is no older than what it did.",
    schema: text,
  },
  idempotencyKey: {
    name: "Idempotency-Key",
    in: "header",
    description:
      `The command id, 1 to ${maxIdBytes} bytes of UTF-8; the same as \`commandId\` in the body where both are ` +
      "given. Without either the server makes one.",
    schema: { type: "string", minLength: 1, maxLength: maxIdBytes },
  },
  correlationId: {
    name: "X-Correlation-Id",
    in: "header",
    description: `Goes along with the command to its events: 1 to ${maxIdBytes} bytes of UTF-8.`,
    schema: { type: "string", minLength: 1, maxLength: maxIdBytes },
  },
  traceparent: {
    name: "traceparent",
    in: "header",
    description: "W3C trace context; goes along likewise. One that is broken is ignored.",
    schema: text,
  },
};

export function objectOf(required: JsonSchema, optional: JsonSchema = {}): JsonSchema {
  return {
    type: "object",
    required: Object.keys(required),
    properties: { ...required, ...optional },
  };
}

export function refTo(name: string): { readonly $ref: string } {
  return { $ref: `#/components/schemas/${name}` };
}

export function parameter(name: string): { readonly $ref: string } {
  return { $ref: `#/components/parameters/${name}` };
}

export function jsonContent(schema: JsonSchema, more: JsonSchema = {}): JsonSchema {
  return { "application/json": { schema, ...more } };
}

/** Refusals that every route knows. */
export const commonRefusals = ["INVALID_REQUEST", "URI_TOO_LONG", "INTERNAL"] as const;

/** `account_balances` as `AccountBalances`. */
export function pascal(name: string): string {
  return name
    .split(/[^A-Za-z0-9]+/)
    .map((part) => part.charAt(0).toUpperCase() + part.slice(1))
    .join("");
}
