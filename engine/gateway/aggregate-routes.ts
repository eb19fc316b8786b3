import type { FastifyInstance, FastifyRequest } from "fastify";
import { headerOf } from "../log.ts";
import { headers, isValidId, maxIdBytes } from "../message.ts";
import type { Aggregates, ReadWhen } from "./aggregates.ts";
import { type AggregateApi, type Api, apiLimits } from "./api.ts";
import type { AsOf } from "./event-places.ts";
import type { PlacedEvent } from "./placed-events.ts";
import { type FieldProblem, invalidRequest, Problem } from "./problem.ts";
import { queryOf, waitMsOf } from "./server.ts";
import { readToken } from "./token.ts";

/** `GET /aggregates/<aggregate>/<id>` and its events: what the log says of one aggregate. */

export interface AggregateRoutes {
  readonly api: Api;
  readonly aggregates: Aggregates;
  readonly era: number;
}

export function aggregateRoutes(app: FastifyInstance, deps: AggregateRoutes): void {
  const { api, aggregates, era } = deps;

  app.get("/aggregates/:aggregate/:id", async (request) => {
    const { of, id } = addressed(api, request);
    const query = queryOf(request, ["version", "at", "token", "waitMs"]);
    const asOf = asOfIn(query);
    const when = whenOf(query, request, era);
    const found = await aggregates.state(of, id, asOf, when);
    const { aggregate } = of.topics;
    if (found.kind === "absent") throw notFound(of, id, asOf, found.latest);
    const { version, time, state } = found;
    return { aggregate, id, version, time, state: plain(state) };
  });

  app.get("/aggregates/:aggregate/:id/events", async (request) => {
    const { of, id } = addressed(api, request);
    const query = queryOf(request, ["after", "limit", "token", "waitMs"]);
    const page = pageIn(query);
    const when = whenOf(query, request, era);
    const { latest, events, next } = await aggregates.events(of, id, page, when);
    if (latest === 0) throw notFound(of, id, "now", 0);
    return { events: events.map(shown), next };
  });
}

interface Addressed {
  readonly of: AggregateApi;
  readonly id: string;
}

function addressed({ aggregates }: Api, request: FastifyRequest): Addressed {
  const { aggregate, id } = request.params as { readonly aggregate: string; readonly id: string };
  const of = aggregates.find(({ topics }) => topics.aggregate === aggregate);
  if (of === undefined) {
    const all = aggregates.map(({ topics }) => topics.aggregate).join(", ");
    const detail = `There is no aggregate ${JSON.stringify(aggregate)}. The aggregates are ${all}.`;
    throw new Problem("NOT_FOUND", { detail });
  }
  checkId("path id", id);
  return { of, id };
}

/** @throws Problem `INVALID_REQUEST` */
export function checkId(field: string, id: string): void {
  if (!isValidId(id)) {
    const message = `an id is 1 to ${maxIdBytes} bytes of UTF-8, each percent-encoded where it means something in an address`;
    throw invalidRequest([{ field, message }]);
  }
}

type Query<N extends string> = Partial<Record<N, string>>;

function asOfIn({ version, at }: Query<"version" | "at">): AsOf {
  if (version !== undefined && at !== undefined) {
    throw invalidRequest([{ field: "query at", message: "give either it or version" }]);
  }
  if (version !== undefined) {
    const wanted = wholeIn("version", version, { least: 1, most: Number.MAX_SAFE_INTEGER });
    return { version: wanted };
  }
  return at === undefined ? "now" : { at: instantIn(at) };
}

const instant = /^\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:Z|[+-]\d\d:\d\d)$/;

function instantIn(text: string): Date {
  const unescaped = text.replace(/ (?=\d\d:\d\d$)/, "+"); // In a query a bare + is a space.
  const time = new Date(unescaped);
  if (instant.test(unescaped) && !Number.isNaN(time.getTime())) return time;
  const message = "expected an instant with its time zone, for example 2026-01-31T09:30:00Z";
  throw invalidRequest([{ field: "query at", message }]);
}

function pageIn({ after = "0", limit }: Query<"after" | "limit">) {
  const { fallback, most } = apiLimits.pageRows;
  return {
    after: wholeIn("after", after, { least: 0, most: Number.MAX_SAFE_INTEGER }),
    limit: limit === undefined ? fallback : wholeIn("limit", limit, { least: 1, most }),
  };
}

function wholeIn(
  name: string,
  text: string,
  { least, most }: { readonly least: number; readonly most: number },
): number {
  const value = /^\d{1,16}$/.test(text) ? Number(text) : NaN;
  if (value >= least && value <= most) return value;
  const problem: FieldProblem = {
    field: `query ${name}`,
    message: `expected a whole number from ${least} to ${most}`,
  };
  throw invalidRequest([problem]);
}

function whenOf(
  { token, waitMs }: Query<"token" | "waitMs">,
  { signal }: FastifyRequest,
  era: number,
): ReadWhen {
  return {
    token: token === undefined ? null : readToken(token, era),
    waitMs: waitMsOf(waitMs),
    signal,
  };
}

function notFound({ topics }: AggregateApi, id: string, asOf: AsOf, latest: number): Problem {
  const said = `${topics.aggregate} ${JSON.stringify(id)}`;
  if (latest === 0) {
    const detail = `There is no event of ${said}. With the token of the command that made it, this waits for it.`;
    return new Problem("NOT_FOUND", { detail });
  }
  const detail =
    asOf !== "now" && "at" in asOf
      ? `${said} had no event by ${asOf.at.toISOString()} yet; it is at version ${latest} now.`
      : `${said} has come to version ${latest}.`;
  return new Problem("NOT_FOUND", { detail, more: { latest } });
}

function shown({ version, type, data, record }: PlacedEvent) {
  const said = (name: string) => headerOf(record, name) ?? undefined;
  return {
    version,
    type,
    time: new Date(record.timestamp),
    commandId: headerOf(record, headers.commandId),
    correlationId: said(headers.correlationId),
    causationId: said(headers.causationId),
    actor: said(headers.actor),
    data: plain(data),
  };
}

/** As JSON has it: bytes as base64 text, as in a command's body; maps as objects. */
function plain(value: unknown): unknown {
  if (Buffer.isBuffer(value)) return value.toString("base64");
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== "object" || value === null || value instanceof Date) return value;
  const entries =
    value instanceof Map ? [...(value as Map<string, unknown>)] : Object.entries(value);
  return Object.fromEntries(entries.map(([name, member]) => [name, plain(member)]));
}
