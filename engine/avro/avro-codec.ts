import { backOff, dependencyBackoff } from "../backoff.ts";
import type { Clock } from "../clock.ts";
import { type Codec, schemaIdOf } from "../codec.ts";
import { FatalError, TransientError } from "../errors.ts";
import { subjectOf, type Topic } from "../topic.ts";
import { newestOf } from "./avro-schema.ts";
import { openDecoder } from "./decoder.ts";
import { openEncoder, type WriteId } from "./encoder.ts";
import type { Registry } from "./registry.ts";
import type { SchemaIds } from "./schema-ids.ts";
import { SchemaLookup } from "./schema-lookup.ts";
import type { Upcasts } from "./upcast.ts";

/** What a codec encodes and decodes, and where it looks schemas up. */
export interface CodecOptions {
  readonly registry: Registry;
  /** Every topic whose messages will be encoded or decoded. */
  readonly topics: readonly Topic[];
  readonly upcasts?: Upcasts;
  /** What this deployment recorded of its ids; each is checked before the codec opens. */
  readonly knownIds?: SchemaIds;
  /** How long the registry must keep saying that it does not know an id, until its records are poison. */
  readonly unknownIdWaitMs: number;
  readonly clock: Clock;
  /** Called when the registry stops or begins to answer. */
  readonly onRegistry?: (state: "answers" | "unreachable", reason: string) => void;
}

/**
 * Opens a codec: asks the registry for the id of the newest schema of each record of each topic. Registers
 * nothing. Waits, with a back-off, for a registry that does not answer.
 *
 * What it encodes shares blocks of 64 KiB that are never written twice: a slice stays as it is for as long as
 * it is kept, and keeps its block in memory.
 * @throws FatalError `SCHEMA_UNREGISTERED` with every schema that is missing
 * @throws FatalError `SCHEMA_DRIFT` where a recorded id means another schema by now
 * @throws FatalError `UNAUTHORIZED`
 * @throws TransientError where `signal` aborts before it is open
 */
export async function openCodec(options: CodecOptions, signal: AbortSignal): Promise<Codec> {
  const { topics, upcasts = {}, knownIds = new Map<number, string>() } = options;
  const onRegistry = options.onRegistry ?? (() => undefined);
  const lookup = new SchemaLookup({ ...options, knownIds, onRegistry });

  const writeIds = await resolveWriteIds({ ...options, onRegistry }, signal);
  for (const { id, record } of writeIds) lookup.remember(id, newestOf(record).schema);
  await lookup.learn(knownIds.keys(), signal);
  if (signal.aborted) throw new TransientError("stopped before every schema was looked up");

  return {
    encode: openEncoder(writeIds),
    decode: openDecoder({ topics, upcasts, writerOf: (id) => lookup.get(id) }),
    async learn(values, abort) {
      const open = new Set<number>();
      for (const value of values) {
        const id = schemaIdOf(value);
        if (id !== null && !lookup.isSettled(id)) open.add(id);
      }
      if (open.size > 0) await lookup.learn(open, abort);
    },
  };
}

type Asking = Pick<CodecOptions, "registry" | "topics" | "clock"> &
  Required<Pick<CodecOptions, "onRegistry">>;

/** One after the other: a few dozen quick questions, once in the life of a process. */
async function resolveWriteIds(asking: Asking, signal: AbortSignal): Promise<readonly WriteId[]> {
  const found: WriteId[] = [];
  const missing: string[] = [];
  for (const topic of asking.topics) {
    for (const record of topic.records) {
      const subject = subjectOf(topic, record);
      const { schema, version } = newestOf(record);
      const id = await patiently(
        () => asking.registry.idOf(subject, schema, signal),
        asking,
        signal,
      );
      if (id === null) missing.push(`${subject} (v${version})`);
      else found.push({ topic, record, id });
    }
  }
  if (missing.length > 0) {
    throw new FatalError(
      "SCHEMA_UNREGISTERED",
      `the registry does not have ${missing.join(", ")}; run: npm run -s foldlog -- schemas register`,
    );
  }
  return found;
}

/** Asks until there is an answer. */
async function patiently<T>(
  question: () => Promise<T>,
  { clock, onRegistry }: Pick<Asking, "clock" | "onRegistry">,
  signal: AbortSignal,
): Promise<T> {
  for (let attempt = 0; ; attempt++) {
    try {
      const answer = await question();
      if (attempt > 0) onRegistry("answers", "");
      return answer;
    } catch (error) {
      if (!(error instanceof TransientError) || signal.aborted) throw error;
      if (attempt === 0) onRegistry("unreachable", error.message);
      await backOff(dependencyBackoff, attempt, clock, signal);
    }
  }
}
