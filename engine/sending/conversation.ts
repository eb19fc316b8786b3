import { setImmediate } from "node:timers/promises";
import { backOff, brokerBackoff } from "../backoff.ts";
import { type Clock, isAborted, systemClock } from "../clock.ts";
import type { Codec } from "../codec.ts";
import { messageOf, TransientError, WriterLostError } from "../errors.ts";
import type { Reply } from "../generated.ts";
import type { Log, OutRecord, Producer, Receipt, TopicPartition } from "../log.ts";
import type { AggregateTopics } from "../topic.ts";
import { openReplyLanes, type ReplyLane } from "./reply-lane.ts";

/** Sends commands and hears their replies, with a bound on those that are in flight. */

export interface Answered<T> {
  readonly outgoing: T;
  readonly reply: Reply;
  /** From the send to the reply, in milliseconds. */
  readonly latencyMs: number;
}

export interface ConversationOptions<T> {
  readonly log: Log;
  readonly codec: Codec;
  readonly aggregates: readonly AggregateTopics[];
  readonly replies: "awaited" | "ignored";
  /**
   * How long nothing at all may be heard, while something is in flight, until this gives up; `null`: it never
   * does, and whoever waits says when it has waited long enough, see `forget`.
   */
  readonly silenceMs: number | null;
  /** The command is in the log at this offset; no reply has been told of before. */
  readonly onAcknowledged?: (outgoing: T, offset: bigint) => void;
  readonly onAnswer: (answered: Answered<T>) => void;
  /** A send failed and is made again. */
  readonly onTrouble: (message: string) => void;
  readonly clock?: Clock;
}

/** So many commands, and so many bytes of them, are in flight at most. */
const maxInFlight = 4_000;
const maxInFlightBytes = 16 * 1024 * 1024;
const watchMs = 100;

/**
 * A send for several partitions that takes longer is broken off, and each of them goes on by itself: one
 * without a leader, or with too few replicas, would hold up the others for as long as a producer tries.
 */
const togetherWithinMs = 2_000;

/** Commands in order, and the producer that they are sent by. */
interface Line<T> {
  /** `null` for the line that partitions share. */
  readonly lane: Lane<T> | null;
  producer: Producer | null;
  queue: InFlight<T>[];
  pumping: boolean;
}

/** One partition of commands. */
interface Lane<T> {
  /** `null` where replies are ignored. */
  readonly replies: ReplyLane<InFlight<T>> | null;
  /** While it is sent to by itself; else it shares a line with the others, and their requests. */
  own: Line<T> | null;
}

interface InFlight<T> {
  readonly outgoing: T;
  readonly lane: Lane<T>;
  readonly bytes: number;
  sentAt: number;
  /** `sending` until the broker has acknowledged it, through every attempt. */
  state: "queued" | "sending" | "acknowledged" | "over";
  /** Where it is in the log, once that is known. */
  offset: bigint | null;
}

/** A command that was given to a conversation, for `forget`. */
export type Ticket<T> = InFlight<T>;

function newLine<T>(lane: Lane<T> | null): Line<T> {
  return { lane, producer: null, queue: [], pumping: false };
}

/**
 * A conversation over the commands and replies of aggregates. Replies are matched by partition and command
 * offset, never by id alone: another sender may use the same ids.
 *
 * After an indefinite error the producer is thrown away and the same commands, without those that were forgotten,
 * are sent again, in the same order (law P1): the command processor answers what it had already with the same
 * answer. They are sent by a producer for each partition, until that partition is well: so none waits for another.
 */
export class Conversation<T extends { readonly record: OutRecord }> {
  private readonly options: ConversationOptions<T>;
  private readonly clock: Clock;
  /** By topic and partition. */
  private readonly lanes = new Map<string, Lane<T>>();
  /** Of all partitions that are well: few requests for many commands. */
  private readonly shared: Line<T> = newLine<T>(null);
  private readonly ending = new AbortController();
  private readonly watch: NodeJS.Timeout;
  private waiters: (() => void)[] = [];
  private failure: Error | null = null;
  private lastHeardAt: number;
  private inFlight = 0;
  private inFlightBytes = 0;
  /** Acknowledged by the broker. */
  sent = 0;
  gaveUp = false;

  private constructor(
    options: ConversationOptions<T>,
    replies: ReadonlyMap<string, ReplyLane<InFlight<T>>>,
  ) {
    this.options = options;
    this.clock = options.clock ?? systemClock;
    this.lastHeardAt = this.clock.now();
    this.watch = setInterval(() => {
      this.giveUpAfterSilence();
    }, watchMs);
    for (const [name, lane] of replies) {
      this.lanes.set(name, { replies: lane, own: null });
      void this.listen(lane);
    }
  }

  /** Positioned at the end of every replies partition before anything can be sent. */
  static async open<T extends { readonly record: OutRecord }>(
    options: ConversationOptions<T>,
  ): Promise<Conversation<T>> {
    const { log, codec, aggregates } = options;
    const isAwaited = options.replies === "awaited";
    const replies = isAwaited
      ? await openReplyLanes<InFlight<T>>({ log, codec, aggregates })
      : new Map<string, ReplyLane<InFlight<T>>>();
    return new Conversation(options, replies);
  }

  /** Not answered yet, or, where replies are ignored, not acknowledged. */
  get unanswered(): number {
    return this.inFlight;
  }

  /** Whether `send` may be called; else wait for `room`. */
  get hasRoom(): boolean {
    return this.inFlight < maxInFlight && this.inFlightBytes < maxInFlightBytes && !this.isOver;
  }

  /** Nothing more will be sent: it failed, or it gave up. */
  get isOver(): boolean {
    return this.gaveUp || this.failure !== null;
  }

  /** Aborts when that is so. */
  get signal(): AbortSignal {
    return this.ending.signal;
  }

  /** Resolves when there is room, or nothing more will be sent; rejects with what ended the conversation. */
  async room(): Promise<void> {
    while (!this.hasRoom && !this.isOver) await this.change();
    if (this.failure) throw this.failure;
  }

  send(outgoing: T): Ticket<T> {
    const { value, key } = outgoing.record;
    const bytes = (value?.length ?? 0) + (key?.length ?? 0);
    if (this.inFlight === 0) this.lastHeardAt = this.clock.now();
    this.inFlight += 1;
    this.inFlightBytes += bytes;
    const lane = this.laneOf(outgoing.record);
    const ticket: Ticket<T> = { outgoing, lane, bytes, sentAt: 0, state: "queued", offset: null };
    this.enqueue([ticket]);
    return ticket;
  }

  /**
   * Waits no longer for the answer to a command. Resolves to what can be said of it: it was never sent and will
   * not be; it may or may not be in the log; or it is there, and will be handled.
   */
  forget(ticket: Ticket<T>): "unsent" | "unknown" | "sent" | "answered" {
    const { state, lane } = ticket;
    if (state === "over") return "answered";
    this.done(ticket);
    const line = this.lineOf(lane);
    if (ticket.offset === null) line.queue = line.queue.filter((it) => it !== ticket);
    else lane.replies?.forget(ticket.offset);
    this.wake();
    if (state === "acknowledged") return "sent";
    return state === "queued" ? "unsent" : "unknown";
  }

  /** Resolves when all is answered, or given up, or `signal` aborts. */
  async settled(signal?: AbortSignal): Promise<void> {
    const wake = () => {
      this.wake();
    };
    signal?.addEventListener("abort", wake);
    while (this.inFlight > 0 && !this.isOver && !signal?.aborted) await this.change();
    signal?.removeEventListener("abort", wake);
    if (this.failure) throw this.failure;
  }

  async close(): Promise<void> {
    clearInterval(this.watch);
    this.ending.abort();
    await this.shared.producer?.close();
    for (const { own, replies } of this.lanes.values()) {
      await own?.producer?.close();
      await replies?.close();
    }
  }

  private enqueue(tickets: readonly InFlight<T>[]): void {
    for (const it of tickets) {
      const line = this.lineOf(it.lane);
      line.queue.push(it);
      if (!line.pumping) void this.pump(line);
    }
  }

  /** Sends what is queued, one send after the other, so that each partition keeps its order. */
  private async pump(line: Line<T>): Promise<void> {
    const { signal } = this.ending;
    line.pumping = true;
    try {
      for (let failures = 0; !isAborted(signal);) {
        await setImmediate(); // What this turn of the loop still brings goes along.
        const batch = line.queue;
        if (batch.length === 0) break;
        line.queue = [];
        const sentAt = this.clock.now();
        if (await this.sendBatch(line, batch)) {
          failures = 0;
          if (this.clock.now() - sentAt < togetherWithinMs) await this.join(line);
        } else {
          // Before what was submitted meanwhile; and nobody waits for what is over.
          line.queue = [...batch.filter(({ state }) => state !== "over"), ...line.queue];
          if (line.lane === null) this.part(batch);
          else await backOff(brokerBackoff, failures++, this.clock, signal);
        }
      }
    } catch (error) {
      this.fail(error);
    }
    line.pumping = false;
    if (isAborted(signal)) await line.producer?.close();
  }

  /** Nobody can tell which partition a send has failed for: each that it was for has its own line now. */
  private part(batch: readonly InFlight<T>[]): void {
    for (const { lane } of batch) lane.own ??= newLine(lane);
    const { queue } = this.shared;
    this.shared.queue = [];
    this.enqueue(queue);
  }

  /** A partition that is well again shares the line with the others. */
  private async join({ lane, queue, producer }: Line<T>): Promise<void> {
    if (lane === null) return;
    lane.own = null;
    this.enqueue(queue.splice(0));
    await producer?.close();
  }

  /** Resolves to whether they are in the log; where nobody knows, they are to be sent again. */
  private async sendBatch(line: Line<T>, batch: readonly InFlight<T>[]): Promise<boolean> {
    const now = performance.now();
    for (const it of batch) {
      if (it.state === "queued") it.sentAt = now;
      it.state = "sending";
    }
    const lanes = new Set(batch.map(({ lane }) => lane));
    for (const { replies } of lanes) replies?.expectReceipt();
    const records = batch.map(({ outgoing }) => outgoing.record);
    const receipt = await this.receiptFor(line, records);
    if (receipt !== null) {
      this.heard();
      this.sent += batch.length;
      batch.forEach((it, i) => {
        this.acknowledged(it, receipt[i] as bigint);
      });
    }
    for (const { replies } of lanes) replies?.forgetForeign();
    this.wake();
    return receipt !== null;
  }

  private acknowledged(it: InFlight<T>, offset: bigint): void {
    const { replies } = it.lane;
    const isForgotten = it.state === "over";
    it.offset = offset;
    if (!isForgotten) {
      it.state = "acknowledged";
      this.options.onAcknowledged?.(it.outgoing, offset);
    }
    replies?.expectReply(offset, isForgotten ? null : it);
    if (replies === null && !isForgotten) this.done(it);
  }

  /** `null` where they may or may not be in the log; then the line's producer is thrown away. */
  private async receiptFor(line: Line<T>, records: readonly OutRecord[]): Promise<Receipt | null> {
    const { log, onTrouble } = this.options;
    try {
      line.producer ??= await log.openProducer();
      if (isAborted(this.ending.signal)) return null;
      const sent = line.producer.send(records);
      return await (line.lane === null ? this.inTime(sent) : sent);
    } catch (error) {
      await line.producer?.close();
      line.producer = null;
      const mayPass = error instanceof WriterLostError || error instanceof TransientError;
      if (!mayPass) throw error;
      if (!isAborted(this.ending.signal)) onTrouble(messageOf(error));
      return null;
    }
  }

  private async inTime(sent: Promise<Receipt>): Promise<Receipt> {
    const done = new AbortController();
    const { signal } = this.ending;
    const tooLong = this.clock.sleep(togetherWithinMs, done.signal, signal).then(() => null);
    try {
      const receipt = await Promise.race([sent, tooLong]);
      if (receipt !== null) return receipt;
      throw new TransientError(`Nothing was acknowledged within ${togetherWithinMs} ms`);
    } finally {
      done.abort();
    }
  }

  private async listen(lane: ReplyLane<InFlight<T>>): Promise<void> {
    try {
      await lane.listen((inFlight, reply) => {
        this.heard();
        this.done(inFlight);
        const latencyMs = performance.now() - inFlight.sentAt;
        this.options.onAnswer({ outgoing: inFlight.outgoing, reply, latencyMs });
        this.wake();
      }, this.ending.signal);
    } catch (error) {
      if (!this.ending.signal.aborted) this.fail(error);
    }
  }

  private laneOf({ topic, partition }: TopicPartition): Lane<T> {
    const name = `${topic}/${partition}`;
    const lane = this.lanes.get(name) ?? { replies: null, own: null };
    this.lanes.set(name, lane);
    return lane;
  }

  private lineOf(lane: Lane<T>): Line<T> {
    return lane.own ?? this.shared;
  }

  private done(it: InFlight<T>): void {
    it.state = "over";
    this.inFlight -= 1;
    this.inFlightBytes -= it.bytes;
  }

  private heard(): void {
    this.lastHeardAt = this.clock.now();
  }

  private giveUpAfterSilence(): void {
    const { silenceMs } = this.options;
    if (silenceMs === null || this.inFlight === 0 || this.isOver) return;
    if (this.clock.now() - this.lastHeardAt < silenceMs) return;
    this.gaveUp = true;
    this.ending.abort();
    this.wake();
  }

  private fail(error: unknown): void {
    this.failure ??= error instanceof Error ? error : new Error(String(error));
    this.ending.abort();
    this.wake();
  }

  private change(): Promise<void> {
    return new Promise((resolve) => this.waiters.push(resolve));
  }

  private wake(): void {
    const waiters = this.waiters;
    this.waiters = [];
    for (const wake of waiters) wake();
  }
}
