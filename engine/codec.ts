import type { Topic } from "./topic.ts";

/**
 * Bytes ⇄ values in the Confluent wire format (a zero byte, a schema id as int32, Avro binary). The loops
 * know only this; `avro/avro-codec.ts` implements it over avsc and a schema registry.
 */
export interface Codec {
  /**
   * The bytes of a message with the newest schema of its type.
   * @throws PoisonError `INVALID_EVENT` where `data` does not fit the schema
   */
  encode(topic: Topic, type: string, data: object): Buffer;

  /**
   * Looks up the schema ids in these values that are not known yet, so that `decode` can be synchronous.
   * Waits, with a back-off, for a registry that does not answer; an id that the registry says it does not
   * know is asked for again for a settable while (one wait for all of them), then remembered as unknown.
   */
  learn(values: readonly (Buffer | null)[], signal: AbortSignal): Promise<void>;

  /**
   * The message in today's form: resolved from its writer's schema to the newest one, then upcast.
   * Checks the bytes within bounds before it builds anything from them. Call `learn` first.
   * @throws PoisonError with the code that says what is wrong with the bytes
   */
  decode(topic: Topic, value: Buffer): Decoded;
}

/** A message as it came from bytes: its record type, and its fields. */
export interface Decoded {
  readonly type: string;
  readonly data: Readonly<Record<string, unknown>>;
}

/** The schema id in a value of the wire format, or `null` where it is not one. */
export function schemaIdOf(value: Buffer | null): number | null {
  return value !== null && value.length >= 5 && value[0] === 0 ? value.readInt32BE(1) : null;
}
