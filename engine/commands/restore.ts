import type { Clock } from "../clock.ts";
import type { Codec, Decoded } from "../codec.ts";
import type { Decider, Message } from "../decider.ts";
import { FatalError, messageOf, PoisonError } from "../errors.ts";
import type { Position, Reply } from "../generated.ts";
import {
  headerOf,
  type LogOffsets,
  type LogRecord,
  type Reader,
  type ReadLimits,
  type Slice,
  type TopicPartition,
} from "../log.ts";
import { aggregateIdOfSnapshot, headers, parseEventKey, positionKey } from "../message.ts";
import type { AggregateTopics, Topic } from "../topic.ts";
import { latest } from "./answers.ts";
import type { PartitionState } from "./partition-state.ts";
import { requireSoleWriter } from "./sole-writer.ts";

/** What a restore reads with, and what it fills. */
export interface Restore<S> {
  readonly decider: Decider<S, Message, Message, string>;
  readonly topics: AggregateTopics;
  readonly partition: number;
  readonly codec: Codec;
  readonly reader: Reader;
  readonly clock: Clock;
  readonly fold: string;
  /** Empty, or as the local store has it. */
  readonly state: PartitionState<S>;
  /** Whether `state` came from the local store. */
  readonly fromStore: boolean;
  /** The bounds of each topic, taken after the fencing of every earlier writer. */
  readonly marks: Marks;
  /** The group's committed offset on the commands topic. */
  readonly committed: bigint | null;
  /** Called while a foreign open transaction keeps the restore from its end. */
  readonly onStuck: (of: TopicPartition, stuckMs: number) => void;
}

export interface Marks {
  readonly commands: LogOffsets;
  readonly events: LogOffsets;
  readonly snapshots: LogOffsets;
  readonly replies: LogOffsets;
}

export type Marked = keyof Marks;

const limits: ReadLimits = { maxBytes: 1 << 20, maxWaitMs: 500 };
/** A transaction times out after ten seconds, and the broker looks for such every ten. */
const patienceMs = 20_000;
/**
 * So many changed entries wait for the local store at most. Fewer are written after the partition is ready: the
 * first command need not wait for the disk.
 */
const chunk = 60_000;

/** What the log says of how far the commands have been consumed. */
interface Consumed {
  readonly position: Position | null;
  readonly byReplies: bigint | null;
  readonly byEvents: bigint | null;
}

/**
 * Brings `state` to the end of the log as of `marks`, and tells where to go on with the commands.
 *
 * Everything is reached by position, never by counting records. A store that the log contradicts must have
 * been emptied before (`storeFitsLog`).
 * @throws FatalError `OFFSETS_AHEAD`, `COMMANDS_LOST`, `LOG_TRUNCATED`, `VERSION_GAP`, `UNREADABLE_LOG`
 * @throws WriterLostError `fenced` where another worker has taken over meanwhile
 */
export async function restore<S>(run: Restore<S>, signal: AbortSignal): Promise<bigint> {
  const position = await restoreSnapshots(run, signal);
  const byEvents = await restoreEvents(run, position, signal);
  const byReplies = await restoreReplies(run, position, signal);
  const resume = await resumePoint(run, { position, byEvents, byReplies }, signal);
  const { progress } = run.state;
  progress.commands = resume;
  progress.events = run.marks.events.end;
  progress.snapshots = run.marks.snapshots.end;
  progress.replies = run.marks.replies.end;
  return resume;
}

/** Whether what the local store remembers of the log is there, and is the same. */
export async function storeFitsLog<S>(
  { reader, topics, partition, state, marks }: Omit<Restore<S>, "fromStore" | "committed">,
  signal: AbortSignal,
): Promise<boolean> {
  const { events, snapshots, replies, lastEvent } = state.progress;
  if (events > marks.events.end || snapshots > marks.snapshots.end || replies > marks.replies.end) {
    return false;
  }
  if (!lastEvent) return true;
  if (lastEvent.offset < marks.events.start) return false;
  const of = { topic: topics.events.name, partition };
  for (let { offset } = lastEvent; offset <= lastEvent.offset;) {
    const { records, next } = await reader.read(
      { ...of, offset },
      { ...limits, maxBytes: 1 },
      signal,
    );
    signal.throwIfAborted();
    const [record] = records;
    if (record) return record.offset === lastEvent.offset && String(record.key) === lastEvent.key;
    offset = next;
  }
  return false;
}

/**
 * Reads a topic up to its mark; waits, however long, where an open transaction stands before it. What a slice has
 * beyond the mark is cut off: it is the work of a successor, and the rest of that is not read.
 */
async function* slices<S>(
  { reader, topics, partition, clock, marks, onStuck }: Restore<S>,
  kind: Marked,
  from: bigint,
  signal: AbortSignal,
): AsyncGenerator<Slice> {
  const of = { topic: topics[kind].name, partition };
  const { end } = marks[kind];
  let offset = from;
  let since = clock.now();
  while (offset < end) {
    const slice = await reader.read({ ...of, offset }, limits, signal);
    signal.throwIfAborted();
    if (slice.next > offset) {
      offset = slice.next < end ? slice.next : end;
      since = clock.now();
      yield { ...slice, records: slice.records.filter((it) => it.offset < end), next: offset };
    } else if (clock.now() - since > patienceMs) onStuck(of, clock.now() - since);
  }
}

async function restoreSnapshots<S>(run: Restore<S>, signal: AbortSignal): Promise<Position | null> {
  const { topics, codec, state, fold, marks } = run;
  const { progress } = state;
  const from = run.fromStore ? progress.snapshots : marks.snapshots.start;
  let position: Position | null = null;
  for await (const slice of slices(
    run,
    "snapshots",
    atLeast(from, marks.snapshots.start),
    signal,
  )) {
    await codec.learn(
      slice.records.map(({ value }) => value),
      signal,
    );
    for (const record of slice.records) {
      if (record.value === null) continue;
      const key = String(record.key);
      if (key === positionKey) {
        position = read(codec, topics.snapshots, record).data as unknown as Position;
        continue;
      }
      if (headerOf(record, headers.foldVersion) !== fold) continue;
      const id = aggregateIdOfSnapshot(key);
      const version = Number(headerOf(record, headers.version));
      const known = state.get(id);
      if (version > known.version) {
        const bytes = Buffer.from(record.value);
        const decoded = read(codec, topics.snapshots, record).data as S;
        state.set(id, { state: decoded, version, bytes, dirty: null });
      } else if (version === known.version && known.dirty) state.set(id, { ...known, dirty: null });
    }
    progress.snapshots = slice.next;
    relieve(run);
  }
  return position;
}

/** @returns the command offset after the one of the last event, or `null` where there is no event */
async function restoreEvents<S>(
  run: Restore<S>,
  position: Position | null,
  signal: AbortSignal,
): Promise<bigint | null> {
  const { state, topics, marks, fold, fromStore } = run;
  const { progress } = state;
  const covered = position?.foldVersion === fold ? BigInt(position.coveredFrom) : 0n;
  if (covered > marks.events.end) {
    await requireSoleWriter(run, signal);
    throw new FatalError(
      "LOG_TRUNCATED",
      `Snapshots cover ${topics.events.name}/${run.partition} up to ${covered}, but it ends at ` +
        `${marks.events.end}: the event store was deleted or created anew. Restore it from a backup.`,
    );
  }
  // The last event is always read: it says how far the commands were consumed.
  const last = progress.lastEvent?.offset ?? progress.events;
  const from = atLeast(fromStore ? last : covered, marks.events.start);
  let consumed: bigint | null = null;
  for await (const slice of slices(run, "events", from, signal)) {
    await run.codec.learn(
      slice.records.map(({ value }) => value),
      signal,
    );
    foldSlice(run, slice.records);
    const record = slice.records.at(-1);
    if (record) {
      progress.lastEvent = { offset: record.offset, key: String(record.key) };
      progress.lastEventTime = Math.max(progress.lastEventTime, record.timestamp);
      const offset = headerOf(record, headers.commandOffset);
      consumed = offset === null ? consumed : BigInt(offset) + 1n;
    }
    progress.events = slice.next;
    relieve(run);
  }
  return consumed;
}

function foldSlice<S>(run: Restore<S>, records: readonly LogRecord[]): void {
  const { state, decider, codec, topics } = run;
  const folded = new Map<string, { state: S; version: number; since: bigint; at: number }>();
  for (const record of records) {
    if (record.value === null) continue; // An erased event.
    const key = parseEventKey(String(record.key));
    if (!key) throw unreadable(topics.events, run.partition, record, "its key is no event's");
    const { aggregateId, version } = key;
    const known = folded.get(aggregateId) ?? state.get(aggregateId);
    if (version <= known.version) continue;
    if (version !== known.version + 1) {
      throw new FatalError(
        "VERSION_GAP",
        `${topics.events.name}/${run.partition}/${record.offset} is version ${version} of ` +
          `${JSON.stringify(aggregateId)}, which is at ${known.version}: events are missing from the log.`,
      );
    }
    const event = read(codec, topics.events, record) as Message;
    const dirty = state.get(aggregateId).dirty ?? { since: record.offset, at: record.timestamp };
    const { since, at } = folded.get(aggregateId) ?? dirty;
    folded.set(aggregateId, { state: decider.evolve(known.state, event), version, since, at });
  }
  for (const [id, { since, at, ...aggregate }] of folded) {
    const bytes = state.encodeState(aggregate.state);
    state.set(id, { ...aggregate, bytes, dirty: { since, at } });
  }
}

/** @returns the command offset after the last one replied to, or `null` where there is no reply */
async function restoreReplies<S>(
  run: Restore<S>,
  position: Position | null,
  signal: AbortSignal,
): Promise<bigint | null> {
  const { state, topics, marks, codec } = run;
  const { answers, progress } = state;
  const from = run.fromStore ? progress.replies : BigInt(position?.oldestReply ?? 0);
  answers.horizon = latest(answers.horizon, position?.horizon ?? null);
  answers.latestIssueTime = latest(answers.latestIssueTime, position?.latestIssueTime ?? null);
  if (from < marks.replies.start || from > marks.replies.end) {
    // Replies that should be remembered are gone: whatever was issued before the last of them may have run.
    answers.horizon = latest(answers.horizon, answers.latestIssueTime);
  }
  let consumed: bigint | null = null;
  for await (const slice of slices(run, "replies", atLeast(from, marks.replies.start), signal)) {
    await codec.learn(
      slice.records.map(({ value }) => value),
      signal,
    );
    for (const record of slice.records) {
      const reply = read(codec, topics.replies, record).data as unknown as Reply;
      const next = BigInt(reply.commandOffset) + 1n;
      if (consumed === null || next > consumed) consumed = next;
      remember(state, record, reply);
      const oldest = headerOf(record, headers.oldestReply);
      if (oldest !== null) answers.forgetBefore(BigInt(oldest));
      const horizon = headerOf(record, headers.horizon);
      if (horizon !== null) answers.horizon = latest(answers.horizon, Number(horizon));
    }
    progress.replies = slice.next;
    relieve(run);
  }
  return consumed;
}

function remember<S>(state: PartitionState<S>, record: LogRecord, reply: Reply): void {
  const { outcome, commandId, aggregateId, payloadHash, version, reason, duplicate } = reply;
  if (outcome === "failed" || duplicate) return;
  if (commandId === null || aggregateId === null || payloadHash === null || version === null)
    return;
  const answer = {
    outcome,
    version,
    reason,
    firstOffset: BigInt(reply.firstOffset),
    hash: payloadHash,
    issueTime: reply.issuedAt,
    appendTime: record.timestamp,
  };
  if (state.answers.find(aggregateId, commandId) !== null) return;
  state.answers.remember({ aggregateId, commandId, answer }, record.offset);
}

async function resumePoint<S>(
  run: Restore<S>,
  { position, byEvents, byReplies }: Consumed,
  signal: AbortSignal,
): Promise<bigint> {
  const { committed, marks, topics, partition, state, fromStore } = run;
  const { start, end } = marks.commands;
  const of = `${topics.commands.name}/${partition}`;
  const known = [
    position === null ? null : BigInt(position.nextOffset),
    byEvents,
    byReplies,
    fromStore ? state.progress.commands : null,
  ].filter((it) => it !== null);
  const resume = known.reduce(atLeast, 0n);

  if (resume > end) {
    await requireSoleWriter(run, signal);
    throw new FatalError(
      "LOG_TRUNCATED",
      `${of} was consumed up to ${resume}, but ends at ${end}: the topic was deleted or created anew. ` +
        `Restore it, or start over in another namespace.`,
    );
  }
  const next = atLeast(resume, start);
  if (committed !== null && committed > next && (await holdsData(run, next, committed, signal))) {
    await requireSoleWriter(run, signal);
    throw new FatalError(
      "OFFSETS_AHEAD",
      `The group's committed offset ${committed} on ${of} would skip commands: the log says ${next}. ` +
        `Delete the group's offsets (kafka-consumer-groups.sh --delete-offsets); they are not needed.`,
    );
  }
  if (start > resume && (committed === null || committed < start)) {
    await requireSoleWriter(run, signal);
    throw new FatalError(
      "COMMANDS_LOST",
      `${of} begins at ${start}, but was consumed only up to ${resume}: commands in between were deleted ` +
        `before any worker saw them. To accept the loss, set the group's offset to ${start} ` +
        `(kafka-consumer-groups.sh --reset-offsets --to-earliest).`,
    );
  }
  return committed === null ? next : atLeast(next, committed);
}

/** Whether a command stands in `[from, before)`; control and aborted records are none. */
async function holdsData<S>(
  run: Restore<S>,
  from: bigint,
  before: bigint,
  signal: AbortSignal,
): Promise<boolean> {
  const marks = { ...run.marks, commands: { ...run.marks.commands, end: before } };
  if (before > run.marks.commands.end) return true;
  for await (const { records } of slices({ ...run, marks }, "commands", from, signal)) {
    if (records.length > 0) return true;
  }
  return false;
}

/** A restore of much must not hold it all in memory. */
function relieve<S>({ state, fromStore, clock }: Restore<S>): void {
  if (state.unwritten > chunk) state.write(fromStore, clock.now());
}

function read(codec: Codec, topic: Topic, record: LogRecord): Decoded {
  try {
    if (record.value === null) throw new PoisonError("BAD_WIRE_FORMAT", "it has no value");
    return codec.decode(topic, record.value);
  } catch (error) {
    if (!(error instanceof PoisonError)) throw error;
    throw unreadable(topic, null, record, messageOf(error), error);
  }
}

function unreadable(
  topic: Topic,
  partition: number | null,
  { offset }: LogRecord,
  why: string,
  cause?: unknown,
): FatalError {
  const where =
    partition === null
      ? `${topic.name} at offset ${offset}`
      : `${topic.name}/${partition}/${offset}`;
  return new FatalError(
    "UNREADABLE_LOG",
    `Today's code cannot read ${where}, which a worker wrote: ${why}. Run the version that wrote it, ` +
      `or bring its schema back.`,
    { cause },
  );
}

function atLeast(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}
