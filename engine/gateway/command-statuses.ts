import type { FastifyInstance, FastifyRequest } from "fastify";
import type { Clock } from "../clock.ts";
import { reusedIdReplyKey, unidentifiedReplyKey } from "../message.ts";
import type { Database, Session, SqlRow } from "../postgres/postgres.ts";
import { commandStatus } from "../projections/command-status.ts";
import type { AggregateTopics } from "../topic.ts";
import { checkId } from "./aggregate-routes.ts";
import type { Api } from "./api.ts";
import { whenFresh } from "./freshness.ts";
import { invalidRequest, Problem } from "./problem.ts";
import { queryOf } from "./server.ts";
import { tokenOf } from "./token.ts";

/** `GET /commands/<id>`: what became of a command, from the view `command_status`. */

export interface CommandStatusRoutes {
  readonly api: Api;
  /** Of the role that only reads. */
  readonly database: Database;
  readonly clock: Clock;
  readonly era: number;
}

export function commandStatusRoutes(app: FastifyInstance, deps: CommandStatusRoutes): void {
  const { api, database, clock, era } = deps;
  const all = api.aggregates.map(({ topics }) => topics);
  const projection = commandStatus(all);

  app.get("/commands/:id", async (request) => {
    const asked = askedIn(request, all);
    const found = await whenFresh(database, clock, {
      projection,
      views: ["command_status"],
      token: null,
      waitMs: 0,
      signal: request.signal,
      stopping: request.signal, // It waits for nothing.
      read: async (session, version) => find(session, asked, { name: projection.name, version }),
    });
    return answerOf(asked, found, { all, era });
  });
}

/** The sending of a command whose answer is asked for: the offset of its record. */
interface Sending {
  readonly topics: AggregateTopics;
  readonly partition: number;
  readonly offset: bigint;
}

interface Asked {
  readonly commandId: string;
  /** `null` for any. */
  readonly aggregate: string | null;
  readonly aggregateId: string | null;
  readonly at: Sending | null;
}

/** @throws Problem `INVALID_REQUEST` */
function askedIn(request: FastifyRequest, all: readonly AggregateTopics[]): Asked {
  const { id } = request.params as { readonly id: string };
  const query = queryOf(request, ["aggregate", "aggregateId", "at"]);
  checkId("path id", id);
  if (query.aggregateId !== undefined) checkId("query aggregateId", query.aggregateId);
  const topics = all.find(({ aggregate }) => aggregate === query.aggregate);
  if (query.aggregate !== undefined && topics === undefined) {
    const message = `is none; the aggregates are ${all.map((it) => it.aggregate).join(", ")}`;
    throw invalidRequest([{ field: "query aggregate", message }]);
  }
  return {
    commandId: id,
    aggregate: query.aggregate ?? null,
    aggregateId: query.aggregateId ?? null,
    at: query.at === undefined ? null : sendingIn(query.at, topics),
  };
}

function sendingIn(text: string, topics: AggregateTopics | undefined): Sending {
  const refuse = (message: string) => invalidRequest([{ field: "query at", message }]);
  if (topics === undefined) throw refuse("means something with aggregate only");
  const [, partition, offset] = /^(\d{1,9})-(\d{1,18})$/.exec(text) ?? [];
  if (partition === undefined || offset === undefined) {
    throw refuse("expected <partition>-<offset>, as the address in an answer 202 has it");
  }
  if (Number(partition) >= topics.commands.partitions) {
    const last = topics.commands.partitions - 1;
    throw refuse(`${topics.commands.name} has the partitions 0 to ${last}`);
  }
  return { topics, partition: Number(partition), offset: BigInt(offset) };
}

/** The answer to a command on one aggregate, by whichever of its replies counts. */
export interface CommandStatus {
  readonly aggregate: string;
  readonly aggregateId: string | null;
  readonly outcome: "accepted" | "rejected" | "conflict" | "failed";
  readonly version: number | null;
  readonly reason: string | null;
  readonly partition: number;
  readonly firstOffset: bigint | null;
  readonly answeredAt: Date;
}

/** `absent`: no answer, and where a sending was asked for, it was handled long ago or was another command's. */
export type FoundStatus =
  | { readonly kind: "answered"; readonly statuses: readonly [CommandStatus, ...CommandStatus[]] }
  | { readonly kind: "pending" }
  | { readonly kind: "absent" };

const rowsSql = `
  select * from public.command_status
  where reply_key = $1 and ($2::text is null or aggregate = $2)
    and ($3::text is null or aggregate_id = $3)
  order by aggregate, aggregate_id, partition limit 1000`;

/** What was said of one record alone: that its id had been used before, or that it could not be read. */
const ofRecordSql = `
  select * from public.command_status
  where reply_key in ($1, $2) and aggregate = $3 and partition = $4 and failed_offset = $5`;

const handledSql = `
  select command_offset >= $5::bigint as handled from foldlog.checkpoints
  where projection = $1 and version = $2 and topic = $3 and partition = $4`;

async function find(
  session: Session,
  { commandId, aggregate, aggregateId, at }: Asked,
  view: { readonly name: string; readonly version: number },
): Promise<FoundStatus> {
  const { rows } = await session.query(rowsSql, [commandId, aggregate, aggregateId]);
  if (at === null) return answered(rows);

  const { topics, partition, offset } = at;
  const place = [topics.aggregate, partition, offset] as const;
  const keys = [reusedIdReplyKey(commandId, offset), unidentifiedReplyKey(partition, offset)];
  const ofRecord = await session.query(ofRecordSql, [...keys, ...place]);
  if (ofRecord.rows.length > 0) return answered(ofRecord.rows);
  // An earlier sending's answer is not this one's: it may turn out to be another command of the same id.
  const handled = handledIn(rows, partition, offset);
  if (handled.length > 0) {
    // A final answer of the same aggregate counts, from whatever partition it comes.
    return answered(rows.filter((row) => handled.some((it) => isOfSameAggregate(it, row))));
  }
  const here = [view.name, view.version, topics.replies.name, partition, offset];
  const { rows: come } = await session.query(handledSql, here);
  return { kind: come[0]?.["handled"] === true ? "absent" : "pending" };
}

/** The rows that answer the sending: the one that names it, else those that have been answered since. */
function handledIn(rows: readonly SqlRow[], partition: number, offset: bigint): readonly SqlRow[] {
  const since = rows.filter((row) => row["partition"] === partition && answersUpTo(row) >= offset);
  const named = since.filter(
    (row) => row["command_offset"] === offset || row["failed_offset"] === offset,
  );
  return named.length > 0 ? named : since;
}

function isOfSameAggregate(a: SqlRow, b: SqlRow): boolean {
  return a["aggregate"] === b["aggregate"] && a["aggregate_id"] === b["aggregate_id"];
}

/** The greatest offset of a sending that this row answers. */
function answersUpTo(row: SqlRow): bigint {
  const offsets = [row["command_offset"], row["failed_offset"]].filter(
    (offset) => typeof offset === "bigint",
  );
  return offsets.reduce((most, offset) => (offset > most ? offset : most), -1n);
}

/** One status an aggregate: a final answer counts before a failure, and of failures the last one. */
function answered(rows: readonly SqlRow[]): FoundStatus {
  const byAggregate = Map.groupBy(rows, (row) =>
    JSON.stringify([row["aggregate"], row["aggregate_id"]]),
  );
  const [first, ...more] = [...byAggregate.values()].map((own) => {
    const statuses = own.map(statusOf);
    const final = statuses.find(({ outcome }) => outcome !== "failed");
    return final ?? statuses.reduce((a, b) => (a.answeredAt >= b.answeredAt ? a : b));
  });
  return first === undefined
    ? { kind: "absent" }
    : { kind: "answered", statuses: [first, ...more] };
}

function statusOf(row: SqlRow): CommandStatus {
  const id = String(row["aggregate_id"]);
  const about = {
    aggregate: String(row["aggregate"]),
    aggregateId: id === "" ? null : id,
    partition: Number(row["partition"]),
  };
  const outcome = row["outcome"];
  if (outcome === null) {
    return {
      ...about,
      outcome: "failed",
      version: null,
      reason: String(row["failure"]),
      firstOffset: null,
      answeredAt: row["failed_at"] as Date,
    };
  }
  return {
    ...about,
    outcome: outcome as CommandStatus["outcome"],
    version: Number(row["version"]),
    reason: row["reason"] as string | null,
    firstOffset: row["first_offset"] as bigint,
    answeredAt: row["answered_at"] as Date,
  };
}

function answerOf(
  { commandId, aggregate, aggregateId }: Asked,
  found: FoundStatus,
  { all, era }: { readonly all: readonly AggregateTopics[]; readonly era: number },
): object {
  if (found.kind === "pending") {
    const nothing = { version: null, reason: null, answeredAt: null };
    return { commandId, aggregate, aggregateId, outcome: "pending", ...nothing };
  }
  if (found.kind === "absent") throw unknownCommand(commandId);
  const [status, ...others] = found.statuses;
  if (others.length > 0) throw ambiguous(commandId, found.statuses);
  const { outcome, version, reason, answeredAt } = status;
  return {
    commandId,
    aggregate: status.aggregate,
    aggregateId: status.aggregateId,
    outcome,
    version,
    reason,
    answeredAt,
    ...(outcome === "accepted" && { token: tokenFor(status, all, era) }),
  };
}

function tokenFor(
  { aggregate, aggregateId, partition, firstOffset, version }: CommandStatus,
  all: readonly AggregateTopics[],
  era: number,
): string | undefined {
  const topics = all.find((it) => it.aggregate === aggregate);
  if (topics === undefined || aggregateId === null || firstOffset === null || version === null) {
    return undefined;
  }
  const at = { topic: topics.events.name, partition, commandOffset: firstOffset };
  return tokenOf({ ...at, aggregateId, version }, era);
}

function unknownCommand(commandId: string): Problem {
  const detail =
    `There is no answer to a command ${JSON.stringify(commandId)}. It was not sent, has not been answered yet, or ` +
    "was answered more than 14 days ago.";
  return new Problem("NOT_FOUND", { detail });
}

function ambiguous(commandId: string, statuses: readonly CommandStatus[]): Problem {
  const aggregates = statuses.map(({ aggregate, aggregateId }) => ({ aggregate, aggregateId }));
  const detail =
    `${aggregates.length} aggregates have a command ${JSON.stringify(commandId)}. ` +
    "Say which one is meant by ?aggregate= and &aggregateId=.";
  return new Problem("AMBIGUOUS", { detail, more: { aggregates } });
}
