import { type Codec, type Decoded, schemaIdOf } from "../codec.ts";
import { invariant, messageOf, PoisonError, TransientError } from "../errors.ts";
import type { RecordType, Topic } from "../topic.ts";
import { newestOf, SchemaError } from "./avro-schema.ts";
import { type AvroType, compileType } from "./avro-type.ts";
import { headerBytes } from "./encoder.ts";
import type { Guard } from "./guard.ts";
import type { WriterSchema } from "./schema-lookup.ts";
import { upcast, type Upcasts } from "./upcast.ts";

export interface DecoderOptions {
  readonly topics: readonly Topic[];
  readonly upcasts: Upcasts;
  /** What is known of a schema id; `undefined` where it was not looked up. */
  readonly writerOf: (id: number) => WriterSchema | undefined;
}

/** The `decode` of a codec that reads these topics. */
export function openDecoder({ topics, upcasts, writerOf }: DecoderOptions): Codec["decode"] {
  const types = new Map<RecordType, AvroType>();
  const readers = new Map<string, TopicReaders>();
  for (const topic of topics) {
    for (const record of topic.records) {
      types.set(record, types.get(record) ?? compileType(newestOf(record).schema));
    }
    const byName = new Map(topic.records.map((record) => [record.name, record]));
    readers.set(topic.name, { topic, byName, byId: new Map() });
  }

  return (topic, value) => {
    const id = schemaIdOf(value);
    if (id === null) throw badWireFormat(value);
    const ofTopic = readers.get(topic.name);
    invariant(ofTopic !== undefined, `the codec was not opened for ${topic.name}`);
    let reader = ofTopic.byId.get(id);
    if (reader === undefined) {
      reader = readerOf(ofTopic, { id, writer: writerOf(id) }, types);
      ofTopic.byId.set(id, reader);
    }
    reader.guard(value, headerBytes);
    const message: Decoded = { type: reader.record.name, data: read(reader, value) };
    return Object.hasOwn(upcasts, reader.record.fullName)
      ? upcast(message, upcasts, ofTopic.byName)
      : message;
  };
}

interface TopicReaders {
  readonly topic: Topic;
  readonly byName: ReadonlyMap<string, RecordType>;
  /** By schema id; filled as they come. */
  readonly byId: Map<number, Reader>;
}

interface Reader {
  readonly record: RecordType;
  readonly guard: Guard;
  readonly decode: AvroType["decode"];
}

interface Writer {
  readonly id: number;
  readonly writer: WriterSchema | undefined;
}

/**
 * How the records with this id are read on this topic.
 * @throws PoisonError where they cannot be
 */
function readerOf(
  { topic, byName }: TopicReaders,
  { id, writer }: Writer,
  types: ReadonlyMap<RecordType, AvroType>,
): Reader {
  if (writer === undefined) throw new TransientError(`schema id ${id} has not been looked up yet`);
  if (writer.kind === "unknown") {
    throw new PoisonError("UNKNOWN_SCHEMA", `the registry does not know schema id ${id}`);
  }
  const foreign = (what: string) =>
    new PoisonError("FOREIGN_RECORD_TYPE", `schema id ${id} is ${what}; not for ${topic.name}`);
  if (writer.kind === "foreign") throw foreign(writer.reason);
  const record = [...byName.values()].find(({ fullName }) => fullName === writer.fullName);
  const type = record && types.get(record);
  if (record === undefined || type === undefined) throw foreign(`a ${writer.fullName}`);
  if (writer.fingerprint === newestOf(record).fingerprint) {
    return { record, guard: writer.guard, decode: (bytes, pos) => type.decode(bytes, pos) };
  }
  try {
    return { record, guard: writer.guard, decode: type.resolve(writer.type) };
  } catch (error) {
    if (!(error instanceof SchemaError)) throw error;
    throw foreign(`a ${writer.fullName} that today's schema cannot read: ${error.message}`);
  }
}

function read(reader: Reader, value: Buffer): Decoded["data"] {
  try {
    return reader.decode(value, headerBytes) as Decoded["data"];
  } catch (error) {
    throw new PoisonError("INVALID_AVRO", messageOf(error), { cause: error });
  }
}

function badWireFormat(value: Buffer): PoisonError {
  const start = value.subarray(0, headerBytes).toString("hex");
  return new PoisonError(
    "BAD_WIRE_FORMAT",
    value.length < headerBytes
      ? `${value.length} bytes are too few for a schema id`
      : `it begins with ${start}, where a zero byte and a schema id should be`,
  );
}
