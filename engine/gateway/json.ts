/** JSON as the gateway writes it: no digit of a number is lost on the way out. Pure. */

/** A text that is JSON already, for example what Postgres gives for a `jsonb`: written as it is. */
export class JsonText {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

/**
 * One value as JSON. A `bigint` becomes a number with all its digits, a `Date` its instant in ISO 8601, a number
 * that JSON has none for (NaN, an infinity) its name as a string. A member that is `undefined` is left out, as
 * `JSON.stringify` does; anything else that JSON does not have (a function, a symbol, an invalid date) is `null`.
 */
export function toJson(value: unknown): string {
  switch (typeof value) {
    case "bigint":
      return String(value);
    case "number":
      return Number.isFinite(value) ? String(value) : `"${value}"`;
    case "object":
      return value === null ? "null" : objectToJson(value);
    case "string":
    case "boolean":
      return JSON.stringify(value);
    case "undefined":
    case "function":
    case "symbol":
      return "null";
  }
}

function objectToJson(value: object): string {
  if (value instanceof JsonText) return value.text;
  if (value instanceof Date) return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(toJson).join(",")}]`;
  const members = Object.entries(value)
    .filter(([, member]) => member !== undefined)
    .map(([name, member]) => `${JSON.stringify(name)}:${toJson(member)}`);
  return `{${members.join(",")}}`;
}
