import { FatalError, messageOf, TransientError } from "../errors.ts";

/** Requests to the registry: with a deadline, a bound on the answer, and errors that say what to do. */

/** Where the registry is, and how long one request may take. */
export interface RegistryOptions {
  /** The base of the Confluent API; user and password may stand in it. */
  readonly url: string;
  readonly user?: string | undefined;
  readonly password?: string | undefined;
  /** For one request, its answer read. */
  readonly requestTimeoutMs: number;
}

/** The most bytes of an answer: far beyond any schema, and nothing that could fill the memory. */
const maxAnswerBytes = 4 * 1024 * 1024;

/** A registry's address, taken apart. */
export interface Place {
  /** Without a slash at its end, and without user and password: this is what people see. */
  readonly base: string;
  readonly auth: { readonly username: string; readonly password: string } | null;
  readonly requestTimeoutMs: number;
}

/** User and password may stand in the address, percent-encoded; given apart, they win. */
export function placeOf({ url, user, password, requestTimeoutMs }: RegistryOptions): Place {
  const parsed = new URL(url);
  const username = user ?? decodeURIComponent(parsed.username);
  const secret = password ?? decodeURIComponent(parsed.password);
  parsed.username = "";
  parsed.password = "";
  parsed.hash = "";
  const auth = username === "" ? null : { username, password: secret };
  return { base: parsed.href.replace(/\/+$/, ""), auth, requestTimeoutMs };
}

/** One request, its path relative to the base of the API. */
export interface RegistryRequest {
  readonly method: "GET" | "POST" | "PUT";
  readonly path: string;
  /** JSON text. */
  readonly body: string | null;
}

/**
 * The JSON of the answer, or `null` where the registry says that what was asked for is not there. Throws as
 * `Registry` says.
 */
export async function ask(
  place: Place,
  request: RegistryRequest,
  signal: AbortSignal,
): Promise<unknown> {
  const { status, json } = await exchange(place, request, signal);
  if (status >= 200 && status < 300 && typeof json === "object" && json !== null) return json;
  if (isNotThere(status, json)) return null;
  throw failureOf(place, status, json);
}

/**
 * One request and whatever answer it has; `json` is `undefined` where that is not JSON.
 * @throws TransientError where there is none in time, or one that is too long
 */
export async function exchange(
  place: Place,
  { method, path, body }: RegistryRequest,
  signal: AbortSignal,
): Promise<{ readonly status: number; readonly json: unknown }> {
  const headers: Record<string, string> = {
    accept: "application/vnd.schemaregistry.v1+json, application/json",
  };
  if (body !== null) headers["content-type"] = "application/vnd.schemaregistry.v1+json";
  if (place.auth) {
    const { username, password } = place.auth;
    headers["authorization"] = `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}`;
  }
  const deadline = AbortSignal.timeout(place.requestTimeoutMs);
  try {
    const response = await fetch(`${place.base}${path}`, {
      method,
      headers,
      body,
      redirect: "manual",
      signal: AbortSignal.any([signal, deadline]),
    });
    return { status: response.status, json: jsonOf(await boundedText(place, response)) };
  } catch (error) {
    if (error instanceof TransientError) throw error;
    throw deadline.aborted ? timedOut(place) : unreachable(place, error);
  }
}

async function boundedText(place: Place, response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of response.body ?? []) {
    size += (chunk as Uint8Array).length;
    // Leaving the loop cancels the rest.
    if (size > maxAnswerBytes) throw unexpected(place, `is longer than ${maxAnswerBytes} bytes`);
    chunks.push(chunk as Uint8Array);
  }
  return Buffer.concat(chunks).toString("utf8");
}

/**
 * Whether this is the registry speaking of a subject, version or schema, by its error code. A bare 404 is a
 * wrong address or a proxy, and must never count as proof that an id does not exist.
 */
function isNotThere(status: number, json: unknown): boolean {
  const code = fieldOf(json, "error_code");
  return status === 404 && typeof code === "number" && code >= 40400 && code <= 40499;
}

/** The error that an answer other than the one asked for stands for. */
export function failureOf(
  place: Place,
  status: number,
  json: unknown,
): FatalError | TransientError {
  const reason = reasonOf(json);
  const said = reason === null ? "" : `: ${reason}`;
  if (status === 401 || status === 403) {
    const hint = "give a user that may read in SCHEMA_REGISTRY_URL";
    return new FatalError(
      "UNAUTHORIZED",
      `the schema registry at ${place.base} answered ${status}${said}; ${hint}`,
    );
  }
  if (status < 300) return unexpected(place, "is not a JSON object");
  if (status < 400) {
    return unexpected(place, "is a redirect, which is not followed; name its end in the setting");
  }
  if (status === 404 && !isNotThere(status, json)) {
    const hint = "is the address complete? Apicurio's ends in /apis/ccompat/v7";
    return unexpected(place, `is a 404 without a code of the registry; ${hint}`);
  }
  return new TransientError(`the schema registry at ${place.base} answered ${status}${said}`);
}

function unreachable(place: Place, error: unknown): TransientError {
  const inner = error instanceof Error && error.cause !== undefined ? error.cause : error;
  return new TransientError(
    `the schema registry at ${place.base} cannot be reached: ${messageOf(inner)}`,
    { cause: error },
  );
}

function timedOut(place: Place): TransientError {
  const withinMs = place.requestTimeoutMs;
  return new TransientError(
    `the schema registry at ${place.base} did not answer within ${withinMs} ms`,
  );
}

function unexpected(place: Place, what: string): TransientError {
  return new TransientError(`the answer of the schema registry at ${place.base} ${what}`);
}

/** What the registry says of its refusal, or `null` where it says nothing. */
export function reasonOf(json: unknown): string | null {
  const message = fieldOf(json, "message");
  // Apicurio puts a class name of its own first.
  return typeof message === "string" ? message.replace(/^[a-z][\w.]*Exception: /, "") : null;
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined; // An error page of a proxy; the status says enough.
  }
}

/** A field of a JSON object; `undefined` of anything else. */
export function fieldOf(json: unknown, name: string): unknown {
  return typeof json === "object" && json !== null
    ? (json as Readonly<Record<string, unknown>>)[name]
    : undefined;
}

/** @throws TransientError where the answer has no such text */
export function textOf(place: Place, json: unknown, name: string): string {
  const value = fieldOf(json, name);
  if (typeof value !== "string") throw unexpected(place, `has no ${name}`);
  return value;
}

/** @throws TransientError where the answer has no such integer */
export function numberOf(place: Place, json: unknown, name: string): number {
  const value = fieldOf(json, name);
  if (!Number.isInteger(value)) throw unexpected(place, `has no ${name}`);
  return value as number;
}
