import type { Position, Reply } from "../generated.ts";
import { FatalError, TransientError, WriterLostError } from "../errors.ts";
import type { Message } from "../decider.ts";
import { headerOf, type LogRecord } from "../log.ts";
import { aggregateIdOfSnapshot, headers, parseEventKey, positionKey } from "../message.ts";
import { latest } from "./answers.ts";
import type { PartitionState } from "./partition-state.ts";
import { atLeast, decoded, type Restore, slices, unreadable } from "./restore-reads.ts";
import { resumePoint } from "./resume-point.ts";
import { requireSoleWriter } from "./sole-writer.ts";

/** What a restore came to. */
export interface Restored<S> {
  readonly state: PartitionState<S>;
  readonly fromStore: boolean;
  /** Where to go on with the commands. */
  readonly resume: bigint;
}

/**
 * Brings a state to the end of the log as of `marks`. A store that the log contradicts is emptied, and all is read
 * from the log. Everything is reached by position, never by counting records; and what is read is in `state` at once,
 * how far the commands were consumed too, for it may be written to the store at any time.
 * @throws FatalError `OFFSETS_AHEAD`, `COMMANDS_LOST`, `LOG_TRUNCATED`, `VERSION_GAP`, `UNREADABLE_LOG`
 * @throws WriterLostError `fenced` where another worker has taken over meanwhile
 */
export async function restore<S>(run: Restore<S>, signal: AbortSignal): Promise<Restored<S>> {
  const { state } = run;
  const { fromStore } = run;
  const from = fromStore ? restoreFromStore : restoreFromLog;
  const resume = await withOwnStore(state, () => from(run, signal));
  if (resume !== null) return { state, fromStore, resume };
  return restore({ ...run, state: state.emptied(run.clock.now()), fromStore: false }, signal);
}

/** What fails while another worker has the store fails for that: what is read there says nothing about the log. */
export async function withOwnStore<S, T>(
  state: PartitionState<S>,
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const isOther = !(error instanceof WriterLostError || error instanceof TransientError);
    if (isOther) state.requireStore();
    throw error;
  }
}

/** `null` where the store has to go. */
async function restoreFromStore<S>(run: Restore<S>, signal: AbortSignal): Promise<bigint | null> {
  if (!(await storeFitsLog(run, signal))) return null;
  const found = await restoreSnapshots(run, signal);
  // Its own snapshots of these are what it holds instead of their events, and compaction takes them away.
  return found.foreign.size > 0 ? null : restoreRest(run, found, signal);
}

async function restoreFromLog<S>(run: Restore<S>, signal: AbortSignal): Promise<bigint> {
  return restoreRest(run, await restoreSnapshots(run, signal), signal);
}

async function restoreRest<S>(
  run: Restore<S>,
  { position, foreign }: Snapshots,
  signal: AbortSignal,
): Promise<bigint> {
  const covered = BigInt(position?.coveredFrom ?? 0);
  await requireCovered(run, covered, signal);
  await restoreEvents(run, foreign.size === 0 ? covered : 0n, signal);
  await restoreReplies(run, position, signal);
  const resume = await resumePoint(run, signal);
  const { progress } = run.state;
  progress.commands = resume;
  progress.events = run.marks.events.end;
  progress.snapshots = run.marks.snapshots.end;
  progress.replies = run.marks.replies.end;
  return resume;
}

/** Whether what the local store remembers of the log is there, and is the same. */
async function storeFitsLog<S>(run: Restore<S>, signal: AbortSignal): Promise<boolean> {
  const { marks } = run;
  const { events, snapshots, replies, lastEvent } = run.state.progress;
  if (events > marks.events.end || snapshots > marks.snapshots.end || replies > marks.replies.end) {
    return false;
  }
  if (!lastEvent) return true;
  if (lastEvent.offset < marks.events.start) return false;
  for await (const { records } of slices(run, "events", lastEvent.offset, signal)) {
    const [record] = records;
    if (record) return record.offset === lastEvent.offset && String(record.key) === lastEvent.key;
  }
  return false;
}

interface Snapshots {
  /** The last one that there is; of a store, that has come since. */
  readonly position: Position | null;
  /**
   * The aggregates whose last snapshot is of another fold. Compaction leaves them that one alone, so that nothing may
   * count on the ones before it.
   */
  readonly foreign: ReadonlySet<string>;
}

async function restoreSnapshots<S>(run: Restore<S>, signal: AbortSignal): Promise<Snapshots> {
  const { topics, codec, state, fold, marks } = run;
  const { progress, answers } = state;
  const from = run.fromStore ? progress.snapshots : marks.snapshots.start;
  let position: Position | null = null;
  const foreign = new Set<string>();
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
        position = decoded(codec, topics.snapshots, record).data as unknown as Position;
        progress.commands = atLeast(progress.commands, BigInt(position.nextOffset));
        answers.horizon = latest(answers.horizon, position.horizon);
        answers.latestIssueTime = latest(answers.latestIssueTime, position.latestIssueTime);
        continue;
      }
      const id = aggregateIdOfSnapshot(key);
      if (headerOf(record, headers.foldVersion) !== fold) {
        foreign.add(id);
        if (!run.fromStore) state.forget(id);
        continue;
      }
      foreign.delete(id);
      const version = Number(headerOf(record, headers.version));
      const known = state.get(id);
      if (version > known.version) {
        const bytes = Buffer.from(record.value);
        const snapshot = decoded(codec, topics.snapshots, record).data as S;
        state.set(id, { state: snapshot, version, bytes, dirty: null });
      } else if (version === known.version && known.dirty) state.set(id, { ...known, dirty: null });
    }
    progress.snapshots = slice.next;
    // A store that is past a snapshot of another fold would know nothing of it any more.
    relieve(run, run.fromStore && foreign.size === 0);
  }
  return { position, foreign };
}

/** That the events are there which snapshots cover, whether they are to be read or not. */
async function requireCovered<S>(
  run: Restore<S>,
  covered: bigint,
  signal: AbortSignal,
): Promise<void> {
  const { topics, marks } = run;
  if (covered > marks.events.end) {
    await requireSoleWriter(run, signal);
    throw new FatalError(
      "LOG_TRUNCATED",
      `Snapshots cover ${topics.events.name}/${run.partition} up to ${covered}, but it ends at ` +
        `${marks.events.end}: the event store was deleted or created anew. Restore it from a backup.`,
    );
  }
}

/** `covered`: below it every event is in a snapshot. */
async function restoreEvents<S>(
  run: Restore<S>,
  covered: bigint,
  signal: AbortSignal,
): Promise<void> {
  const { state, marks, fromStore } = run;
  const { progress } = state;
  // The last event is always read: it says how far the commands were consumed.
  const last = progress.lastEvent?.offset ?? progress.events;
  const from = atLeast(fromStore ? last : covered, marks.events.start);
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
      if (offset !== null) progress.commands = atLeast(progress.commands, BigInt(offset) + 1n);
    }
    progress.events = slice.next;
    relieve(run, run.fromStore);
  }
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
    const event = decoded(codec, topics.events, record) as Message;
    const dirty = state.get(aggregateId).dirty ?? { since: record.offset, at: record.timestamp };
    const { since, at } = folded.get(aggregateId) ?? dirty;
    folded.set(aggregateId, { state: decider.evolve(known.state, event), version, since, at });
  }
  for (const [id, { since, at, ...aggregate }] of folded) {
    const bytes = state.encodeState(aggregate.state);
    state.set(id, { ...aggregate, bytes, dirty: { since, at } });
  }
}

async function restoreReplies<S>(
  run: Restore<S>,
  position: Position | null,
  signal: AbortSignal,
): Promise<void> {
  const { state, topics, marks, codec } = run;
  const { answers, progress } = state;
  const from = run.fromStore ? progress.replies : BigInt(position?.oldestReply ?? 0);
  if (from < marks.replies.start || from > marks.replies.end) {
    // Replies that should be remembered are gone: whatever was issued before the last of them may have run.
    answers.horizon = latest(answers.horizon, answers.latestIssueTime);
  }
  for await (const slice of slices(run, "replies", atLeast(from, marks.replies.start), signal)) {
    await codec.learn(
      slice.records.map(({ value }) => value),
      signal,
    );
    for (const record of slice.records) {
      const reply = decoded(codec, topics.replies, record).data as unknown as Reply;
      progress.commands = atLeast(progress.commands, BigInt(reply.commandOffset) + 1n);
      remember(state, record, reply);
      const oldest = headerOf(record, headers.oldestReply);
      if (oldest !== null) answers.forgetBefore(BigInt(oldest));
      const horizon = headerOf(record, headers.horizon);
      if (horizon !== null) answers.horizon = latest(answers.horizon, Number(horizon));
    }
    progress.replies = slice.next;
    relieve(run, run.fromStore);
  }
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
  const known = state.answers.find(aggregateId, commandId);
  if (known !== null) {
    if (known.firstOffset === answer.firstOffset) return;
    // It ran again: so it was forgotten, and all before it, by a transaction that had no reply to say so.
    state.answers.forgetUpTo(aggregateId, commandId);
  }
  state.answers.remember({ aggregateId, commandId, answer }, record.offset);
}

/** `whole`: what is written can be restored from. */
function relieve<S>({ state, clock, maxUnwritten }: Restore<S>, whole: boolean): void {
  if (state.unwritten > maxUnwritten) state.write(whole, clock.now());
}
