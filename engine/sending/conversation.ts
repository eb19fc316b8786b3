import { setImmediate } from "node:timers/promises";
import { backOff, brokerBackoff } from "../backoff.ts";
import { type Clock, isAborted, systemClock } from "../clock.ts";
import type { Codec } from "../codec.ts";
import { messageOf, TransientError, WriterLostError } from "../errors.ts";
import type { Reply } from "../generated.ts";
import type { Log, OutRecord, Producer, Receipt } from "../log.ts";
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

interface InFlight<T> {
  readonly outgoing: T;
  readonly bytes: number;
  sentAt: number;
  state: "queued" | "sending" | "acknowledged" | "over";
  /** Where it is in the log, once that is known. */
  offset: bigint | null;
}

/** A command that was given to a conversation, for `forget`. */
export type Ticket<T> = InFlight<T>;

/**
 * A conversation over the commands and replies of aggregates. Replies are matched by partition and command
 * offset, never by id alone: another sender may use the same ids.
 *
 * After an indefinite error the producer is thrown away and the same commands are sent again by another one,
 * in the same order (law P1): the command processor answers what it had already with the same answer.
 */
export class Conversation<T extends { readonly record: OutRecord }> {
  private readonly options: ConversationOptions<T>;
  private readonly clock: Clock;
  private readonly lanes: ReadonlyMap<string, ReplyLane<InFlight<T>>>;
  private readonly ending = new AbortController();
  private readonly watch: NodeJS.Timeout;
  private producer: Producer | null = null;
  private queue: InFlight<T>[] = [];
  private pumping = false;
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
    lanes: ReadonlyMap<string, ReplyLane<InFlight<T>>>,
  ) {
    this.options = options;
    this.clock = options.clock ?? systemClock;
    this.lanes = lanes;
    this.lastHeardAt = this.clock.now();
    this.watch = setInterval(() => {
      this.giveUpAfterSilence();
    }, watchMs);
    for (const lane of lanes.values()) void this.listen(lane);
  }

  /** Positioned at the end of every replies partition before anything can be sent. */
  static async open<T extends { readonly record: OutRecord }>(
    options: ConversationOptions<T>,
  ): Promise<Conversation<T>> {
    const { log, codec, aggregates } = options;
    const isAwaited = options.replies === "awaited";
    const lanes = isAwaited
      ? await openReplyLanes<InFlight<T>>({ log, codec, aggregates })
      : new Map<string, ReplyLane<InFlight<T>>>();
    return new Conversation(options, lanes);
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
    const ticket: Ticket<T> = { outgoing, bytes, sentAt: 0, state: "queued", offset: null };
    this.queue.push(ticket);
    if (!this.pumping) void this.pump();
    return ticket;
  }

  /**
   * Waits no longer for the answer to a command. Resolves to what can be said of it: it was never sent and will
   * not be; it may or may not be in the log; or it is there, and will be handled.
   */
  forget(ticket: Ticket<T>): "unsent" | "unknown" | "sent" | "answered" {
    const { state } = ticket;
    if (state === "over") return "answered";
    this.done(ticket);
    if (state === "queued") this.queue = this.queue.filter((it) => it !== ticket);
    if (state === "acknowledged" && ticket.offset !== null) {
      this.laneOf(ticket)?.forget(ticket.offset);
    }
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
    await this.producer?.close();
    await Promise.all([...this.lanes.values()].map((lane) => lane.close()));
  }

  /** Sends what is queued, one send after the other, so that each partition keeps its order. */
  private async pump(): Promise<void> {
    this.pumping = true;
    try {
      while (this.queue.length > 0 && !this.isOver) {
        await setImmediate(); // What this turn of the loop still brings goes along.
        const batch = this.queue;
        this.queue = [];
        await this.sendBatch(batch);
      }
    } catch (error) {
      this.fail(error);
    }
    this.pumping = false;
  }

  private async sendBatch(batch: readonly InFlight<T>[]): Promise<void> {
    const now = performance.now();
    for (const it of batch) {
      it.sentAt = now;
      it.state = "sending";
      this.laneOf(it)?.expectReceipt();
    }
    const receipt = await this.untilAcknowledged(batch.map(({ outgoing }) => outgoing.record));
    if (receipt === null) return;
    this.heard();
    this.sent += batch.length;
    batch.forEach((it, i) => {
      const lane = this.laneOf(it);
      const isForgotten = it.state === "over";
      const offset = receipt[i] as bigint;
      it.offset = offset;
      if (!isForgotten) {
        it.state = "acknowledged";
        this.options.onAcknowledged?.(it.outgoing, offset);
      }
      lane?.expectReply(offset, isForgotten ? null : it);
      if (!lane && !isForgotten) this.done(it);
    });
    for (const lane of new Set(batch.map((it) => this.laneOf(it)))) lane?.forgetForeign();
    this.wake();
  }

  /** `null` once this has given up. */
  private async untilAcknowledged(records: readonly OutRecord[]): Promise<Receipt | null> {
    const { log, onTrouble } = this.options;
    for (let attempt = 0; !this.isOver && !isAborted(this.ending.signal); attempt++) {
      try {
        this.producer ??= await log.openProducer();
        return await this.producer.send(records);
      } catch (error) {
        await this.producer?.close();
        this.producer = null;
        const mayPass = error instanceof WriterLostError || error instanceof TransientError;
        if (!mayPass) throw error;
        if (!isAborted(this.ending.signal)) onTrouble(messageOf(error));
        await backOff(brokerBackoff, attempt, this.clock, this.ending.signal);
      }
    }
    return null;
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

  private laneOf({ outgoing: { record } }: InFlight<T>): ReplyLane<InFlight<T>> | undefined {
    return this.lanes.get(`${record.topic}/${record.partition}`);
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
