import type { Codec } from "../codec.ts";
import { messageOf, PoisonError } from "../errors.ts";
import type { RecordType, Topic } from "../topic.ts";
import { type AvroSchema, newestOf, parseSchema } from "./avro-schema.ts";
import { type AvroType, compileType } from "./avro-type.ts";
import { compileScreen, isUnbounded, misfitOf, type Screen } from "./avro-value.ts";
import { compileGuard, type Guard } from "./guard.ts";

/** The id that the records of this type are written with on this topic. */
export interface WriteId {
  readonly topic: Topic;
  readonly record: RecordType;
  readonly id: number;
}

/** Magic byte and schema id. */
export const headerBytes = 5;

/** What it takes to write one record type. */
interface Encoder {
  readonly id: number;
  readonly schema: AvroSchema;
  readonly screen: Screen;
  readonly type: AvroType;
  /** Where the schema alone does not bound what a value can hold. */
  readonly guard: Guard | null;
}

/** The `encode` of a codec that writes these records. */
export function openEncoder(writeIds: readonly WriteId[]): Codec["encode"] {
  const topics = new Map<string, Map<string, Encoder>>();
  for (const { topic, record, id } of writeIds) {
    const encoders = topics.get(topic.name) ?? new Map<string, Encoder>();
    topics.set(topic.name, encoders.set(record.name, encoderOf(record, id)));
  }
  const write = openSlab();

  return (topic, type, data) => {
    const encoder = topics.get(topic.name)?.get(type);
    if (encoder === undefined) {
      throw new PoisonError("INVALID_EVENT", `${topic.name} does not list a record ${type}`);
    }
    try {
      if (encoder.screen(data)) {
        const bytes = write(encoder, data);
        // What is written for ever must pass the guard that every reader has.
        encoder.guard?.(bytes, headerBytes);
        return bytes;
      }
    } catch (error) {
      throw invalidEvent(encoder.schema, { type, data }, error);
    }
    throw invalidEvent(encoder.schema, { type, data }, null);
  };
}

function encoderOf(record: RecordType, id: number): Encoder {
  const json = newestOf(record).schema;
  const schema = parseSchema(json);
  return {
    id,
    schema,
    screen: compileScreen(schema),
    type: compileType(json),
    guard: isUnbounded(schema) ? compileGuard(schema) : null,
  };
}

/** Says where in the data the fault is, as far as that can be told. */
function invalidEvent(
  schema: AvroSchema,
  { type, data }: { readonly type: string; readonly data: object },
  cause: unknown,
): PoisonError {
  let place = type;
  let problem = messageOf(cause);
  try {
    const misfit = misfitOf(schema, data);
    if (misfit !== null) {
      const joint = misfit.path === "" || misfit.path.startsWith("[") ? "" : ".";
      place += joint + misfit.path;
      problem = misfit.message;
    }
  } catch (error) {
    problem = messageOf(error); // An object that holds itself exhausts the stack here as it did there.
  }
  return new PoisonError("INVALID_EVENT", `${place}: ${problem}`, { cause });
}

const slabBytes = 64 * 1024;

/** Writes into one block after another; what was handed out is never written again. */
function openSlab(): (encoder: Encoder, data: object) => Buffer {
  let slab = Buffer.allocUnsafeSlow(slabBytes);
  let start = 0;

  return (encoder, data) => {
    let end = writeAt(slab, start, encoder, data);
    if (end < 0) {
      slab = Buffer.allocUnsafeSlow(slabBytes);
      start = 0;
      end = writeAt(slab, start, encoder, data);
    }
    if (end < 0) {
      // Larger than a block: bytes of its own. A negative result is minus the number of bytes missing.
      const own = Buffer.allocUnsafeSlow(slabBytes - end);
      return own.subarray(0, writeAt(own, 0, encoder, data));
    }
    const bytes = slab.subarray(start, end);
    start = end;
    return bytes;
  };
}

/** As `AvroType.encode`, with the header before it. */
function writeAt(bytes: Buffer, pos: number, { id, type }: Encoder, data: object): number {
  if (bytes.length - pos < headerBytes) return -headerBytes;
  bytes[pos] = 0;
  bytes.writeInt32BE(id, pos + 1);
  return type.encode(data, bytes, pos + headerBytes);
}
