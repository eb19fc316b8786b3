import { type Codec, schemaIdOf } from "../codec.ts";
import type { Decider, Message } from "../decider.ts";
import { type FailureCode, PoisonError } from "../errors.ts";
import type { Position } from "../generated.ts";
import type { LogRecord, OutRecord, Receipt, TopicPartition, Transaction } from "../log.ts";
import { reusedIdReplyKey, unidentifiedReplyKey } from "../message.ts";
import { type AggregateTopics, maxRecordBytes } from "../topic.ts";
import type { Answer, NewAnswer, WindowEdge } from "./answers.ts";
import type { Command, CommandReader, Poison } from "./command.ts";
import { deadLetter } from "./dead-letter.ts";
import {
  type CommandRead,
  type Destination,
  eventRecords,
  failure,
  positionRecord,
  replyRecord,
  type Said,
  snapshotRecord,
  withEdge,
} from "./outgoing.ts";
import type { PartitionState } from "./partition-state.ts";
import { type Aggregate, type Outcome, settle } from "./settle.ts";

/** What a draft needs to know of its partition. */
export interface DraftContext<S> {
  readonly worker: string;
  readonly group: string;
  readonly decider: Decider<S, Message, Message, string>;
  readonly topics: AggregateTopics;
  /** Of the commands topic. */
  readonly topicPartition: TopicPartition;
  readonly codec: Codec;
  readonly commands: CommandReader;
  readonly fold: string;
  readonly snapshots: SnapshotLimits;
}

/** How far snapshots may fall behind the events: what a restore from the log has to fold. */
export interface SnapshotLimits {
  readonly maxEventsBehind: number;
  readonly maxAgeMs: number;
  /** The most that one transaction carries. */
  readonly maxPerTransaction: number;
}

export const snapshotLimits: SnapshotLimits = {
  maxEventsBehind: 100_000,
  maxAgeMs: 5 * 60 * 1000,
  maxPerTransaction: 1_000,
};

/** A record's room for key, headers and framing beside its value, in bytes. */
const overheadBytes = 8_192;
const maxValueBytes = maxRecordBytes - overheadBytes;
/** A transaction takes no snapshot beyond so many bytes: it must not take longer than the broker lets it. */
const maxSnapshotBytes = 4 * 1024 * 1024;
export type Told = "accepted" | "rejected" | "conflict" | "failed" | "duplicate";

interface Change<S> extends Aggregate<S> {
  readonly bytes: Buffer;
  /** The index among the draft's events of the first one of this aggregate. */
  readonly firstEvent: number;
}

/**
 * One batch on its way to be one transaction. Records are consumed one after the other, each against what
 * the ones before it have led to; nothing reaches the partition's state before `keep`, so that a transaction
 * that failed leaves no trace.
 */
export class Draft<S> {
  /** Command type (`unknown` where unread) and outcome → how many, for the metrics of a kept draft. */
  readonly tally = new Map<string, number>();
  /** The code of each dead letter. */
  readonly deadLetterCodes: FailureCode[] = [];
  /** The largest state that a command of this draft led to, in bytes. */
  largestState = 0;
  private readonly context: DraftContext<S>;
  private readonly destination: Destination;
  private readonly state: PartitionState<S>;
  private readonly now: number;
  private readonly eventTime: number;
  private readonly changes = new Map<string, Change<S>>();
  private readonly events: OutRecord[] = [];
  private readonly replies: { readonly record: OutRecord; readonly answer: NewAnswer | null }[] =
    [];
  private readonly answered = new Map<string, Answer>();
  private readonly deadLetters: OutRecord[] = [];
  private snapshotted: readonly (readonly [
    aggregateId: string,
    entry: Aggregate<S> & { bytes: Buffer },
  ])[] = [];
  private evicted: readonly string[] = [];
  private edge: WindowEdge = { horizon: null, latestIssueTime: null, oldestReply: null };
  private nextOffset = 0n;

  /** `now`: milliseconds since the epoch. */
  constructor(context: DraftContext<S>, state: PartitionState<S>, now: number) {
    this.context = context;
    const { topics, codec, topicPartition } = context;
    this.destination = { topics, codec, partition: topicPartition.partition };
    this.state = state;
    this.now = now;
    this.eventTime = Math.max(now, state.progress.lastEventTime);
  }

  /** How many snapshots the sealed transaction carries. */
  get snapshotCount(): number {
    return this.snapshotted.length;
  }

  /** Judges one record, and notes exactly one reply with what belongs to it. */
  consume(record: LogRecord): void {
    const read = this.context.commands.read(record);
    if (read.kind === "poison") {
      this.bury(record, read.poison);
      return;
    }
    const { command } = read;
    const outcome = settle(this.context.decider, command, {
      aggregate: this.aggregate(command.aggregateId),
      answered: this.answeredBefore(command),
      horizon: this.state.answers.horizon,
      appendTime: record.timestamp,
    });
    this.take(record, command, outcome);
  }

  /** Without a look at it: a dead letter with its bytes, and the reply `failed`. */
  bury(record: LogRecord, poison: Poison): void {
    const { topicPartition, topics, worker } = this.context;
    const { code, commandId, aggregateId, type } = poison;
    this.deadLetterCodes.push(code);
    this.deadLetters.push(deadLetter(record, topicPartition, poison, { dlq: topics.dlq, worker }));
    const key = commandId ?? unidentifiedReplyKey(topicPartition.partition, record.offset);
    const unread = { id: commandId, aggregateId, type, hash: null, issueTime: null };
    this.reply(record, unread, key, failure(code), "failed");
  }

  /** Everything as one transaction, which consumes up to `nextOffset`. */
  seal(nextOffset: bigint): Transaction {
    const { topicPartition, group, fold } = this.context;
    this.nextOffset = nextOffset;
    this.chooseSnapshots();
    const coming = this.replies.flatMap(({ answer }) => (answer ? [answer] : []));
    const { progress, answers } = this.state;
    ({ evicted: this.evicted, edge: this.edge } = answers.evictions(
      coming,
      progress.replies,
      this.now,
    ));

    const records = [
      ...this.events,
      ...this.replies.map(({ record }, i) =>
        i === this.replies.length - 1 ? withEdge(record, this.edge) : record,
      ),
      ...this.snapshotted.map(([id, entry]) =>
        snapshotRecord(this.destination, id, entry, { fold, timestamp: this.now }),
      ),
      this.position(),
      ...this.deadLetters,
    ];
    return { records, consumed: { ...topicPartition, group, offset: nextOffset } };
  }

  /** Makes the draft part of the state, after its transaction was committed. */
  keep(receipt: Receipt): void {
    const { state } = this;
    const { progress } = state;
    const offsetOf = (index: number) => receipt[index] as bigint;
    const snapshotted = new Set(this.snapshotted.map(([id]) => id));

    for (const [id, { firstEvent, ...aggregate }] of this.changes) {
      const since = state.get(id).dirty ?? { since: offsetOf(firstEvent), at: this.now };
      state.set(id, { ...aggregate, dirty: snapshotted.has(id) ? null : since });
    }
    for (const id of snapshotted) {
      if (!this.changes.has(id)) state.set(id, { ...state.get(id), dirty: null });
    }
    state.answers.evict(this.evicted, this.edge);
    this.replies.forEach(({ answer }, i) => {
      if (answer) state.answers.remember(answer, offsetOf(this.events.length + i));
    });

    const lastEvent = this.events.at(-1);
    if (lastEvent) {
      const offset = offsetOf(this.events.length - 1);
      progress.lastEvent = { offset, key: String(lastEvent.key) };
      progress.events = offset + 1n;
      progress.lastEventTime = this.eventTime;
    }
    const repliesEnd = this.events.length + this.replies.length;
    // After the marker that ends the transaction: were it named as the oldest reply to remember, a restore would
    // think that a reply is missing when retention has deleted all before it.
    if (this.replies.length > 0) progress.replies = offsetOf(repliesEnd - 1) + 2n;
    progress.snapshots = offsetOf(repliesEnd + this.snapshotted.length) + 1n;
    progress.commands = this.nextOffset;
  }

  private aggregate(id: string): Aggregate<S> {
    return this.changes.get(id) ?? this.state.get(id);
  }

  private answeredBefore({ aggregateId, id }: Command): Answer | null {
    return (
      this.answered.get(JSON.stringify([aggregateId, id])) ??
      this.state.answers.find(aggregateId, id)
    );
  }

  private take(record: LogRecord, command: Command, outcome: Outcome<S, Message>): void {
    const { offset } = record;
    switch (outcome.kind) {
      case "accepted": {
        const refusal = this.append(record, command, outcome);
        if (refusal) {
          this.take(record, command, refusal);
          return;
        }
        const { version } = outcome.aggregate;
        this.answer(record, command, { outcome: "accepted", version, reason: null });
        return;
      }
      case "rejected": {
        const { version, reason } = outcome;
        this.answer(record, command, { outcome: "rejected", version, reason });
        return;
      }
      case "conflict":
        this.answer(record, command, {
          outcome: "conflict",
          version: outcome.version,
          reason: null,
        });
        return;
      case "duplicate": {
        const { firstOffset, version, reason } = outcome.answer;
        const said = {
          outcome: outcome.answer.outcome,
          version,
          reason,
          firstOffset,
          duplicate: true,
        };
        this.reply(record, command, command.id, said, "duplicate");
        return;
      }
      case "failed": {
        const reused = outcome.code === "COMMAND_ID_REUSED";
        const key = reused ? reusedIdReplyKey(command.id, offset) : command.id;
        this.reply(record, command, key, failure(outcome.code), "failed");
        return;
      }
      case "poison": {
        const { code, message } = outcome;
        const { id: commandId, aggregateId, type } = command;
        const schemaId = schemaIdOf(record.value);
        this.bury(record, { code, message, commandId, aggregateId, type, schemaId });
        return;
      }
    }
  }

  /** Encodes the events and the state; nothing is kept where one of them does not fit. */
  private append(
    record: LogRecord,
    command: Command,
    { events, aggregate }: Extract<Outcome<S, Message>, { kind: "accepted" }>,
  ): Extract<Outcome<S, Message>, { kind: "failed" | "poison" }> | null {
    const { codec, topics } = this.context;
    const { aggregateId } = command;
    try {
      const values = events.map(({ type, data }) => codec.encode(topics.events, type, data));
      const bytes = this.state.encodeState(aggregate.state);
      if ([bytes, ...values].some(({ length }) => length > maxValueBytes)) {
        return { kind: "failed", code: "TOO_LARGE" };
      }
      this.largestState = Math.max(this.largestState, bytes.length);
      const firstEvent = this.changes.get(aggregateId)?.firstEvent ?? this.events.length;
      const firstVersion = aggregate.version - values.length + 1;
      const at = { firstVersion, timestamp: this.eventTime };
      this.events.push(...eventRecords(this.destination, values, { record, command }, at));
      this.changes.set(aggregateId, { ...aggregate, bytes, firstEvent });
      return null;
    } catch (error) {
      if (!(error instanceof PoisonError)) throw error;
      return { kind: "poison", code: error.code, message: error.message };
    }
  }

  /** A final answer: replied, and remembered once it is committed. */
  private answer(
    record: LogRecord,
    command: Command,
    final: Pick<Answer, "outcome" | "version" | "reason">,
  ): void {
    const { aggregateId, id: commandId, hash, issueTime } = command;
    const { offset: firstOffset, timestamp: appendTime } = record;
    const answer: Answer = { ...final, firstOffset, hash, issueTime, appendTime };
    this.answered.set(JSON.stringify([aggregateId, commandId]), answer);
    const remembered = { aggregateId, commandId, answer };
    this.reply(record, command, commandId, final, final.outcome, remembered);
  }

  private reply(
    record: LogRecord,
    command: CommandRead,
    key: string,
    said: Said,
    told: Told,
    answer: NewAnswer | null = null,
  ): void {
    const at = { key, timestamp: this.now };
    this.replies.push({ record: replyRecord(this.destination, record, command, said, at), answer });
    const kind = `${command.type ?? "unknown"} ${told}`;
    this.tally.set(kind, (this.tally.get(kind) ?? 0) + 1);
  }

  private chooseSnapshots(): void {
    const { maxEventsBehind, maxAgeMs, maxPerTransaction } = this.context.snapshots;
    const end = this.state.progress.events + BigInt(this.events.length);
    const chosen: [string, Aggregate<S> & { bytes: Buffer }][] = [];
    let bytes = 0;
    for (const [id, since] of this.state.dirtyLongest()) {
      const entry = this.state.get(id);
      const due =
        since + BigInt(maxEventsBehind) <= end || (entry.dirty?.at ?? 0) + maxAgeMs <= this.now;
      if (!due || chosen.length === maxPerTransaction || bytes > maxSnapshotBytes) break;
      const snapshot = this.changes.get(id) ?? entry;
      chosen.push([id, snapshot]);
      bytes += snapshot.bytes.length;
    }
    this.snapshotted = chosen;
  }

  private position(): OutRecord {
    const position: Position = {
      nextOffset: Number(this.nextOffset),
      foldVersion: this.context.fold,
      coveredFrom: Number(this.coveredFrom()),
      horizon: this.edge.horizon,
      latestIssueTime: this.edge.latestIssueTime,
      oldestReply: Number(this.edge.oldestReply ?? this.state.progress.replies),
    };
    return positionRecord(this.destination, position, this.now);
  }

  /** F: below it every event is in a snapshot; never after the last event, so that one is always read. */
  private coveredFrom(): bigint {
    const chosen = new Set(this.snapshotted.map(([id]) => id));
    for (const [id, since] of this.state.dirtyLongest()) if (!chosen.has(id)) return since;
    const { events, lastEvent } = this.state.progress;
    return this.events.length > 0 ? events : (lastEvent?.offset ?? 0n);
  }
}
