import type { AvroSchema, EnumSchema, RecordSchema } from "./avro-schema.ts";
import { maxLong } from "./guard.ts";

/** Where a value does not fit its schema, and why. */
export interface Misfit {
  /** Of the field: `owner`, `lines[2].amountCents`; empty for the value itself. */
  readonly path: string;
  readonly message: string;
}

/**
 * Whether a value is free of what avsc would write and must not: a lone surrogate (which it turns into
 * U+FFFD), a NaN or an infinity, a `toString` as the symbol of any enum, a map key `__proto__`. All else that
 * does not fit a schema avsc refuses by itself, so this looks at nothing else and costs next to nothing.
 */
export type Screen = (value: unknown) => boolean;

/** Compiles the screen of a schema. */
export function compileScreen(schema: AvroSchema): Screen {
  return screenOf(schema, new Map()) ?? (() => true);
}

/** `null` where every value that avsc takes is well. */
function screenOf(schema: AvroSchema, known: Map<AvroSchema, Screen>): Screen | null {
  switch (schema.kind) {
    case "null":
    case "boolean":
    case "int":
    case "long":
    case "bytes":
    case "fixed":
      return null;
    case "string":
      return (value) => textMisfit(value) === null;
    case "float":
    case "double":
    case "enum":
    case "map":
      return (value) => misfitOf(schema, value) === null;
    case "array": {
      const items = screenOf(schema.items, known);
      return items && ((value) => !Array.isArray(value) || value.every(items));
    }
    case "union": {
      const [first, second, ...more] = schema.branches;
      const nullable = first?.kind === "null" && second !== undefined && more.length === 0;
      if (!nullable) return (value) => misfitOf(schema, value) === null;
      const inner = screenOf(second, known);
      return inner && ((value) => value === null || inner(value));
    }
    case "record":
      return known.get(schema) ?? recordScreen(schema, known);
  }
}

function recordScreen(schema: RecordSchema, known: Map<AvroSchema, Screen>): Screen {
  const fields: { readonly name: string; readonly screen: Screen }[] = [];
  const screen: Screen = (value) => {
    if (typeof value !== "object" || value === null) return true;
    const record = value as Readonly<Record<string, unknown>>;
    for (const field of fields) {
      const member = record[field.name];
      if (member !== undefined && !field.screen(member)) return false;
    }
    return true;
  };
  known.set(schema, screen); // Before its fields, which may hold the same record again.
  for (const field of schema.fields) {
    const inner = screenOf(field.schema, known);
    if (inner) fields.push({ name: field.name, screen: inner });
  }
  return screen;
}

/** Whether values of this schema can hold more items, or be nested deeper, than a guard lets pass. */
export function isUnbounded(schema: AvroSchema, within: readonly AvroSchema[] = []): boolean {
  switch (schema.kind) {
    case "array":
    case "map":
      return true;
    case "union":
      return schema.branches.some((branch) => isUnbounded(branch, within));
    case "record":
      return (
        within.includes(schema) ||
        schema.fields.some((field) => isUnbounded(field.schema, [...within, schema]))
      );
    case "null":
    case "boolean":
    case "int":
    case "long":
    case "float":
    case "double":
    case "bytes":
    case "string":
    case "fixed":
    case "enum":
      return false;
  }
}

/**
 * The first thing in a value that its schema cannot hold, or `null`; to be asked once it is known that there
 * is one. A missing field with a default fits; a field that the schema does not have is ignored, as by avsc.
 */
export function misfitOf(schema: AvroSchema, value: unknown): Misfit | null {
  switch (schema.kind) {
    case "null":
      return value === null ? null : misfit("null", value);
    case "boolean":
      return typeof value === "boolean" ? null : misfit("a boolean", value);
    case "int":
      return typeof value === "number" && value === (value | 0)
        ? null
        : misfit("an integer of 32 bits", value);
    case "long":
      return typeof value === "number" && Number.isInteger(value) && Math.abs(value) <= maxLong
        ? null
        : misfit("an integer within ±(2^53 − 2)", value);
    case "float":
      return typeof value === "number" && Number.isFinite(Math.fround(value))
        ? null
        : misfit("a finite number of single precision", value);
    case "double":
      return typeof value === "number" && Number.isFinite(value)
        ? null
        : misfit("a finite number", value);
    case "string":
      return textMisfit(value);
    case "bytes":
      return Buffer.isBuffer(value) ? null : misfit("a Buffer", value);
    case "fixed":
      return Buffer.isBuffer(value) && value.length === schema.size
        ? null
        : misfit(`a Buffer of ${schema.size} bytes`, value);
    case "enum":
      return enumMisfit(schema, value);
    case "union":
      return unionMisfit(schema.branches, value);
    case "array":
      return Array.isArray(value) ? itemMisfit(schema.items, value) : misfit("a list", value);
    case "map":
      return isObject(value) ? entryMisfit(schema.values, value) : misfit("a map", value);
    case "record":
      return isObject(value) ? fieldMisfit(schema, value) : misfit("a record", value);
  }
}

function textMisfit(value: unknown): Misfit | null {
  if (typeof value !== "string") return misfit("a string", value);
  if (!value.isWellFormed()) {
    return { path: "", message: "a string with a lone surrogate is not Unicode" };
  }
  return value.includes("\0")
    ? { path: "", message: "a string that holds U+0000 cannot be kept by Postgres" }
    : null;
}

function enumMisfit(schema: EnumSchema, value: unknown): Misfit | null {
  return typeof value === "string" && schema.symbols.includes(value)
    ? null
    : misfit(`one of ${schema.symbols.join(", ")}`, value);
}

function unionMisfit(branches: readonly AvroSchema[], value: unknown): Misfit | null {
  let last: Misfit | null = null;
  for (const branch of branches) {
    if ((branch.kind === "null") !== (value === null)) continue;
    last = misfitOf(branch, value);
    if (last === null) return null;
  }
  return last ?? misfit("another type", value);
}

function itemMisfit(items: AvroSchema, values: readonly unknown[]): Misfit | null {
  // By index: a hole in the list would escape a `for … of` over entries.
  for (let i = 0; i < values.length; i++) {
    const found = misfitOf(items, values[i]);
    if (found) return below(`[${i}]`, found);
  }
  return null;
}

function entryMisfit(schema: AvroSchema, map: Readonly<Record<string, unknown>>): Misfit | null {
  for (const key of Object.keys(map)) {
    const step = `[${JSON.stringify(key)}]`;
    if (key === "__proto__") return { path: step, message: "no map key may be __proto__" };
    const found = textMisfit(key) ?? misfitOf(schema, map[key]);
    if (found) return below(step, found);
  }
  return null;
}

function fieldMisfit(
  record: RecordSchema,
  value: Readonly<Record<string, unknown>>,
): Misfit | null {
  for (const field of record.fields) {
    const member = value[field.name];
    if (member === undefined && field.default !== undefined) continue;
    const found = misfitOf(field.schema, member);
    if (found) return below(field.name, found);
  }
  return null;
}

export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return (
    typeof value === "object" && value !== null && !Array.isArray(value) && !Buffer.isBuffer(value)
  );
}

function misfit(expected: string, value: unknown): Misfit {
  return { path: "", message: `expected ${expected}, got ${shown(value)}` };
}

/** A value in a few words. */
export function shown(value: unknown): string {
  if (typeof value === "string") {
    return JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}…` : value);
  }
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  if (Buffer.isBuffer(value)) return `a Buffer of ${value.length} bytes`;
  if (Array.isArray(value)) return "a list";
  if (value === null) return "null";
  if (value === undefined) return "nothing";
  return typeof value === "object" ? "an object" : `a ${typeof value}`;
}

function below(step: string, inner: Misfit): Misfit {
  const joint = inner.path === "" || inner.path.startsWith("[") ? "" : ".";
  return { path: `${step}${joint}${inner.path}`, message: inner.message };
}
