import { type Backoff, delayMs } from "../backoff.ts";
import type { Clock } from "../clock.ts";
import { badAnswer, problemOf, readJson } from "./answer-text.ts";
import { ClientError } from "./client-error.ts";
import type { OwnWrites } from "./own-writes.ts";
import type { Transport } from "./transport.ts";

/** Requests that are made again until they are answered, or the time is over. */

export interface Connection {
  readonly transport: Transport;
  readonly clock: Clock;
  readonly writes: OwnWrites;
}

export interface CallOptions {
  /**
   * How long the call may take in all, in milliseconds, waiting and trying again: 30,000 where left out. An
   * answer that is on its way is given two seconds more.
   */
  readonly withinMs?: number;
  /** Ends the call, which then rejects with the signal's reason. A command that was sent is not taken back. */
  readonly signal?: AbortSignal;
}

export interface Asked {
  readonly method: "GET" | "POST";
  /** Without its query. */
  readonly path: string;
  readonly query: readonly (readonly [name: string, value: string])[];
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** The server may wait for what is asked for: it is told how long. */
  readonly waits: boolean;
  readonly commandId?: string;
}

/** An answer that no further try would change. */
export interface Answered {
  /** What was asked, for messages. */
  readonly asked: string;
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
}

export type Deadline = Required<Pick<CallOptions, "withinMs">> & {
  /** On the connection's clock. */
  readonly at: number;
  readonly signal: AbortSignal | undefined;
};

const withinFallbackMs = 30_000;
/** On top of what the server waits. */
const answerTimeoutMs = 10_000;
const lastAnswerMs = 2_000;
const retryBackoff: Backoff = { firstMs: 100, factor: 2, maxMs: 5_000 };

/** @throws ClientError `BAD_CALL` where the time is none */
export function deadlineOf(
  { clock }: Connection,
  { withinMs = withinFallbackMs, signal }: CallOptions,
): Deadline {
  if (!Number.isFinite(withinMs) || withinMs < 0) {
    throw new ClientError(`withinMs is ${withinMs}; it is milliseconds from 0 up`, {
      code: "BAD_CALL",
    });
  }
  return { withinMs, at: clock.now() + withinMs, signal };
}

/**
 * Asks until there is an answer that counts. Tried again, after a growing pause with jitter or as long as
 * `Retry-After` says: no answer at all, 429, 502, 503, 504, and a view that is `BEHIND`.
 * @throws ClientError with what was last heard where the time is over
 */
export async function ask(
  connection: Connection,
  asked: Asked,
  deadline: Deadline,
): Promise<Answered> {
  const { clock } = connection;
  const { signal } = deadline;
  let mayBeDone = false;
  for (let attempt = 0; ; attempt++) {
    signal?.throwIfAborted();
    const tried = await tryOnce(connection, asked, deadline);
    if (tried.kind === "answered") return tried.answered;

    mayBeDone ||= tried.mayBeDone;
    const pauseMs = Math.max(
      delayMs(retryBackoff, attempt, () => clock.random()),
      tried.afterMs,
    );
    if (clock.now() + pauseMs >= deadline.at) {
      throw gaveUp(asked, tried.error, { deadline, tries: attempt + 1, mayBeDone });
    }
    await clock.sleep(pauseMs, ...(signal ? [signal] : []));
  }
}

type Tried =
  | { readonly kind: "answered"; readonly answered: Answered }
  | {
      readonly kind: "again";
      readonly error: ClientError;
      readonly afterMs: number;
      /** The request may have been handled. */
      readonly mayBeDone: boolean;
    };

async function tryOnce(
  { transport, clock }: Connection,
  asked: Asked,
  { at, signal }: Deadline,
): Promise<Tried> {
  const leftMs = Math.max(0, at - clock.now());
  const waitMs = Math.floor(Math.min(transport.waitAtMostMs, leftMs));
  const timeoutMs = Math.min(waitMs + answerTimeoutMs, leftMs + lastAnswerMs);
  const cut = new AbortController();
  const cutOff = () => {
    cut.abort(signal?.reason);
  };
  // Taken off by hand: `AbortSignal.any` over a signal that lives long keeps every one made.
  signal?.addEventListener("abort", cutOff);
  const over = new AbortController();
  void clock.sleep(timeoutMs, over.signal).then(() => {
    if (!over.signal.aborted) cut.abort(new Error(`no answer within ${timeoutMs} ms`));
  });
  const { method, headers = {}, body = null } = asked;
  const path = pathOf(asked, waitMs);
  const what = `${method} ${asked.path} at ${transport.to}`;
  try {
    const response = await Promise.race([
      transport.exchange({ method, path, headers, body }, cut.signal),
      rejected(cut.signal),
    ]);
    const answered = () => ({
      asked: what,
      status: response.status,
      body: readJson(response.text),
    });
    return judged(answered, response, { what, clock });
  } catch (error) {
    if (error instanceof ClientError) throw error;
    signal?.throwIfAborted();
    const message = `${what} had no answer: ${reasonsOf(error)}`;
    const noAnswer = new ClientError(message, { code: "NO_ANSWER", cause: error });
    return { kind: "again", error: noAnswer, afterMs: 0, mayBeDone: true };
  } finally {
    over.abort();
    signal?.removeEventListener("abort", cutOff);
  }
}

/** `answered` throws a SyntaxError where the text is no JSON object. */
function judged(
  answered: () => Answered,
  { status, retryAfter, text }: { status: number; retryAfter: string | null; text: string },
  { what, clock }: { what: string; clock: Clock },
): Tried {
  const again = [429, 502, 503, 504].includes(status);
  const afterMs = retryAfterMs(retryAfter, clock.now());
  let read: Answered;
  try {
    read = answered();
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    // Whatever stands between here and the gateway may say that it is away in its own words.
    if (!again)
      throw badAnswer({ asked: what, status }, `it is no JSON object: ${text.slice(0, 80)}`);
    const message = `${what} was answered ${status} by something that is not the gateway`;
    const error503 = new ClientError(message, { code: "NO_ANSWER", status });
    return { kind: "again", error: error503, afterMs, mayBeDone: true };
  }
  const { code } = read.body;
  if (!again && code !== "BEHIND") return { kind: "answered", answered: read };
  const isUnsent = code === "NOT_READY" || code === "TOO_MANY_IN_FLIGHT";
  return { kind: "again", error: problemOf(read), afterMs, mayBeDone: !isUnsent };
}

/** Seconds or an HTTP date (RFC 9110, 10.2.3) → milliseconds from now. */
function retryAfterMs(text: string | null, nowMs: number): number {
  if (text === null) return 0;
  if (/^\d{1,9}$/.test(text)) return Number(text) * 1000;
  const at = Date.parse(text);
  return Number.isNaN(at) ? 0 : Math.max(0, at - nowMs);
}

function pathOf({ path, query, waits }: Asked, waitMs: number): string {
  const all = new URLSearchParams(query.map(([name, value]): [string, string] => [name, value]));
  if (waits) all.set("waitMs", String(waitMs));
  return all.size === 0 ? path : `${path}?${all.toString()}`;
}

function rejected(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener("abort", () => {
      reject(signal.reason instanceof Error ? signal.reason : new Error("aborted"));
    });
  });
}

/** With its causes: `fetch` says "fetch failed", and why only in the cause. */
function reasonsOf(error: unknown): string {
  const said: string[] = [];
  for (let at = error; at instanceof Error && said.length < 4; at = at.cause) {
    const { code } = at as { readonly code?: unknown };
    said.push(at.message !== "" ? at.message : typeof code === "string" ? code : at.name);
  }
  return said.length === 0 ? String(error) : said.join(": ");
}

function gaveUp(
  { commandId }: Asked,
  last: ClientError,
  about: { readonly deadline: Deadline; readonly tries: number; readonly mayBeDone: boolean },
): ClientError {
  const { deadline, tries, mayBeDone } = about;
  const times = tries === 1 ? "once" : `${tries} times`;
  const said = [`${last.message} (Tried ${times} within ${deadline.withinMs} ms.)`];
  if (commandId !== undefined) {
    const id = JSON.stringify(commandId);
    said.push(
      mayBeDone
        ? `The command may have been done: the same one with the commandId ${id} gets its answer, and is done once.`
        : "Nothing was sent.",
    );
  }
  const { code, status, errors, cause } = last;
  return new ClientError(said.join(" "), {
    code,
    status,
    errors,
    commandId: commandId ?? null,
    ...(cause !== undefined && { cause }),
  });
}
