import { FatalError, messageOf, TransientError } from "./errors.ts";

/** Requests to the registry: with a deadline, a bound on the answer, and errors that say what to do. */

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

export interface Place {
  /** Without a slash at its end, and without user and password: this is what people see. */
  readonly base: string;
  readonly auth: { readonly username: string; readonly password: string } | null;
  readonly requestTimeoutMs: number;
}

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

interface Request {
  readonly method: "GET" | "POST" | "PUT";
  readonly path: string;
  readonly body?: object;
}

/** The JSON of the answer, or `null` where the registry says that what was asked for is not there. */
export async function ask(place: Place, request: Request, signal: AbortSignal): Promise<unknown> {
  const { status, text } = await fetchText(place, request, signal);
  const json = jsonOf(text);
  if (status >= 200 && status < 300) {
    if (json === undefined) throw unexpected(place, "is not JSON");
    return json;
  }
  if (isNotThere(status, json)) return null;
  throw failureOf(place, status, json);
}

async function fetchText(
  place: Place,
  { method, path, body }: Request,
  signal: AbortSignal,
): Promise<{ status: number; text: string }> {
  const headers: Record<string, string> = {
    accept: "application/vnd.schemaregistry.v1+json, application/json",
  };
  if (body) headers["content-type"] = "application/vnd.schemaregistry.v1+json";
  if (place.auth) {
    const { username, password } = place.auth;
    headers["authorization"] = `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}`;
  }
  const deadline = AbortSignal.timeout(place.requestTimeoutMs);
  try {
    const response = await fetch(`${place.base}${path}`, {
      method,
      headers,
      body: body ? JSON.stringify(body) : null,
      redirect: "manual",
      signal: AbortSignal.any([signal, deadline]),
    });
    return { status: response.status, text: await boundedText(place, response) };
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
  if (status >= 300 && status < 400) {
    return unexpected(place, "is a redirect, which is not followed; name its end in the setting");
  }
  if (status === 404) {
    const hint = "is the address complete? Apicurio's ends in /apis/ccompat/v7";
    return unexpected(place, `is a 404 without a code of the registry; ${hint}`);
  }
  return new TransientError(`the schema registry at ${place.base} answered ${status}${said}`);
}

export function unreachable(place: Place, error: unknown): TransientError {
  const inner = error instanceof Error && error.cause !== undefined ? error.cause : error;
  return new TransientError(
    `the schema registry at ${place.base} cannot be reached: ${messageOf(inner)}`,
    { cause: error },
  );
}

export function timedOut(place: Place): TransientError {
  const withinMs = place.requestTimeoutMs;
  return new TransientError(
    `the schema registry at ${place.base} did not answer within ${withinMs} ms`,
  );
}

function unexpected(place: Place, what: string): TransientError {
  return new TransientError(`the answer of the schema registry at ${place.base} ${what}`);
}

export function reasonOf(json: unknown): string | null {
  const message = fieldOf(json, "message");
  // Apicurio puts a class name of its own first.
  return typeof message === "string" ? message.replace(/^[a-z][\w.]*Exception: /, "") : null;
}

export function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined; // An error page of a proxy; the status says enough.
  }
}

export function fieldOf(json: unknown, name: string): unknown {
  return typeof json === "object" && json !== null
    ? (json as Readonly<Record<string, unknown>>)[name]
    : undefined;
}

export function textOf(place: Place, json: unknown, name: string): string {
  const value = fieldOf(json, name);
  if (typeof value !== "string") throw unexpected(place, `has no ${name}`);
  return value;
}

export function numberOf(place: Place, json: unknown, name: string): number {
  const value = fieldOf(json, name);
  if (!Number.isInteger(value)) throw unexpected(place, `has no ${name}`);
  return value as number;
}
