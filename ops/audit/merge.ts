import type { Codec } from "../../engine/codec.ts";
import type { AggregateTopics } from "../../engine/topic.ts";
import {
  type AuditedPartition,
  type AuditedTopic,
  type AuditRecord,
  type AuditSlice,
  coordinatesOf,
} from "./audited-log.ts";
import type { Findings, Invariant } from "./findings.ts";
import {
  type AbortedRecord,
  type Handling,
  seeCommand,
  seeDeadLetter,
  type SeenCommand,
  type SeenDeadLetter,
  type SeenEvent,
  type SeenReply,
  type Seen,
  seeEvent,
  seeReply,
} from "./handling.ts";

/**
 * Puts together what belongs to each consumed command record. One writer consumes a partition in order, so its
 * events, replies and dead letters stand in the order of the commands they are about: one pass over the four
 * topics, side by side, in memory that does not grow. A record out of that order is itself a violation.
 */

/** How far the log can be held to what it says of a record of the commands topic. */
export interface Known {
  /**
   * Whether its transaction had ended when the audit began. Of a later one the audit sees what it happens to
   * see: what is there must fit, but nothing is missing.
   */
  readonly isSettled: boolean;
  /** Retention may have removed what belongs to commands below these offsets. */
  readonly from: {
    readonly commands: number;
    readonly replies: number;
    readonly deadLetters: number;
  };
}

export interface Visitor {
  /** In the order of the commands topic; the events in it have not been seen before. */
  handling(handling: Handling, known: Known): void;
  /** An event that belongs to no handling, reported already; in its place in the order of the events. */
  strayEvent(event: SeenEvent): void;
  /** Of an event, a reply or a dead letter; before the handling of its command. */
  aborted(aborted: AbortedRecord): void;
  /** After each slice: how many records were read. */
  progress(records: number): void;
}

export interface Merge {
  readonly topics: AggregateTopics;
  readonly codec: Codec;
  readonly source: AuditedPartition;
  /** Below this offset of the commands topic every transaction had ended when the audit began. */
  readonly settledBelow: number;
  readonly findings: Findings;
}

/** Visits every handling in the log; comes back with what retention may have removed. */
export async function mergeHandlings(
  merge: Merge,
  visitor: Visitor,
  signal: AbortSignal,
): Promise<Known["from"]> {
  const { source, settledBelow } = merge;
  const { commands, events, replies, deadLetters } = cursorsOf(merge, visitor, signal);
  const all = [commands, events, replies, deadLetters];
  const from = () => ({
    commands: commands.expiredBelow,
    replies: replies.expiredBelow,
    deadLetters: deadLetters.expiredBelow,
  });
  const commandsEnd = Number(source.commands.end);
  let done = -1;
  for (;;) {
    for (const cursor of all) await cursor.fill();
    let next = Infinity;
    let hasStray = false;
    for (const cursor of all) {
      const { head } = cursor;
      if (head === null) continue;
      const offset = head.commandOffset;
      if (offset !== null && offset > done && offset < commandsEnd) next = Math.min(next, offset);
      else hasStray = cursor.dismiss(done, commandsEnd) || hasStray;
    }
    if (hasStray) continue;
    if (next === Infinity) break;

    const together: SeenEvent[] = [];
    for (let event = events.takeAt(next); event !== null; event = events.takeAt(next)) {
      together.push(event);
      await events.fill();
    }
    const handling: Handling = {
      commandOffset: next,
      command: commands.takeAt(next),
      events: together,
      reply: replies.takeAt(next),
      deadLetter: deadLetters.takeAt(next),
    };
    visitor.handling(handling, { isSettled: next < settledBelow, from: from() });
    done = next;
  }
  return from();
}

function cursorsOf(
  { topics, codec, source, findings }: Merge,
  visitor: Visitor,
  signal: AbortSignal,
) {
  const { commands } = source;
  const cursor = <T extends Placed>(
    topic: AuditedTopic,
    violates: CursorOptions<T>["violates"],
    see: (record: AuditRecord) => Seen<T>,
    stray: (item: T) => void = () => undefined,
  ) => new Cursor<T>({ topic, commands, violates, see, stray, codec, findings, visitor, signal });
  return {
    commands: cursor<SeenCommand>(source.commands, { unfit: "I4", stray: "I4" }, (record) => ({
      seen: seeCommand(topics.commands, codec, record),
    })),
    events: cursor<SeenEvent>(
      source.events,
      { unfit: "I3", stray: "I5" },
      (record) => seeEvent(topics.events, codec, record),
      (event) => {
        visitor.strayEvent(event);
      },
    ),
    replies: cursor<SeenReply>(source.replies, { unfit: "I4", stray: "I4" }, (record) =>
      seeReply(topics.replies, codec, record),
    ),
    deadLetters: cursor<SeenDeadLetter>(source.dlq, { unfit: "I10", stray: "I10" }, (record) =>
      seeDeadLetter(topics, source.partition, record),
    ),
  };
}

/** Something that says to which record of the commands topic it belongs. */
interface Placed {
  readonly record: AuditRecord;
  readonly commandOffset: number | null;
  readonly aggregateId?: string;
  readonly commandId?: string | null;
}

interface CursorOptions<T> {
  readonly topic: AuditedTopic;
  readonly commands: AuditedTopic;
  /** By a record that is none of that topic, and by one that is out of place. */
  readonly violates: { readonly unfit: Invariant; readonly stray: Invariant };
  readonly see: (record: AuditRecord) => Seen<T>;
  readonly stray: (item: T) => void;
  readonly codec: Codec;
  readonly findings: Findings;
  readonly visitor: Visitor;
  readonly signal: AbortSignal;
}

/** One topic, read item by item. */
class Cursor<T extends Placed> {
  private readonly options: CursorOptions<T>;
  private readonly slices: AsyncIterator<AuditSlice>;
  private queue: readonly T[] = [];
  private at = 0;
  private isDone = false;
  private isAfterGap = false;
  /** Below this place the topic may have had more than is left. */
  expiredBelow = 0;

  constructor(options: CursorOptions<T>) {
    this.options = options;
    this.slices = options.topic.read("all is decided")[Symbol.asyncIterator]();
  }

  get head(): T | null {
    return this.queue[this.at] ?? null;
  }

  /** After it, `head` is `null` only at the end. */
  async fill(): Promise<void> {
    const { codec, signal, visitor } = this.options;
    while (this.at === this.queue.length && !this.isDone) {
      const next = await this.slices.next();
      if (next.done === true) {
        this.isDone = true;
        if (this.isAfterGap) this.expiredBelow = Infinity;
        return;
      }
      const { value } = next;
      const { aborted = [] } = value;
      await codec.learn(
        [...value.records, ...aborted].map((record) => record.value),
        signal,
      );
      signal.throwIfAborted();
      for (const record of aborted) this.seeAborted(record);
      this.queue = value.records.flatMap((record) => this.see(record));
      this.at = 0;
      this.isAfterGap ||= value.isAfterGap;
      const first = this.head?.commandOffset ?? null;
      if (this.isAfterGap && first !== null) {
        this.expiredBelow = first;
        this.isAfterGap = false;
      }
      visitor.progress(value.records.length);
    }
  }

  /** The head where it is at that place. */
  takeAt(commandOffset: number): T | null {
    const { head } = this;
    if (head?.commandOffset !== commandOffset) return null;
    this.at++;
    return head;
  }

  /** Reports the head as out of place and passes over it. */
  dismiss(done: number, commandsEnd: number): boolean {
    const { head, options } = this;
    if (head === null) return false;
    const { topic, violates, findings } = options;
    const { commandOffset, aggregateId, commandId } = head;
    findings.add({
      invariant: violates.stray,
      at: coordinatesOf(topic, head.record.offset),
      aggregateId: aggregateId ?? null,
      commandId: commandId ?? null,
      ...misplaced(commandOffset, done, commandsEnd),
    });
    options.stray(head);
    this.at++;
    return true;
  }

  /** One that cannot be read says nothing, and it never counted. */
  private seeAborted(record: AuditRecord): void {
    const { see, topic, visitor } = this.options;
    const seen = see(record);
    if (!("seen" in seen) || seen.seen.commandOffset === null) return;
    const { commandOffset } = seen.seen;
    const at = coordinatesOf(topic, record.offset);
    const isCommand = topic === this.options.commands;
    visitor.aborted({ at, writer: record.writer, commandOffset, isCommand });
  }

  private see(record: AuditRecord): readonly T[] {
    const { see, topic, violates, findings } = this.options;
    const seen = see(record);
    if ("seen" in seen) return [seen.seen];
    const at = coordinatesOf(topic, record.offset);
    findings.add({ invariant: violates.unfit, at, ...seen.unfit });
    return [];
  }
}

function misplaced(commandOffset: number | null, done: number, commandsEnd: number) {
  if (commandOffset === null) {
    return { expected: "the offset of its command", found: "none that can be read" };
  }
  if (commandOffset >= commandsEnd) {
    return {
      expected: `a command below offset ${commandsEnd}, where the commands end`,
      found: `command offset ${commandOffset}`,
    };
  }
  return {
    expected: `a command after offset ${done}, one of each only and in the order of the commands`,
    found: `command offset ${commandOffset}`,
  };
}
