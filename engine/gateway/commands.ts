import { isUtf8 } from "node:buffer";
import { randomInt } from "node:crypto";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import type { Clock } from "../clock.ts";
import type { Codec } from "../codec.ts";
import type { Reply } from "../generated.ts";
import type { OutRecord } from "../log.ts";
import { headers, isValidId, maxIdBytes, uuidV7 } from "../message.ts";
import { commandRecord, type CommandType, commandTypeOf } from "../sending/command-record.ts";
import type { AggregateTopics } from "../topic.ts";
import { type Api, apiLimits } from "./api.ts";
import { type FieldProblem, invalidRequest, Problem } from "./problem.ts";
import { queryOf, waitMsOf } from "./server.ts";
import type { Submitted, Submitter } from "./submitter.ts";
import { tokenOf } from "./token.ts";

/** `POST /commands/<Type>`: a command by HTTP, and its answer. */

export interface CommandRoutes {
  readonly api: Api;
  readonly codec: Codec;
  readonly clock: Clock;
  readonly era: number;
  /** `null` until it stands at the end of every replies partition. */
  readonly submitter: () => Submitter | null;
  /** Aborts when this server stops: whoever still waits for an answer is told where to ask for it. */
  readonly stopping: AbortSignal;
}

export function commandRoutes(app: FastifyInstance, routes: CommandRoutes): void {
  app.post("/commands/:type", async (request, reply) => {
    const { waitMs } = queryOf(request, ["waitMs"]);
    const waitAtMostMs = waitMsOf(waitMs);
    const given = readRequest(routes, request);
    const submitter = routes.submitter();
    if (submitter === null) {
      const detail =
        "This server has just started and is not at the end of the replies yet. Nothing was sent.";
      throw new Problem("NOT_READY", { detail, retryAfter: 1 });
    }
    if (submitter.inFlight >= apiLimits.inFlight) {
      const detail = `${submitter.inFlight} commands wait for their answers here. Nothing was sent: send it again later.`;
      throw new Problem("TOO_MANY_IN_FLIGHT", { detail, retryAfter: 1 });
    }
    const submitted = await submitter.submit(given.record, waitAtMostMs, routes.stopping);
    return answer(reply, given, submitted, routes.era);
  });
}

interface GivenCommand {
  readonly topics: AggregateTopics;
  readonly commandId: string;
  readonly aggregateId: string;
  readonly record: OutRecord;
}

/** @throws Problem with all that is wrong */
function readRequest({ api, codec, clock }: CommandRoutes, request: FastifyRequest): GivenCommand {
  const { type } = request.params as { type: string };
  const aggregates = api.aggregates.map(({ topics }) => topics);
  const found = commandTypeOf(aggregates, type);
  if (found === null) {
    const all = aggregates.flatMap(({ commands }) => commands.records.map(({ name }) => name));
    const detail = `${JSON.stringify(type.slice(0, 100))} is not a command. The commands are ${all.join(", ")}.`;
    throw new Problem("NOT_FOUND", { detail });
  }
  const { body } = request;
  if (typeof body !== "object" || body === null || Array.isArray(body)) {
    throw invalidRequest([
      { field: "body", message: "a command is a JSON object with its fields" },
    ]);
  }
  const problems: FieldProblem[] = [];
  const fields = body as Readonly<Record<string, unknown>>;
  const commandId = commandIdOf(request, fields, problems) ?? newId(clock);
  const made = commandRecord(codec, found, { ...fields, commandId }, handedOn(request, problems));
  if (made.kind === "refused") {
    for (const { path, message } of made.problems) {
      problems.push({ field: path === "" ? "body" : `body ${path}`, message });
    }
  }
  checkAggregateId(found, fields, problems);
  const [first, ...more] = problems;
  if (first !== undefined) throw invalidRequest([first, ...more]);
  if (made.kind !== "command") {
    const detail = "The command is larger than a record of the log can be. Nothing was sent.";
    throw new Problem("TOO_LARGE", { detail });
  }
  const { aggregateId, record } = made.outgoing;
  return { topics: found.topics, commandId, aggregateId, record };
}

const idRule = `an id is 1 to ${maxIdBytes} bytes of UTF-8`;

/** From the header, else from the body; `null` where there is none. */
function commandIdOf(
  request: FastifyRequest,
  body: Readonly<Record<string, unknown>>,
  problems: FieldProblem[],
): string | null {
  const inHeader = headerOf(request, "idempotency-key", problems);
  const inBody = Object.hasOwn(body, "commandId") ? body["commandId"] : undefined;
  if (inHeader !== null && !isValidId(inHeader)) {
    problems.push({ field: "header Idempotency-Key", message: idRule });
  }
  if (typeof inBody !== "string") {
    if (inBody !== undefined) {
      problems.push({ field: "body commandId", message: "expected text" });
    }
    return inHeader;
  }
  if (!isValidId(inBody)) problems.push({ field: "body commandId", message: idRule });
  if (inHeader !== null && inHeader !== inBody) {
    const message = "differs from commandId in the body; give one of them, or the same twice";
    problems.push({ field: "header Idempotency-Key", message });
  }
  return inBody;
}

function checkAggregateId(
  { topics }: CommandType,
  body: Readonly<Record<string, unknown>>,
  problems: FieldProblem[],
): void {
  const name = `${topics.aggregate}Id`;
  const id = Object.hasOwn(body, name) ? body[name] : undefined;
  const field = `body ${name}`;
  if (typeof id !== "string" || isValidId(id)) return;
  if (!problems.some((it) => it.field === field)) problems.push({ field, message: idRule });
}

const traceparent = /^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/;

/** What goes along with the command to its events and its reply. */
function handedOn(request: FastifyRequest, problems: FieldProblem[]): OutRecord["headers"] {
  const said: [string, string][] = [];
  const correlation = headerOf(request, "x-correlation-id", problems);
  if (correlation !== null) {
    if (isValidId(correlation)) said.push([headers.correlationId, correlation]);
    else problems.push({ field: "header X-Correlation-Id", message: idRule });
  }
  const trace = request.headers["traceparent"];
  // A trace context that is broken is to be ignored (W3C Trace Context, 3.2.3).
  if (typeof trace === "string" && traceparent.test(trace)) said.push([headers.traceparent, trace]);
  return said;
}

/** Header values come as a character a byte; ours are UTF-8. */
function headerOf(request: FastifyRequest, name: string, problems: FieldProblem[]): string | null {
  const given = request.raw.headersDistinct[name];
  if (given === undefined) return null;
  const field = `header ${name === "idempotency-key" ? "Idempotency-Key" : "X-Correlation-Id"}`;
  if (given.length > 1) problems.push({ field, message: "is given more than once" });
  const bytes = Buffer.from(given[0] ?? "", "latin1");
  if (isUtf8(bytes)) return bytes.toString("utf8");
  problems.push({ field, message: "is not UTF-8" });
  return null;
}

function newId(clock: Clock): string {
  return uuidV7(clock.now(), () => randomInt(2 ** 32) / 2 ** 32);
}

function answer(
  reply: FastifyReply,
  given: GivenCommand,
  submitted: Submitted,
  era: number,
): FastifyReply {
  const { commandId, aggregateId, record, topics } = given;
  const about = { commandId, aggregateId };
  switch (submitted.kind) {
    case "answered":
      return reply.send(answered(given, submitted.reply, era));
    case "pending": {
      const status = statusUrl({ ...about, topics, at: { ...record, offset: submitted.offset } });
      const body = { outcome: "pending", ...about, status };
      return reply.code(202).header("location", status).header("retry-after", 1).send(body);
    }
    case "unknown":
      throw new Problem("NOT_ACKNOWLEDGED", {
        detail:
          "The broker has not said in time whether it took the command. Send it again with the same command id: " +
          "it is done once, whatever happened.",
        more: about,
        retryAfter: 2,
      });
    case "unsent":
      throw new Problem("NOT_ACKNOWLEDGED", {
        detail:
          "The broker does not take commands now, and this one was not sent. Send it again later.",
        more: about,
        retryAfter: 2,
      });
  }
}

/** Where the answer to a command can be asked for later. */
export function statusUrl({
  commandId,
  aggregateId,
  topics,
  at,
}: {
  readonly commandId: string;
  readonly aggregateId: string;
  readonly topics: AggregateTopics;
  readonly at: { readonly partition: number; readonly offset: bigint };
}): string {
  const query = new URLSearchParams({
    aggregate: topics.aggregate,
    aggregateId,
    at: `${at.partition}-${at.offset}`,
  });
  return `/commands/${encodeURIComponent(commandId)}?${query.toString()}`;
}

/** The body of a yes; everything else that was answered is a problem. */
export function answered(
  { commandId, aggregateId, topics, record }: GivenCommand,
  { outcome, version, reason, duplicate, firstOffset }: Reply,
  era: number,
): Readonly<Record<string, unknown>> {
  const about = { outcome, commandId, aggregateId, version, reason, duplicate };
  switch (outcome) {
    case "accepted": {
      const token = tokenOf(
        {
          topic: topics.events.name,
          partition: record.partition,
          commandOffset: BigInt(firstOffset),
          aggregateId,
          version: version ?? 0,
        },
        era,
      );
      return { outcome, commandId, aggregateId, version, duplicate, token };
    }
    case "rejected":
      throw new Problem("REJECTED", {
        detail: `The ${topics.aggregate} answers ${String(reason)}. The same command id gets the same answer for ever.`,
        more: about,
      });
    case "conflict":
      throw new Problem("VERSION_CONFLICT", {
        detail: `The ${topics.aggregate} has version ${String(version)}. Read it, decide anew, and send that under a new command id.`,
        more: about,
      });
    case "failed":
      throw failed(reason, about);
  }
}

function failed(reason: string | null, more: Readonly<Record<string, unknown>>): Problem {
  if (reason === "COMMAND_ID_REUSED") {
    const detail =
      "This command id was used for another command before. A new intent takes a new id.";
    return new Problem("COMMAND_ID_REUSED", { detail, more });
  }
  if (reason === "EXPIRED") {
    const detail =
      "The command id was issued longer ago than answers are remembered: whether it ran cannot be told from " +
      "here. Look at the aggregate, then send it under a new id if it did not.";
    return new Problem("EXPIRED", { detail, more });
  }
  const detail = `It failed: ${String(reason)}. The runbook (ops/README.md) says what that means.`;
  return new Problem("COMMAND_FAILED", { detail, more });
}
