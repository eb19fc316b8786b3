import { FatalError, messageOf, TransientError } from "../errors.ts";
import type { Compatibility } from "../topic.ts";
import {
  ask,
  exchange,
  failureOf,
  fieldOf,
  numberOf,
  type Place,
  placeOf,
  reasonOf,
  type RegistryOptions,
  textOf,
} from "./registry-http.ts";

/** What the registry holds under an id. */
export interface RegisteredSchema {
  /** `AVRO`, or another format, which no message of ours has. */
  readonly format: string;
  readonly text: string;
}

/** One schema of a subject. */
export interface SubjectVersion {
  readonly version: number;
  readonly id: number;
  readonly text: string;
}

/** What became of a registration. */
export type Registration =
  | { readonly kind: "registered"; readonly id: number }
  /** The registry's own words: the schema does not go with those that the subject has. */
  | { readonly kind: "refused"; readonly reason: string };

/**
 * A schema registry with Confluent's API. Only for the cold path: no message waits for it twice.
 *
 * "Not there" is a value. Each call throws `TransientError` where the registry cannot be reached, answers
 * with an error that may pass, or `signal` aborts, and `FatalError` `UNAUTHORIZED` on 401 and 403.
 */
export interface Registry {
  schemaById(id: number, signal: AbortSignal): Promise<RegisteredSchema | null>;
  /** The id of exactly this schema (its docs apart) under this subject. Registers nothing. */
  idOf(subject: string, schema: object, signal: AbortSignal): Promise<number | null>;
  /** Oldest first; empty for an unknown subject. */
  versionsOf(subject: string, signal: AbortSignal): Promise<readonly SubjectVersion[]>;
  /** The subject's own level, or `null` where it has none and the registry's default holds. */
  levelOf(subject: string, signal: AbortSignal): Promise<string | null>;
  setLevel(subject: string, level: Compatibility, signal: AbortSignal): Promise<void>;
  /** Whether the registry would take the schema at the subject's present level. */
  accepts(subject: string, schema: object, signal: AbortSignal): Promise<boolean>;
  /** Idempotent: the same schema has the same id. The subject must have the level `level` already. */
  register(
    subject: string,
    schema: object,
    level: Compatibility,
    signal: AbortSignal,
  ): Promise<Registration>;
}

/** Asks and registers over HTTP. Connects to nothing until it is used. */
export function openRegistry(options: RegistryOptions): Registry {
  const place = placeOf(options);
  const get = (path: string, signal: AbortSignal) =>
    ask(place, { method: "GET", path, body: null }, signal);
  const post = (path: string, schema: object, signal: AbortSignal) =>
    ask(
      place,
      { method: "POST", path, body: JSON.stringify({ schema: JSON.stringify(schema) }) },
      signal,
    );
  const under = (subject: string) => `/subjects/${encodeURIComponent(subject)}`;
  const configOf = (subject: string) => `/config/${encodeURIComponent(subject)}`;

  return {
    async schemaById(id, signal) {
      const answer = await get(`/schemas/ids/${id}`, signal);
      if (answer === null) return null;
      const format = fieldOf(answer, "schemaType");
      return {
        format: typeof format === "string" ? format : "AVRO",
        text: textOf(place, answer, "schema"),
      };
    },

    async idOf(subject, schema, signal) {
      const answer = await post(under(subject), schema, signal);
      return answer === null ? null : numberOf(place, answer, "id");
    },

    async versionsOf(subject, signal) {
      const numbers = await get(`${under(subject)}/versions`, signal);
      const versions: SubjectVersion[] = [];
      for (const number of Array.isArray(numbers) ? numbers : []) {
        const answer = await get(`${under(subject)}/versions/${Number(number)}`, signal);
        if (answer === null) continue; // Deleted in between.
        const version = numberOf(place, answer, "version");
        const id = numberOf(place, answer, "id");
        versions.push({ version, id, text: textOf(place, answer, "schema") });
      }
      return versions.sort((a, b) => a.version - b.version);
    },

    async levelOf(subject, signal) {
      const answer = await get(configOf(subject), signal);
      return answer === null ? null : textOf(place, answer, "compatibilityLevel");
    },

    async setLevel(subject, level, signal) {
      const body = JSON.stringify({ compatibility: level });
      await ask(place, { method: "PUT", path: configOf(subject), body }, signal);
    },

    async accepts(subject, schema, signal) {
      const answer = await post(`/compatibility${under(subject)}/versions`, schema, signal);
      // A subject that is not there yet takes anything.
      return answer === null || fieldOf(answer, "is_compatible") === true;
    },

    register: (subject, schema, level, signal) =>
      register(place, { subject, schema, level }, signal),
  };
}

interface NewSchema {
  readonly subject: string;
  readonly schema: object;
  readonly level: Compatibility;
}

/**
 * Registers by @kafkajs/confluent-schema-registry, over requests of ours: its own know neither a deadline nor
 * a bound, take a redirect for an answer, and retry as the last user of the package in this process set it.
 * Loaded here and not at the start: a worker never registers, and has no use for the 140 ms that it takes.
 */
async function register(
  place: Place,
  { subject, schema, level }: NewSchema,
  signal: AbortSignal,
): Promise<Registration> {
  const client = await import("@kafkajs/confluent-schema-registry");
  const seen: { refusal: string | null } = { refusal: null };
  const registry = new client.SchemaRegistry({
    host: place.base,
    middlewares: [
      () => ({
        // The outermost: what it answers is the answer, and nothing further in is asked.
        response: async (_next, _renew, request) => {
          const method = request.method() === "get" ? "GET" : "POST";
          const path = request.url().slice(place.base.length);
          const body: unknown = request.body() ?? null;
          const { status, json } = await exchange(
            place,
            { method, path, body: typeof body === "string" ? body : null },
            signal,
          );
          if (method === "POST" && (status === 409 || status === 422)) {
            seen.refusal = reasonOf(json) ?? `status ${status}`;
          }
          if (status >= 200 && status < 300) return { data: () => json } as never;
          throw failureOf(place, status, json);
        },
      }),
    ],
  });
  try {
    const registered = await registry.register(
      { type: client.SchemaType.AVRO, schema: JSON.stringify(schema) },
      { subject, compatibility: client.COMPATIBILITY[level], updateConfig: false },
    );
    return { kind: "registered", id: numberOf(place, registered, "id") };
  } catch (error) {
    if (seen.refusal !== null) return { kind: "refused", reason: seen.refusal };
    if (error instanceof TransientError || error instanceof FatalError) throw error;
    throw new TransientError(`${subject} cannot be registered: ${messageOf(error)}`, {
      cause: error,
    });
  }
}
