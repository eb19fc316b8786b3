import { type Backoff, delayMs } from "../backoff.ts";
import { type About, type Answer, type Pending, readAnswer, readStatus } from "./answer.ts";
import { objectIn, objectsIn, problemOf, textIn, versionIn } from "./answer-text.ts";
import { ClientError } from "./client-error.ts";
import { newCommandId } from "./command-id.ts";
import {
  type Answered,
  ask,
  type Asked,
  type CallOptions,
  type Connection,
  type Deadline,
  deadlineOf,
} from "./connection.ts";

/** One kind of aggregate to a client: a method a command, and what can be read of each. */

export interface SendOptions extends CallOptions {
  /** Goes along to the command's events; well-formed Unicode of 1 to 255 bytes. */
  readonly correlationId?: string;
  /** W3C trace context. */
  readonly traceparent?: string;
}

export interface ReadOptions extends CallOptions {
  /**
   * The answer is not older than the command that gave this token; `null`: as it is, even if that is older than
   * what this client itself has written. Left out, it has all that this client has written to what is read.
   */
  readonly token?: string | null;
}

export interface AggregateState<S> {
  /** How many events it has. */
  readonly version: number;
  /** Of its last event, ISO 8601. */
  readonly time: string;
  readonly state: S;
}

/** What is known of an event beside its type and its data. */
export interface EventFacts {
  readonly version: number;
  /** ISO 8601. */
  readonly time: string;
  readonly commandId: string;
  readonly correlationId?: string;
  readonly causationId?: string;
  readonly actor?: string;
}

export interface EventPage<E> {
  readonly events: readonly (E & EventFacts)[];
  /** `after` of the next page; `null` on the last one. */
  readonly next: number | null;
}

/** What every aggregate has beside its commands; `S` is its state, `E` the union of its events. */
export interface AggregateReads<S, E, R extends string = string> {
  /**
   * The aggregate as it is, was at a version, or was at an instant; `null` where it has no event by then.
   * @throws ClientError `BEHIND` where what this client has written cannot be seen in time
   */
  state(
    id: string,
    options?: ReadOptions & { readonly version?: number; readonly at?: Date },
  ): Promise<AggregateState<S> | null>;
  /** A page of its events, in their order; an empty one where it has none. */
  events(
    id: string,
    options?: ReadOptions & { readonly after?: number; readonly limit?: number },
  ): Promise<EventPage<E>>;
  /** Goes on waiting for an answer that did not come in time; resolves to the same again where it still does not. */
  waitFor(pending: Pending, options?: CallOptions): Promise<Answer<R>>;
}

/** The fields of any command, as JSON has them. */
type Fields = Readonly<Record<string, unknown>> & { readonly commandId?: string };

/**
 * The methods of `A`: those of `AggregateReads`, and for each of `commands` one that sends the command of that
 * type. `npm run schemas` writes the call with its types; there is no need to write one by hand.
 */
export function aggregateClient<A extends object>(
  connection: Connection,
  aggregate: string,
  commands: Readonly<
    Record<Exclude<keyof A & string, keyof AggregateReads<unknown, unknown>>, string>
  >,
): A {
  const reads: AggregateReads<unknown, unknown> = {
    state: (id, options = {}) => readState(connection, aggregate, id, options),
    events: (id, options = {}) => readEvents(connection, aggregate, id, options),
    waitFor: async (pending, options = {}) =>
      settled(connection, aggregate, pending, deadlineOf(connection, options)),
  };
  const methods = Object.entries<string>(commands).map(([method, type]) => [
    method,
    (fields: Fields, options: SendOptions = {}) =>
      send(connection, { aggregate, type, fields }, options),
  ]);
  return { ...Object.fromEntries(methods), ...reads } as A;
}

interface Command {
  readonly aggregate: string;
  readonly type: string;
  readonly fields: Fields;
}

async function send(
  connection: Connection,
  { aggregate, type, fields }: Command,
  options: SendOptions,
): Promise<Answer> {
  const deadline = deadlineOf(connection, options);
  // Made before the first try: every try is the same command.
  const commandId = fields.commandId ?? newCommandId(connection.clock.now());
  const answered = await ask(
    connection,
    {
      method: "POST",
      path: `/commands/${encodeURIComponent(type)}`,
      query: [],
      headers: handedOn(options),
      body: bodyOf({ ...fields, commandId }),
      waits: true,
      commandId,
    },
    deadline,
  );
  const about = { commandId, aggregateId: String(fields[`${aggregate}Id`]) };
  const answer = readAnswer(answered, about);
  if (answer.kind === "pending") return settled(connection, aggregate, answer, deadline);
  return noted(connection, aggregate, answer);
}

/** Remembered for reads that are to see it. */
function noted(connection: Connection, aggregate: string, answer: Answer): Answer {
  if (answer.kind === "accepted") connection.writes.wrote(aggregate, answer);
  return answer;
}

const pollBackoff: Backoff = { firstMs: 200, factor: 1.5, maxMs: 2_000 };

/** Asks for the status until there is an answer; `pending` itself once the time is over. */
async function settled(
  connection: Connection,
  aggregate: string,
  pending: Pending,
  deadline: Deadline,
): Promise<Answer> {
  const { clock } = connection;
  const { signal } = deadline;
  const [path = "", query = ""] = pending.status.split("?", 2);
  const { commandId, aggregateId }: About = pending;
  const asked: Asked = {
    method: "GET",
    path,
    query: [...new URLSearchParams(query)],
    waits: false,
    commandId,
  };
  for (let attempt = 0; clock.now() < deadline.at; attempt++) {
    const answered = await askIfInTime(connection, asked, deadline);
    if (answered === null) break;
    const answer = readStatus(answered, { commandId, aggregateId });
    if (answer !== null) return noted(connection, aggregate, answer);
    const pauseMs = delayMs(pollBackoff, attempt, () => clock.random());
    const leftMs = deadline.at - clock.now();
    await clock.sleep(Math.min(pauseMs, Math.max(leftMs, 0)), ...(signal ? [signal] : []));
    signal?.throwIfAborted();
  }
  return pending;
}

/** `null` where the status cannot be read in time: that the command is kept is known all the same. */
async function askIfInTime(
  connection: Connection,
  asked: Asked,
  deadline: Deadline,
): Promise<Answered | null> {
  try {
    return await ask(connection, asked, deadline);
  } catch (error) {
    if (deadline.signal?.aborted || !(error instanceof ClientError)) throw error;
    if (error.code === "BAD_ANSWER") throw error;
    return null;
  }
}

/** @throws ClientError `BAD_CALL` for what JSON would turn into something else */
function bodyOf(fields: Fields): string {
  return JSON.stringify(fields, (name, value: unknown) => {
    const isLost =
      typeof value === "bigint" || (typeof value === "number" && !Number.isFinite(value));
    if (!isLost) return value;
    const shown = typeof value === "bigint" ? `the bigint ${value}n` : String(value);
    const message = `${name} is ${shown}, which JSON has no number for. Nothing was sent.`;
    throw new ClientError(message, { code: "BAD_CALL" });
  });
}

function handedOn({ correlationId, traceparent }: SendOptions): Readonly<Record<string, string>> {
  return {
    ...(correlationId !== undefined && { "x-correlation-id": byteString(correlationId) }),
    ...(traceparent !== undefined && { traceparent }),
  };
}

/** A character a byte, as a header takes UTF-8. */
function byteString(text: string): string {
  if (/[\0\r\n]/.test(text)) {
    const message =
      "correlationId has a line break or a NUL, which no header holds. Nothing was sent.";
    throw new ClientError(message, { code: "BAD_CALL" });
  }
  return Array.from(new TextEncoder().encode(text), (byte) => String.fromCharCode(byte)).join("");
}

async function readState<S>(
  connection: Connection,
  aggregate: string,
  id: string,
  options: Parameters<AggregateReads<S, unknown>["state"]>[1] & object,
): Promise<AggregateState<S> | null> {
  const { version, at } = options;
  const query: [string, string][] = [];
  if (version !== undefined) query.push(["version", String(version)]);
  if (at !== undefined) query.push(["at", at.toISOString()]);
  const answered = await read(connection, { aggregate, id, what: "", query }, options);
  if (answered === null) return null;
  return {
    version: versionIn(answered, "version"),
    time: textIn(answered, "time"),
    state: objectIn(answered, "state") as S, // As its schema says; the gateway decoded it by that.
  };
}

async function readEvents<E>(
  connection: Connection,
  aggregate: string,
  id: string,
  options: Parameters<AggregateReads<unknown, E>["events"]>[1] & object,
): Promise<EventPage<E>> {
  const { after, limit } = options;
  const query: [string, string][] = [];
  if (after !== undefined) query.push(["after", String(after)]);
  if (limit !== undefined) query.push(["limit", String(limit)]);
  const answered = await read(connection, { aggregate, id, what: "/events", query }, options);
  if (answered === null) return { events: [], next: null };
  const events = objectsIn(answered, "events") as unknown as EventPage<E>["events"];
  for (const body of objectsIn(answered, "events")) {
    const event = { ...answered, body };
    versionIn(event, "version");
    textIn(event, "type");
    objectIn(event, "data");
  }
  return { events, next: answered.body["next"] === null ? null : versionIn(answered, "next") };
}

/** `null` where there is no such aggregate, or none by then. */
async function read(
  connection: Connection,
  of: {
    readonly aggregate: string;
    readonly id: string;
    readonly what: string;
    readonly query: readonly (readonly [string, string])[];
  },
  options: ReadOptions,
): Promise<Answered | null> {
  const { aggregate, id, what, query } = of;
  const { writes } = connection;
  const own = options.token === undefined ? writes.tokenOf(aggregate, id) : options.token;
  const answered = await ask(
    connection,
    {
      method: "GET",
      path: `/aggregates/${aggregate}/${pathPart(id)}${what}`,
      query: own === null ? query : [...query, ["token", own]],
      waits: own !== null,
    },
    deadlineOf(connection, options),
  );
  if (answered.status === 200) return answered;
  const problem = problemOf(answered);
  if (problem.code === "NOT_FOUND") return null;
  if (problem.code === "INVALID_TOKEN" && own !== null) writes.forget(own);
  throw problem;
}

/** @throws ClientError `BAD_CALL` for what an address cannot hold */
export function pathPart(text: string): string {
  if (text === "." || text === ".." || !text.isWellFormed()) {
    throw new ClientError(
      `${JSON.stringify(text)} cannot be a part of an address: "." and ".." lead elsewhere there, and half ` +
        "of a surrogate pair is no character.",
      { code: "BAD_CALL" },
    );
  }
  return encodeURIComponent(text);
}
