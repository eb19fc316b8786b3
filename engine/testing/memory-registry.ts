import type { Registry, SubjectVersion } from "../avro/registry.ts";
import { FatalError, TransientError } from "../errors.ts";
import type { Topic } from "../topic.ts";
import { subjectOf } from "../topic.ts";

/** A schema registry in memory. It answers at once, and fails as told. */
export interface MemoryRegistry extends Registry {
  /** What becomes of every call from now on. */
  state: "answers" | "unreachable" | "unauthorized";
  /** How often `schemaById` was called. */
  readonly lookups: number;
  /** Puts any text under an id of the test's choice, as another client's registration would. */
  put(id: number, text: string, format?: string): void;
  /** The id is as if it had never been. */
  forget(id: number): void;
}

/** How the registry judges. */
export interface MemoryRegistryOptions {
  /** Why a schema is refused next to those of its subject, oldest first; nothing is refused without it. */
  readonly refuse?: (schema: object, earlier: readonly object[]) => string | null;
}

/** An empty registry. One schema has one id, whatever the number of its subjects. */
export function memoryRegistry({ refuse }: MemoryRegistryOptions = {}): MemoryRegistry {
  const schemas = new Map<number, { readonly format: string; readonly text: string }>();
  const subjects = new Map<string, number[]>();
  const levels = new Map<string, string>();
  let lookups = 0;

  const available = () => {
    if (registry.state === "unreachable") throw new TransientError("the registry is away");
    if (registry.state === "unauthorized") throw new FatalError("UNAUTHORIZED", "401");
  };
  const idOfText = (text: string) => [...schemas].find(([, known]) => known.text === text)?.[0];
  const versions = (subject: string): readonly SubjectVersion[] =>
    (subjects.get(subject) ?? []).map((id, i) => ({
      version: i + 1,
      id,
      text: schemas.get(id)?.text ?? "",
    }));
  const refusal = (subject: string, schema: object): string | null => {
    const earlier = versions(subject).map(({ text }) => JSON.parse(text) as object);
    return refuse?.(schema, earlier) ?? null;
  };

  const registry: MemoryRegistry = {
    state: "answers",
    get lookups() {
      return lookups;
    },
    put: (id, text, format = "AVRO") => schemas.set(id, { format, text }),
    forget: (id) => schemas.delete(id),

    async schemaById(id) {
      lookups++;
      available();
      return schemas.get(id) ?? null;
    },
    async idOf(subject, schema) {
      available();
      const id = idOfText(JSON.stringify(schema));
      return id !== undefined && (subjects.get(subject) ?? []).includes(id) ? id : null;
    },
    async versionsOf(subject) {
      available();
      return versions(subject);
    },
    async levelOf(subject) {
      available();
      return levels.get(subject) ?? null;
    },
    async setLevel(subject, level) {
      available();
      levels.set(subject, level);
    },
    async accepts(subject, schema) {
      available();
      return refusal(subject, schema) === null;
    },
    async register(subject, schema) {
      available();
      const text = JSON.stringify(schema);
      const known = idOfText(text);
      const ids = subjects.get(subject) ?? [];
      if (known !== undefined && ids.includes(known)) return { kind: "registered", id: known };
      const reason = refusal(subject, schema);
      if (reason !== null) return { kind: "refused", reason };
      const id = known ?? Math.max(0, ...schemas.keys()) + 1;
      schemas.set(id, { format: "AVRO", text });
      subjects.set(subject, [...ids, id]);
      return { kind: "registered", id };
    },
  };
  return registry;
}

/** A registry that holds every schema of these topics already: what workers in a test or simulation need. */
export async function registryWith(topics: readonly Topic[]): Promise<MemoryRegistry> {
  const registry = memoryRegistry();
  const { signal } = new AbortController();
  for (const topic of topics) {
    for (const record of topic.records) {
      for (const { schema } of record.versions) {
        await registry.register(subjectOf(topic, record), schema, topic.compatibility, signal);
      }
    }
  }
  return registry;
}
