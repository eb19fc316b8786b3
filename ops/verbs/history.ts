import type { Codec } from "../../engine/codec.ts";
import { FatalError, TransientError } from "../../engine/errors.ts";
import { type AggregateKey, lastEvent, placesIn } from "../../engine/gateway/event-places.ts";
import { eventsAt, type Place, ReadStopped } from "../../engine/gateway/placed-events.ts";
import { headerOf, type Log, type LogRecord, type Reader } from "../../engine/log.ts";
import { eventKey, headers, parseEventKey, partitionOf } from "../../engine/message.ts";
import { openDatabase, type Session, SqlError } from "../../engine/postgres/postgres.ts";
import type { CommandWorker } from "../../engine/worker.ts";
import { count, say } from "./output.ts";
import { bar, startProgress } from "./progress.ts";
import { scan, untilDecided } from "./scan.ts";

/** All that has happened to one aggregate, read from the log: by the event index as far as that has come. */

/** One event as it is shown. */
export interface ShownEvent {
  readonly version: number;
  readonly type: string;
  readonly time: string;
  readonly data: Readonly<Record<string, unknown>>;
  readonly commandId: string | null;
  readonly commandOffset: number | null;
  readonly offset: bigint;
}

export interface History {
  readonly partition: number;
  readonly version: number;
  readonly state: unknown;
  readonly events: readonly ShownEvent[];
  /** Where the whole partition was looked through: how many events of all aggregates it holds. */
  readonly scanned: number | null;
}

export interface Reading {
  readonly log: Log;
  readonly codec: Codec;
  readonly worker: CommandWorker;
  /** Of the role that only reads, where there is a database of this log. */
  readonly indexUrl: string | null;
}

/**
 * Folds the aggregate's events as its command processor does: those that the event index knows are read at their
 * places, and what the log has beyond it is looked through; all of the partition where there is no index. So it
 * is never behind.
 */
export async function readHistory(reading: Reading, id: string): Promise<History> {
  const { log, worker, indexUrl } = reading;
  const index = indexUrl === null ? null : await readIndex(indexUrl, worker, id);
  const reader = await log.openReader();
  try {
    return await readWith({ ...reading, reader, index }, id);
  } catch (error) {
    if (index === null || !isContradiction(error)) throw error;
    say(`Note: ${error.message}. Reading the whole partition instead.`);
    return await readWith({ ...reading, reader, index: null }, id);
  } finally {
    await reader.close();
  }
}

/** What the index knows: the places of all events of the aggregate before `next`. */
interface Index {
  readonly places: readonly Place[];
  readonly next: bigint;
}

const checkpointSql = `
  select c.next_offset from foldlog.projections p
  join foldlog.checkpoints c on c.projection = p.projection and c.version = p.version
  where p.projection = 'event_index' and p.live and c.topic = $1 and c.partition = $2`;

/** `null` where it cannot be read, or does not know this partition. */
async function readIndex(
  url: string,
  { topics }: CommandWorker,
  id: string,
): Promise<Index | null> {
  if (id.includes("\0")) return null; // Postgres cannot hold it.
  const { events, aggregate } = topics;
  const database = openDatabase({
    url,
    applicationName: "foldlog show",
    maxConnections: 1,
    answerTimeoutMs: 5_000,
  });
  try {
    return await database.transaction("snapshot", async (session) => {
      const partition = partitionOf(id, events.partitions);
      const { rows } = await session.query(checkpointSql, [events.name, partition]);
      const next = rows[0]?.["next_offset"];
      if (typeof next !== "bigint") return null;
      return { next, places: await allPlaces(session, { aggregate, id }) };
    });
  } catch (error) {
    const isUnreachable = error instanceof TransientError || error instanceof SqlError;
    if (isUnreachable || isContradiction(error) || isLocked(error)) return null;
    throw error;
  } finally {
    await database.close();
  }
}

async function allPlaces(session: Session, key: AggregateKey): Promise<readonly Place[]> {
  const last = await lastEvent(session, key, "now");
  return placesIn(session, key, { after: 0, upTo: last?.version ?? 0 });
}

/** The index says what the log does not. */
function isContradiction(error: unknown): error is FatalError {
  const codes: readonly string[] = ["BROKEN_INVARIANT", "VERSION_GAP", "OFFSET_OUT_OF_RANGE"];
  return error instanceof FatalError && codes.includes(error.code);
}

function isLocked(error: unknown): boolean {
  return error instanceof FatalError && error.code === "UNAUTHORIZED";
}

type ReadWith = Reading & { readonly reader: Reader; readonly index: Index | null };

async function readWith(reading: ReadWith, id: string): Promise<History> {
  const { codec, worker, reader, index } = reading;
  const { decider, topics } = worker;
  const partition = partitionOf(id, topics.events.partitions);
  const of = { topic: topics.events.name, partition };
  const view = { share: 0, scanned: 0 };
  const progress = startProgress(
    () => `${bar(view.share)}  ${count(view.scanned)} events of ${of.topic}/${partition}`,
  );
  const events: ShownEvent[] = [];
  let state = decider.initialState;
  const take = (type: string, data: ShownEvent["data"], record: LogRecord) => {
    state = decider.evolve(state, { type, data });
    events.push(shownEvent(record, type, data));
  };
  try {
    for (const places of pagesOf(index?.places ?? [])) {
      const placed = { reader, codec, topic: topics.events, partition, aggregateId: id };
      for await (const read of placedWithin(placed, places)) {
        for (const { type, data, record } of read) take(type, data, record);
        view.share = events.length / (index?.places.length ?? 1);
      }
    }
    const heldBack = await untilDecided(reader, of);
    if (heldBack !== null) {
      say(`Note: an open transaction holds back ${of.topic}/${partition} from ${heldBack} on.`);
    }
    const from = index === null ? {} : { from: index.next };
    for await (const { records, share } of scan({ reader, of, ...from })) {
      view.share = share;
      view.scanned += records.length;
      const own = records.filter(({ key }) => isOf(id, key));
      await codec.learn(
        own.map(({ value }) => value),
        new AbortController().signal,
      );
      for (const record of own) {
        if (record.value === null) continue; // A tombstone: erased.
        const { type, data } = codec.decode(topics.events, record.value);
        take(type, data, record);
      }
    }
  } finally {
    progress.end();
  }
  const version = events.at(-1)?.version ?? 0;
  return { partition, version, state, events, scanned: index === null ? view.scanned : null };
}

const pageSize = 1_000;

function pagesOf(places: readonly Place[]): readonly (readonly Place[])[] {
  const count = Math.ceil(places.length / pageSize);
  return Array.from({ length: count }, (_, i) => places.slice(i * pageSize, (i + 1) * pageSize));
}

const answerWithinMs = 30_000;

/** @throws TransientError where the broker stops answering */
async function* placedWithin(
  placed: Parameters<typeof eventsAt>[0],
  places: readonly Place[],
): ReturnType<typeof eventsAt> {
  try {
    yield* eventsAt(placed, places, AbortSignal.timeout(answerWithinMs));
  } catch (error) {
    if (!(error instanceof ReadStopped)) throw error;
    const of = `${placed.topic.name}/${placed.partition}`;
    throw new TransientError(
      `The broker of ${of} did not answer within ${answerWithinMs / 1000} s`,
    );
  }
}

function isOf(id: string, key: Buffer | null): boolean {
  if (key === null || key.length <= id.length) return false;
  const text = key.toString("utf8");
  const parsed = parseEventKey(text);
  return parsed?.aggregateId === id && text === eventKey(id, parsed.version);
}

function shownEvent(record: LogRecord, type: string, data: ShownEvent["data"]): ShownEvent {
  const commandOffset = headerOf(record, headers.commandOffset);
  return {
    version: parseEventKey(String(record.key))?.version ?? 0,
    type,
    time: new Date(record.timestamp).toISOString(),
    data,
    commandId: headerOf(record, headers.commandId),
    commandOffset: commandOffset === null ? null : Number(commandOffset),
    offset: record.offset,
  };
}
