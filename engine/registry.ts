import { messageOf, TransientError } from "./errors.ts";
import {
  ask,
  failureOf,
  fieldOf,
  jsonOf,
  numberOf,
  type Place,
  placeOf,
  reasonOf,
  type RegistryOptions,
  textOf,
  timedOut,
  unreachable,
} from "./registry-http.ts";
import type { Compatibility } from "./topic.ts";

/** What the registry holds under an id. */
export interface RegisteredSchema {
  /** `AVRO`, or another format, which no message of ours has. */
  readonly format: string;
  readonly text: string;
}

export interface SubjectVersion {
  readonly version: number;
  readonly id: number;
  readonly text: string;
}

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
  const get = (path: string, signal: AbortSignal) => ask(place, { method: "GET", path }, signal);
  const post = (path: string, schema: object, signal: AbortSignal) =>
    ask(place, { method: "POST", path, body: { schema: JSON.stringify(schema) } }, signal);
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
      const body = { compatibility: level };
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
 * Registers by @kafkajs/confluent-schema-registry. It knows neither a deadline nor a bound, follows a
 * redirect into nothing, and tells a refusal only by its words, so a middleware watches what was answered.
 * Loaded here and not at the start: a worker never registers, and has no use for the 140 ms that it takes.
 */
async function register(
  place: Place,
  { subject, schema, level }: NewSchema,
  signal: AbortSignal,
): Promise<Registration> {
  const client = await import("@kafkajs/confluent-schema-registry");
  const seen: { status: number; json: unknown } = { status: 0, json: undefined };
  const registry = new client.SchemaRegistry({
    host: place.base,
    ...(place.auth ? { auth: place.auth } : {}),
    // The client's own defaults, all of them: what is left out here it takes from its last user.
    retry: {
      maxRetryTimeInSecs: 5,
      initialRetryTimeInSecs: 0.1,
      factor: 0.2,
      multiplier: 2,
      retries: 3,
    },
    middlewares: [
      () => ({
        prepareRequest: async (next) =>
          (await next()).enhance({ timeout: place.requestTimeoutMs, signal }),
        response: async (next) => {
          const answer = await next();
          if (answer.status() >= 300) throw answer as unknown as Error;
          return answer;
        },
      }),
      () => ({
        response: async (next) => {
          try {
            return await next();
          } catch (answer) {
            const failed = answer as { status(): number; rawData(): string; error(): unknown };
            // Where no answer came, the client makes one up, with the status 400.
            seen.status = failed.error() === null ? failed.status() : 0;
            seen.json = jsonOf(failed.rawData());
            throw answer;
          }
        },
      }),
    ],
  });
  try {
    const registered = await before(
      registry.register(
        { type: client.SchemaType.AVRO, schema: JSON.stringify(schema) },
        { subject, compatibility: client.COMPATIBILITY[level], updateConfig: false },
      ),
      place,
      signal,
    );
    return { kind: "registered", id: numberOf(place, registered, "id") };
  } catch (error) {
    if (error instanceof TransientError) throw error;
    if (seen.status === 409 || seen.status === 422) {
      return { kind: "refused", reason: reasonOf(seen.json) ?? messageOf(error) };
    }
    throw seen.status >= 300 ? failureOf(place, seen.status, seen.json) : unreachable(place, error);
  }
}

/** The result, or an error once the time for both of the client's requests is over or `signal` aborts. */
async function before<T>(work: Promise<T>, place: Place, signal: AbortSignal): Promise<T> {
  const deadline = AbortSignal.timeout(2 * place.requestTimeoutMs);
  const ended = AbortSignal.any([signal, deadline]);
  let stop = (): void => undefined;
  const end = new Promise<never>((_, reject) => {
    stop = () => {
      reject(deadline.aborted ? timedOut(place) : unreachable(place, "stopped"));
    };
    ended.addEventListener("abort", stop);
  });
  if (ended.aborted) stop();
  try {
    return await Promise.race([work, end]);
  } finally {
    ended.removeEventListener("abort", stop);
  }
}
