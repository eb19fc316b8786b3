import avsc, { type Type } from "avsc";
import { messageOf } from "../errors.ts";
import { SchemaError } from "./avro-schema.ts";
import { maxLong } from "./guard.ts";

/**
 * avsc, with what it gets wrong put right: a negative long below −2^52 changes its sign on the way through
 * avsc 5.7.9 (its arithmetic needs one bit more than a double has), and a decoded record is an instance of a
 * generated class, where everything else expects plain data.
 */
export interface AvroType {
  /**
   * Writes the value at `pos` and returns the position after it; where it does not fit, returns minus the
   * number of bytes missing and leaves `bytes` from `pos` on undefined.
   */
  encode(value: unknown, bytes: Buffer, pos: number): number;
  /** The value at `pos` as plain data. Only for bytes that the guard of this schema has passed. */
  decode(bytes: Buffer, pos: number): unknown;
  /**
   * A `decode` of what `writer` wrote, in the form of this type.
   * @throws SchemaError where Avro's rules give none
   */
  resolve(writer: AvroType): AvroType["decode"];
}

/** The type that each `AvroType` stands for. */
const types = new WeakMap<AvroType, Type>();

/**
 * Compiles a schema.
 * @throws SchemaError where avsc cannot take it
 */
export function compileType(schema: object): AvroType {
  const type = orSchemaError(() => {
    const parsed = avsc.Type.forSchema(schema as avsc.schema.AvroSchema, {
      omitRecordMethods: true,
      typeHook: (node) => (isLong(node) ? exactLong : undefined),
    });
    makePlain(parsed, new Set());
    return parsed;
  });
  const compiled: AvroType = {
    encode: (value, bytes, pos) => type.encode(value, bytes, pos),
    decode: (bytes, pos) => type.decode(bytes, pos).value as unknown,
    resolve: (writer) => {
      const written = types.get(writer);
      if (written === undefined) throw new SchemaError("not a compiled type");
      const resolver = orSchemaError(() => type.createResolver(written));
      return (bytes, pos) => type.decode(bytes, pos, resolver).value as unknown;
    },
  };
  types.set(compiled, type);
  return compiled;
}

function orSchemaError<T>(attempt: () => T): T {
  try {
    return attempt();
  } catch (error) {
    throw new SchemaError(messageOf(error), { cause: error });
  }
}

/** Makes the constructors that avsc generates give objects with the prototype of every literal. */
function makePlain(type: Type, seen: Set<Type>): void {
  if (seen.has(type)) return;
  seen.add(type);
  const parts = type as Partial<
    avsc.types.RecordType &
      avsc.types.ArrayType &
      avsc.types.MapType &
      avsc.types.UnwrappedUnionType
  >;
  if (parts.recordConstructor) {
    (parts.recordConstructor as { prototype: object }).prototype = Object.prototype;
  }
  for (const field of parts.fields ?? []) makePlain(field.type, seen);
  if (parts.itemsType) makePlain(parts.itemsType, seen);
  if (parts.valuesType) makePlain(parts.valuesType as Type, seen);
  for (const branch of parts.types ?? []) makePlain(branch, seen);
}

function isLong(node: unknown): boolean {
  if (node === "long") return true;
  return typeof node === "object" && node !== null && "type" in node && node.type === "long";
}

/** avsc's cursor. */
interface Tap {
  readonly buf: Buffer;
  pos: number;
}

/** A long as avsc has it, but exact within ±(2^53 − 2). */
const exactLong: Type = (() => {
  const base = avsc.Type.forSchema("long") as Type & {
    _write(tap: Tap, value: unknown): void;
  };
  return Object.create(base, {
    _read: { value: readLong },
    _write: {
      value(tap: Tap, value: unknown): void {
        const wide = typeof value === "number" && Math.abs(value) > 0x3fffffff;
        if (wide && Number.isInteger(value) && Math.abs(value) <= maxLong) writeWide(tap, value);
        else base._write(tap, value);
      },
    },
  }) as Type;
})();

/** Zigzag in variable length: `low` keeps the sign bit apart, so that no sum needs more than 53 bits. */
function readLong(tap: Tap): number {
  const { buf } = tap;
  let byte = buf[tap.pos++] ?? 0;
  let low = byte & 0x7f;
  for (let shift = 7; byte >= 0x80 && shift < 28; shift += 7) {
    byte = buf[tap.pos++] ?? 0;
    low |= (byte & 0x7f) << shift;
  }
  let half = low >>> 1;
  for (let weight = 2 ** 27; byte >= 0x80; weight *= 128) {
    byte = buf[tap.pos++] ?? 0;
    half += (byte & 0x7f) * weight;
  }
  const value = (low & 1) === 0 ? half : -half - 1;
  if (Math.abs(value) > maxLong) throw new RangeError("a long beyond ±(2^53 − 2)");
  return value;
}

function writeWide(tap: Tap, value: number): void {
  const sign = value < 0 ? 1 : 0;
  const half = value < 0 ? -value - 1 : value;
  let byte = (half % 64) * 2 + sign;
  let rest = Math.floor(half / 64);
  while (rest > 0) {
    tap.buf[tap.pos++] = byte | 0x80;
    byte = rest % 128;
    rest = Math.floor(rest / 128);
  }
  tap.buf[tap.pos++] = byte;
}
