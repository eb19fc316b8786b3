import { type Clock, isAborted } from "../../engine/clock.ts";
import type { Codec } from "../../engine/codec.ts";
import { messageOf } from "../../engine/errors.ts";
import type { Log, OutRecord } from "../../engine/log.ts";
import { Conversation, type Answered, type Ticket } from "../../engine/sending/conversation.ts";
import type { AggregateTopics } from "../../engine/topic.ts";
import { dueAfter, totalOf } from "../../ops/verbs/load.ts";
import type { CommandResult } from "./history.ts";
import { type Draw, drawCommands, type DrawnCommand } from "./load-commands.ts";
import type { History } from "./load-history.ts";
import { type HttpClients, openHttpClients } from "./load-http.ts";
import { poisonOf, recordOf } from "./load-records.ts";
import type { Load } from "./plan.ts";
import type { Commands } from "./result.ts";

/**
 * The clients of a bank under test: an open loop of commands, past everything that disturbs workers, and what
 * came of each, as a history. A command without an answer within `answerMs` is `info`: nobody knows.
 */

export interface LoadOptions {
  readonly load: Load;
  readonly seed: number;
  /** Parts this load's accounts from those of others in the same log. */
  readonly run: string;
  readonly topics: AggregateTopics;
  readonly log: Log;
  readonly codec: Codec;
  /** Of the gateway; needed where a share goes by HTTP. */
  readonly apiUrl: string | null;
  readonly history: History;
  readonly clock: Clock;
  /** A send failed, and is made again. */
  readonly onTrouble: (message: string) => void;
}

/** A load that goes on. */
export interface RunningLoad {
  /** So far. */
  readonly counts: LoadCounts;
  /** Commands that wait for their answers. */
  waiting(): number;
  /** Resolves when all of it was sent, or `stop` was called. */
  readonly sent: Promise<void>;
  /** Sends no more. */
  stop(): void;
  /** Resolves when nothing waits for an answer any more; call it after `sent`. */
  settled(): Promise<void>;
  close(): Promise<void>;
}

export interface LoadCounts extends Mutable<Commands> {
  poison: number;
  /** When a command was accepted last, by `clock`. */
  acceptedAt: number;
  /** The longest time without one, since the first. */
  longestSilenceMs: number;
  /** What should not have been answered, a line each; the first of them. */
  readonly surprises: string[];
  surprising: number;
}
type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** Longer than it takes to find that a worker is gone, and to put another in its place. */
const answerMs = 20_000;
const tickMs = 10;
const reopenMs = 1_000;
const surprisesKept = 20;

/** What goes to the log and comes back. */
interface Sending {
  readonly record: OutRecord;
  readonly process: string;
  readonly sender: Sender;
  dueAt: number;
  ticket: Ticket<Sending> | null;
}
type Sender =
  | { readonly kind: "command"; readonly command: DrawnCommand }
  | { readonly kind: "poison"; readonly id: string; readonly code: string };

export async function startLoad(options: LoadOptions): Promise<RunningLoad> {
  const loop = new LoadLoop(options);
  await loop.open();
  const sent = loop.run();
  return {
    counts: loop.counts,
    waiting: () => loop.waiting,
    sent,
    stop: () => {
      loop.stopping.abort();
    },
    settled: () => loop.settled(),
    close: () => loop.close(),
  };
}

class LoadLoop {
  readonly counts: LoadCounts = {
    ...{ sent: 0, accepted: 0, rejected: 0, conflict: 0, failed: 0, unknown: 0 },
    ...{ poison: 0, acceptedAt: 0, longestSilenceMs: 0, surprises: [], surprising: 0 },
  };
  readonly stopping = new AbortController();
  private readonly options: LoadOptions;
  private readonly draws: Generator<Draw, never>;
  private readonly http: HttpClients | null;
  /** Ids of commands that were sent more than once. */
  private readonly again = new Set<string>();
  private readonly versions = new Map<string, number>();
  private conversation: Conversation<Sending> | null = null;
  /** In the order in which they were sent, so in the order in which their time is over. */
  private readonly inFlight = new Set<Sending>();

  constructor(options: LoadOptions) {
    this.options = options;
    const { load, seed, run, clock, apiUrl, history } = options;
    const versionOf = (accountId: string) => this.versions.get(accountId) ?? 0;
    this.draws = drawCommands({ load, seed, run, now: () => clock.now(), versionOf });
    if (load.http > 0 && apiUrl === null) {
      throw new Error(`The load sends by HTTP, and the plan's workers have no "gateway".`);
    }
    const answered = (command: DrawnCommand, result: CommandResult | null) => {
      this.count(command, result);
    };
    this.http =
      apiUrl === null || load.http === 0
        ? null
        : openHttpClients({ url: apiUrl, history, answerMs, answered });
  }

  get waiting(): number {
    return this.inFlight.size + (this.http?.waiting() ?? 0);
  }

  async open(): Promise<void> {
    const { log, codec, topics, onTrouble } = this.options;
    this.conversation = await Conversation.open<Sending>({
      log,
      codec,
      aggregates: [topics],
      replies: "awaited",
      silenceMs: null,
      onAnswer: (answered) => {
        this.hear(answered);
      },
      onTrouble,
    });
  }

  async run(): Promise<void> {
    const { load, clock } = this.options;
    const pace = { rate: load.rate, forMs: load.for };
    const total = totalOf(pace);
    const startedAt = clock.now();
    this.counts.acceptedAt = startedAt;
    for (let given = 0; given < total && !isAborted(this.stopping.signal);) {
      const due = Math.min(dueAfter(clock.now() - startedAt, pace), total);
      // What there is no room for stays due, and is caught up with.
      for (; given < due && this.hasRoom; given++) this.send(this.draws.next().value);
      this.forgetOverdue();
      await this.reopenWhereOver();
      await clock.sleep(tickMs, this.stopping.signal);
    }
  }

  async settled(): Promise<void> {
    while (this.waiting > 0) {
      this.forgetOverdue();
      await this.reopenWhereOver();
      await this.options.clock.sleep(tickMs);
    }
  }

  async close(): Promise<void> {
    await this.http?.close();
    for (const sending of this.inFlight) this.giveUp(sending);
    await this.conversation?.close();
  }

  private get hasRoom(): boolean {
    return this.conversation?.hasRoom === true;
  }

  private send(draw: Draw): void {
    const { history, topics, codec, load, seed, run } = this.options;
    this.counts.sent += 1;
    if (draw.kind === "again") this.again.add(draw.command.commandId);
    if (draw.kind === "poison") {
      const id = `${run}-poison-${this.counts.poison++}`;
      const { record, code } = poisonOf({ topics, codec }, { which: draw.which, id });
      const process = history.borrowProcess();
      history.write({ process, f: "poison", type: "invoke", id, code });
      this.hand(record, process, { kind: "poison", id, code });
      return;
    }
    const { command } = draw;
    const isByHttp = command.how === "sound" && this.chance(seed) < load.http;
    if (isByHttp && this.http !== null) {
      this.http.send(command);
      return;
    }
    const process = history.borrowProcess();
    const { commandId, accountId: aggregateId, expectedVersion } = command;
    const about = { process, aggregateId, f: "command", commandId } as const;
    history.write({ ...about, type: "invoke", expectedVersion });
    const record = recordOf({ topics, codec }, command);
    if (record === null) {
      history.write({ ...about, type: "fail" });
      history.returnProcess(process);
      return;
    }
    this.hand(record, process, { kind: "command", command });
  }

  private hand(record: OutRecord, process: string, sender: Sender): void {
    const dueAt = this.options.clock.now() + answerMs;
    const sending: Sending = { record, process, sender, dueAt, ticket: null };
    this.inFlight.add(sending);
    sending.ticket = this.conversation?.send(sending) ?? null;
  }

  private hear({ outgoing: sending, reply }: Answered<Sending>): void {
    const { history } = this.options;
    this.inFlight.delete(sending);
    const { process, sender } = sending;
    if (sender.kind === "poison") {
      const { id, code } = sender;
      history.write({ process, f: "poison", type: "ok", id, code });
      history.returnProcess(process);
      if (reply.outcome !== "failed" || reply.reason !== code) {
        const found = `${reply.outcome} ${reply.reason ?? ""}`;
        this.surprise(`poison ${id}: answered ${found}, and is ${code}`);
      }
      this.counts.failed += 1;
      return;
    }
    const { commandId, accountId: aggregateId } = sender.command;
    const { outcome, version, reason, duplicate, commandOffset } = reply;
    const result: CommandResult = {
      outcome,
      version: version ?? 0,
      commandOffset: String(commandOffset),
      partition: sending.record.partition,
      reason,
      duplicate,
    };
    history.write({ process, aggregateId, f: "command", commandId, type: "ok", result });
    history.returnProcess(process);
    this.count(sender.command, result);
  }

  private count({ commandId, accountId, how }: DrawnCommand, result: CommandResult | null): void {
    const { counts } = this;
    if (result === null) {
      counts.unknown += 1;
      return;
    }
    const { outcome, version, reason } = result;
    counts[outcome] += 1;
    if (version > (this.versions.get(accountId) ?? 0)) this.versions.set(accountId, version);
    if (outcome === "accepted") {
      const now = this.options.clock.now();
      counts.longestSilenceMs = Math.max(counts.longestSilenceMs, now - counts.acceptedAt);
      counts.acceptedAt = now;
    }
    // What is sent again after its answer was forgotten, over a week for example, must not run again.
    if (outcome === "failed" && reason === "EXPIRED" && this.again.has(commandId)) return;
    const wanted = { sound: [], "wrong partition": ["WRONG_PARTITION"], fits: ["TOO_LARGE"] };
    const failures: readonly string[] = how === "too large" ? [] : wanted[how];
    if (outcome === "failed" && !failures.includes(reason ?? "")) {
      this.surprise(`command ${commandId} on ${accountId}, which is sound: failed ${reason ?? ""}`);
    }
    if (outcome === "accepted" && how === "wrong partition") {
      this.surprise(`command ${commandId} on ${accountId}: accepted on the wrong partition`);
    }
  }

  private surprise(line: string): void {
    this.counts.surprising += 1;
    if (this.counts.surprises.length < surprisesKept) this.counts.surprises.push(line);
  }

  private forgetOverdue(): void {
    const now = this.options.clock.now();
    for (const sending of this.inFlight) {
      if (sending.dueAt > now) return;
      this.giveUp(sending);
    }
  }

  /** Its client is told that nobody knows; where it certainly was never sent, that. */
  private giveUp(sending: Sending): void {
    const { history } = this.options;
    this.inFlight.delete(sending);
    const { ticket, process, sender } = sending;
    const state = ticket === null ? "unsent" : (this.conversation?.forget(ticket) ?? "unknown");
    const type = state === "unsent" ? "fail" : "info";
    if (sender.kind === "poison") {
      // In the log for certain once the broker has said so, whatever its answer.
      const known = state === "sent" ? "ok" : type;
      history.write({ process, f: "poison", type: known, id: sender.id, code: sender.code });
    } else {
      const { commandId, accountId: aggregateId } = sender.command;
      history.write({ process, aggregateId, f: "command", commandId, type });
    }
    if (type === "fail") history.returnProcess(process);
    else this.counts.unknown += 1;
  }

  /** For example where the topics were deleted: what was under way nobody knows, and others begin anew. */
  private async reopenWhereOver(): Promise<void> {
    const { conversation } = this;
    if (conversation !== null && !conversation.isOver) return;
    const { clock, onTrouble } = this.options;
    for (const sending of this.inFlight) this.giveUp(sending);
    await conversation?.close();
    this.conversation = null;
    await clock.sleep(reopenMs, this.stopping.signal);
    try {
      await this.open();
    } catch (error) {
      onTrouble(messageOf(error));
    }
  }

  private drawn = 0;
  /** By a sequence of its own, so that what is sent does not depend on how. */
  private chance(seed: number): number {
    const mixed = Math.imul(seed + ++this.drawn, 0x9e3779b1) >>> 0;
    return mixed / 2 ** 32;
  }
}
