import { dependencyBackoff, delayMs } from "../backoff.ts";
import type { Clock } from "../clock.ts";
import { FatalError, messageOf, TransientError } from "../errors.ts";
import { fingerprintOf, parseSchema, SchemaError } from "./avro-schema.ts";
import { type AvroType, compileType } from "./avro-type.ts";
import { compileGuard, type Guard } from "./guard.ts";
import type { RegisteredSchema, Registry } from "./registry.ts";
import type { SchemaIds } from "./schema-ids.ts";

/** What is known of a schema id. */
export type WriterSchema =
  | {
      readonly kind: "record";
      readonly fullName: string;
      readonly fingerprint: string;
      readonly guard: Guard;
      readonly type: AvroType;
    }
  /** The registry has it, and no message of ours can be written with it. */
  | { readonly kind: "foreign"; readonly reason: string }
  /** The registry has said for long enough that it does not have it. */
  | { readonly kind: "unknown" };

/** The most ids remembered as unknown. */
const maxUnknown = 10_000;

/** The most requests to the registry at once. */
const maxRequests = 8;

export interface SchemaLookupOptions {
  readonly registry: Registry;
  readonly knownIds: SchemaIds;
  readonly clock: Clock;
  readonly unknownIdWaitMs: number;
  /** Called when the registry stops or begins to answer. */
  readonly onRegistry: (state: "answers" | "unreachable", reason: string) => void;
}

/** Schema ids looked up once and remembered. Ids are never given another meaning, so nothing expires. */
export class SchemaLookup {
  readonly #options: SchemaLookupOptions;
  readonly #known = new Map<number, WriterSchema>();
  /** Id → when to ask for it again: a schema may be registered after its first record came. */
  readonly #unknown = new Map<number, number>();
  readonly #pending = new Map<number, Lookup>();
  #requests = 0;
  readonly #waiting: (() => void)[] = [];
  #answers = true;

  constructor(options: SchemaLookupOptions) {
    this.#options = options;
  }

  /** What is known of the id, or `undefined` where `learn` has not settled it. */
  get(id: number): WriterSchema | undefined {
    const known = this.#known.get(id);
    if (known !== undefined) return known;
    return id <= 0 || this.#unknown.has(id) ? { kind: "unknown" } : undefined;
  }

  /** Whether `learn` has nothing to do for this id. */
  isSettled(id: number): boolean {
    if (id <= 0 || this.#known.has(id)) return true; // No registry gives ids below 1.
    const askAgainAt = this.#unknown.get(id);
    return askAgainAt !== undefined && this.#options.clock.now() < askAgainAt;
  }

  /**
   * Looks up the ids, all at once: returns when each is settled, or when `signal` aborts. Waits for ever for
   * a registry that is away. A lookup is shared by all who wait for it and ends when the last of them has gone.
   * @throws FatalError `SCHEMA_DRIFT` where an id means another schema than the deployment recorded
   */
  async learn(ids: Iterable<number>, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    const open = [...new Set(ids)].filter((id) => !this.isSettled(id));
    await Promise.all(open.map((id) => this.#join(id, signal)));
  }

  /** Remembers a schema that needs no lookup: one that we write ourselves. */
  remember(id: number, schema: object): WriterSchema {
    const known = compileWriter({ format: "AVRO", text: JSON.stringify(schema) });
    this.#keep(id, known);
    return known;
  }

  async #join(id: number, signal: AbortSignal): Promise<void> {
    let lookup = this.#pending.get(id);
    if (lookup === undefined) {
      const ending = new AbortController();
      lookup = { ending, done: this.#settle(id, ending.signal), waiters: 0 };
      this.#pending.set(id, lookup);
    }
    lookup.waiters++;
    try {
      await settledOrAborted(lookup.done, signal);
    } finally {
      if (--lookup.waiters === 0) {
        lookup.ending.abort();
        if (this.#pending.get(id) === lookup) this.#pending.delete(id);
      }
    }
  }

  async #settle(id: number, signal: AbortSignal): Promise<void> {
    const { clock, unknownIdWaitMs } = this.#options;
    let missingSince = this.#unknown.has(id) ? -Infinity : null;
    for (let attempt = 0; !signal.aborted; attempt++) {
      let waitMs = delayMs(dependencyBackoff, attempt, () => clock.random());
      const answer = await this.#ask(id, signal);
      if (answer === null) {
        const now = clock.now();
        missingSince ??= now;
        const leftMs = missingSince + unknownIdWaitMs - now;
        if (leftMs <= 0) {
          this.#forgo(id);
          return;
        }
        waitMs = Math.min(waitMs, leftMs);
      } else if (answer !== "unreachable") {
        this.#keep(id, compileWriter(answer));
        return;
      }
      await clock.sleep(waitMs, signal);
    }
  }

  async #ask(id: number, signal: AbortSignal): Promise<RegisteredSchema | null | "unreachable"> {
    await this.#enter();
    try {
      const answer = await this.#options.registry.schemaById(id, signal);
      this.#report("answers", "");
      return answer;
    } catch (error) {
      // A credential that expires while we run is renewed while we run.
      const passing =
        error instanceof TransientError ||
        (error instanceof FatalError && error.code === "UNAUTHORIZED");
      if (!passing) throw error;
      if (!signal.aborted) this.#report("unreachable", error.message);
      return "unreachable";
    } finally {
      this.#leave();
    }
  }

  async #enter(): Promise<void> {
    if (this.#requests++ >= maxRequests) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  #leave(): void {
    this.#requests--;
    this.#waiting.shift()?.();
  }

  #keep(id: number, known: WriterSchema): void {
    const recorded = this.#options.knownIds.get(id);
    const fingerprint = known.kind === "record" ? known.fingerprint : "none";
    if (recorded !== undefined && recorded !== fingerprint) throw drift(id, recorded, fingerprint);
    this.#unknown.delete(id);
    this.#known.set(id, known);
  }

  #forgo(id: number): void {
    if (this.#options.knownIds.has(id)) throw lost(id);
    this.#unknown.delete(id);
    for (const oldest of this.#unknown.keys()) {
      if (this.#unknown.size < maxUnknown) break;
      this.#unknown.delete(oldest);
    }
    this.#unknown.set(id, this.#options.clock.now() + askAgainAfterMs);
  }

  #report(state: "answers" | "unreachable", reason: string): void {
    if (this.#answers === (state === "answers")) return;
    this.#answers = state === "answers";
    this.#options.onRegistry(state, reason);
  }
}

/** How long an unknown id stays so without another question to the registry. */
const askAgainAfterMs = 60_000;

interface Lookup {
  readonly ending: AbortController;
  readonly done: Promise<void>;
  waiters: number;
}

async function settledOrAborted(done: Promise<void>, signal: AbortSignal): Promise<void> {
  let release = (): void => undefined;
  const aborted = new Promise<void>((resolve) => {
    release = resolve;
    signal.addEventListener("abort", release);
  });
  try {
    await Promise.race([done, aborted]);
  } finally {
    signal.removeEventListener("abort", release);
  }
}

function compileWriter({ format, text }: RegisteredSchema): WriterSchema {
  if (format !== "AVRO") return { kind: "foreign", reason: `a schema in the format ${format}` };
  try {
    const json = JSON.parse(text) as object;
    const schema = parseSchema(json);
    if (schema.kind !== "record") return { kind: "foreign", reason: `a bare ${schema.kind}` };
    return {
      kind: "record",
      fullName: schema.name,
      fingerprint: fingerprintOf(schema),
      guard: compileGuard(schema),
      type: compileType(json),
    };
  } catch (error) {
    if (!(error instanceof SchemaError || error instanceof SyntaxError)) throw error;
    return { kind: "foreign", reason: `not a schema that we can read: ${messageOf(error)}` };
  }
}

const wiped = "was the registry wiped, or is it another one? Restore it from its backup";

function drift(id: number, recorded: string, found: string): FatalError {
  return new FatalError(
    "SCHEMA_DRIFT",
    `schema id ${id} means another schema (${found.slice(0, 12)}) than was recorded (${recorded.slice(0, 12)}): ${wiped}`,
  );
}

function lost(id: number): FatalError {
  return new FatalError(
    "SCHEMA_DRIFT",
    `the registry no longer knows schema id ${id}, which records of this deployment may carry: ${wiped}`,
  );
}
