import type { RecordType } from "../topic.ts";
import type { Api } from "./api.ts";
import {
  type JsonSchema,
  type RecordSchemas,
  type SchemaForm,
  type SchemaOptions,
  schemasOf,
} from "./json-schema.ts";
import { type Named, refTo } from "./openapi-parts.ts";

/** The records in the OpenAPI document, from their Avro schemas. */

/** A component for each command, and for each record that a command, an event or a state holds by name. */
export function recordComponents({ aggregates }: Api): Named {
  const components = new Map<string, JsonSchema>();
  const add = ({ named }: RecordSchemas, form: SchemaForm) => {
    for (const [name, schema] of named) components.set(componentName(name, form), schema);
  };
  for (const { topics } of aggregates) {
    for (const record of topics.commands.records) {
      const idFields = ["commandId", `${topics.aggregate}Id`];
      const schemas = schemasOf(record, { idFields, ...partOf("request") });
      add(schemas, "request");
      components.set(record.fullName, withoutCommandId(schemas.root));
    }
    const [state] = topics.snapshots.records;
    for (const record of topics.events.records) add(answerRecord(record), "answer");
    if (state !== undefined) add(answerRecord(state), "answer");
  }
  return Object.fromEntries(components);
}

/** Over HTTP the id may come in a header, or be made by the server. */
function withoutCommandId(schema: JsonSchema): JsonSchema {
  const required = schema["required"] as readonly string[];
  return { ...schema, required: required.filter((name) => name !== "commandId") };
}

/** A record as an answer holds it; what it refers to is among the components. */
export function answerRecord(record: RecordType): RecordSchemas {
  return schemasOf(record, { idFields: [], ...partOf("answer") });
}

function partOf(form: SchemaForm): Pick<SchemaOptions, "form" | "refTo"> {
  return { form, refTo: (fullName) => refTo(componentName(fullName, form)).$ref };
}

/** A record within others has fewer rules in an answer than in a request: it is two components. */
function componentName(fullName: string, form: SchemaForm): string {
  return form === "request" ? fullName : `${fullName}.Answer`;
}
