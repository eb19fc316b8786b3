import type { JsonSchema } from "./json-schema.ts";
import { html, type Html, prose } from "./page-html.ts";

/** Schemas of an OpenAPI document in words, for people. */

/** The part of a document that a `$ref` leads to; anything else is itself. */
export type Resolve = (part: unknown) => JsonSchema;

export function resolverOf(document: object): Resolve {
  const resolve: Resolve = (part) => {
    const schema = asObject(part);
    const ref = schema["$ref"];
    if (typeof ref !== "string") return schema;
    const steps = ref.replace(/^#\//, "").split("/");
    const target = steps.reduce<unknown>((at, step) => asObject(at)[step], document);
    return { ...asObject(target), "x-name": steps.at(-1) ?? "" };
  };
  return resolve;
}

export function asObject(part: unknown): JsonSchema {
  return typeof part === "object" && part !== null && !Array.isArray(part)
    ? (part as JsonSchema)
    : {};
}

export function asList(part: unknown): readonly unknown[] {
  return Array.isArray(part) ? part : [];
}

export function asText(part: unknown): string {
  return typeof part === "string" ? part : "";
}

/** What a value is, in a few words. */
export function typeOf(part: unknown, resolve: Resolve): string {
  const schema = resolve(part);
  if ("const" in schema) return JSON.stringify(schema["const"]);
  if ("enum" in schema) return `one of ${asList(schema["enum"]).map(String).join(", ")}`;
  const choices = asList(schema["anyOf"] ?? schema["oneOf"]);
  if (choices.length > 0) return choices.map((choice) => typeOf(choice, resolve)).join(" or ");
  const types = [schema["type"]].flat().map(asText);
  const named = types.map((type) => oneType(type, schema, resolve)).filter((it) => it !== "");
  return named.length === 0 ? "anything" : named.join(" or ");
}

function oneType(type: string, schema: JsonSchema, resolve: Resolve): string {
  switch (type) {
    case "integer":
    case "number":
      return `${type === "integer" ? "whole number" : "number"}${boundsOf(schema)}`;
    case "string":
      return textType(schema);
    case "array":
      return `list of ${typeOf(schema["items"], resolve)}`;
    case "object":
      return asText(schema["title"]) || "object";
    default:
      return type;
  }
}

/** Those that are chosen; the limits of a type of numbers say nothing to people. */
function boundsOf({ minimum, maximum, format }: JsonSchema): string {
  const isWide = (bound: unknown) =>
    bound === undefined || Math.abs(Number(bound)) > (format === "int32" ? 2 ** 30 : 2 ** 53 - 3);
  if (isWide(minimum) && isWide(maximum)) return "";
  if (isWide(maximum)) return `, ${String(minimum)} or more`;
  return isWide(minimum)
    ? `, ${String(maximum)} or less`
    : `, ${String(minimum)} to ${String(maximum)}`;
}

function textType({ format, contentEncoding, minLength, maxLength }: JsonSchema): string {
  if (contentEncoding === "base64") return "bytes in base64";
  if (format === "date-time") return "instant, ISO 8601";
  if (format === "date") return "date, ISO 8601";
  if (format === "uuid") return "UUID";
  if (typeof maxLength !== "number") return "text";
  return `text, ${typeof minLength === "number" ? minLength : 0} to ${maxLength} characters`;
}

interface Field {
  /** With those it is in: `rows[].account_id`. */
  readonly name: string;
  readonly schema: JsonSchema;
  readonly presence: "always" | "optional";
}

/** Deeper than any schema is written, less deep than one that holds itself. */
const maxDepth = 6;

/** Every field of an object, those of the objects in it after it. */
function fieldsOf(part: unknown, resolve: Resolve, within = "", depth = 0): readonly Field[] {
  const schema = resolve(part);
  if (depth > maxDepth) return [];
  if ("items" in schema) return fieldsOf(schema["items"], resolve, `${within}[]`, depth + 1);
  const required = asList(schema["required"]);
  return Object.entries(asObject(schema["properties"])).flatMap(([name, property]) => {
    const path = within === "" ? name : `${within}.${name}`;
    const field: Field = {
      name: path,
      schema: asObject(property),
      presence: required.includes(name) ? "always" : "optional",
    };
    return [field, ...fieldsOf(property, resolve, path, depth + 1)];
  });
}

/** The fields of an object as a table, and below it what it may be one of. */
export function fieldsTable(part: unknown, resolve: Resolve): Html {
  const fields = fieldsOf(part, resolve);
  const rows = fields.map(({ name, schema, presence }) => {
    const note = presence === "optional" ? html` <span class="quiet">optional</span>` : "";
    const text = asText(schema["description"]) || asText(resolve(schema)["description"]);
    return html`<tr>
      <td><code>${name}</code>${note}</td>
      <td>${typeOf(schema, resolve)}</td>
      <td>${prose(text)}</td>
    </tr>`;
  });
  return html`${
    rows.length === 0
      ? ""
      : html`<div class="scroll">
          <table>
            ${rows}
          </table>
        </div>`
  }
  ${variantsOf(part, resolve).map(
    (variant) =>
      html`<details>
        <summary>${typeOf(variant, resolve)}</summary>
        ${fieldsTable(variant, resolve)}
      </details>`,
  )}`;
}

/** The objects that a list in it, or it itself, holds one of each. */
function variantsOf(part: unknown, resolve: Resolve): readonly unknown[] {
  const schema = resolve(part);
  const inner = [schema, ...Object.values(asObject(schema["properties"])).map(resolve)];
  return inner.flatMap((it) => {
    const held = "items" in it ? resolve(it["items"]) : it;
    return asList(held["oneOf"]);
  });
}
