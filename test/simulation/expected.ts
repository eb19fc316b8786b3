import type { Codec } from "../../engine/codec.ts";
import { type Command, commandReader } from "../../engine/commands/command.ts";
import { toleratedClockLeadMs } from "../../engine/commands/settle.ts";
import type { Reply } from "../../engine/generated.ts";
import { headerOf, type LogRecord } from "../../engine/log.ts";
import { headers } from "../../engine/message.ts";
import type { AggregateTopics } from "../../engine/topic.ts";
import type { AccountState } from "../../schemas/generated.ts";
import { accountDecider } from "../bank.ts";
import type { Deleted } from "./idleness.ts";
import type { Shape } from "./shape.ts";

/**
 * What one partition's commands must have led to: the same commands, one after the other, decided anew without
 * any engine. Unlike `referenceFold` it knows the dedupe window: what the log says to be forgotten is, and the
 * ids of it are refused from then on.
 */

/** All that one partition ever held, what retention has deleted included. */
export interface History {
  readonly partition: number;
  readonly commands: readonly LogRecord[];
  readonly events: readonly LogRecord[];
  readonly replies: readonly LogRecord[];
  readonly deadLetters: readonly LogRecord[];
  readonly deleted: readonly Deleted[];
}

type Said = Pick<Reply, "outcome" | "version" | "reason" | "duplicate" | "firstOffset">;

interface Remembered {
  readonly said: Said;
  readonly hash: Buffer;
  readonly issueTime: number | null;
  readonly appendTime: number;
  readonly replyOffset: bigint;
}

/** A command record with its reply. */
interface Handled {
  readonly record: LogRecord;
  readonly reply: Reply;
  readonly replyRecord: LogRecord;
}

interface Aggregate {
  state: AccountState;
  version: number;
}

/** @returns what differs, a line each */
export function differences(
  history: History,
  bank: { readonly topics: AggregateTopics; readonly codec: Codec; readonly shape: Shape },
): string[] {
  const { commands, replies, partition } = history;
  const found: string[] = [];
  if (commands.length !== replies.length) {
    found.push(
      `I4: partition ${partition} has ${commands.length} commands, ${replies.length} replies`,
    );
  }
  const fold = new Fold(history, bank);
  commands.forEach((record, i) => {
    const reply = replies[i];
    if (reply) found.push(...fold.take(record, reply));
  });
  found.push(...fold.compareEffects());
  return found.map((what) => `${what} (partition ${partition})`);
}

class Fold {
  private readonly history: History;
  private readonly bank: Parameters<typeof differences>[1];
  private readonly reader: ReturnType<typeof commandReader>;
  private readonly aggregates = new Map<string, Aggregate>();
  private readonly remembered = new Map<string, Remembered>();
  private readonly events: string[] = [];
  private readonly deadLetters: LogRecord[] = [];
  private horizon = -Infinity;

  constructor(history: History, bank: Fold["bank"]) {
    this.history = history;
    this.bank = bank;
    this.reader = commandReader(bank.topics, history.partition, bank.codec);
  }

  take(record: LogRecord, replyRecord: LogRecord): string[] {
    const { codec, topics } = this.bank;
    const reply = codec.decode(topics.replies, replyRecord.value as Buffer)
      .data as unknown as Reply;
    const read = this.reader.read(record);
    let wanted: Said;
    if (read.kind === "poison") {
      this.deadLetters.push(record);
      wanted = failed(read.poison.code, record);
    } else wanted = this.settle(read.command, { record, reply, replyRecord });
    const differs = shown(wanted) !== shown(reply) || reply.commandOffset !== Number(record.offset);
    const said = `command ${record.offset}: ${shown(wanted)} is right, the log says ${shown(reply)} to ${reply.commandOffset}`;
    return [...(differs ? [`ORACLE: ${said}`] : []), ...this.followEdge(replyRecord)];
  }

  private settle(command: Command, at: Handled): Said {
    const { record } = at;
    const name = JSON.stringify([command.aggregateId, command.id]);
    const known = this.remembered.get(name);
    if (known && this.isForgotten(known, at)) this.forget(name, known);
    else if (known) {
      if (!known.hash.equals(command.hash)) return failed("COMMAND_ID_REUSED", record);
      return { ...known.said, duplicate: true };
    }
    const { issueTime } = command;
    if (issueTime !== null && issueTime > record.timestamp + toleratedClockLeadMs) {
      return failed("CLOCK_AHEAD", record);
    }
    if (issueTime !== null && issueTime <= this.horizon) return failed("EXPIRED", record);
    const said = { ...this.decide(command), duplicate: false, firstOffset: Number(record.offset) };
    this.remembered.set(name, {
      ...{ said, hash: command.hash, issueTime, appendTime: record.timestamp },
      replyOffset: at.replyRecord.offset,
    });
    return said;
  }

  private decide({ aggregateId, id, type, data, expectedVersion }: Command) {
    const before = this.aggregates.get(aggregateId) ?? {
      state: accountDecider.initialState,
      version: 0,
    };
    if (expectedVersion !== null && expectedVersion !== before.version) {
      return { outcome: "conflict", version: before.version, reason: null } as const;
    }
    const decision = accountDecider.decide({ type, data }, before.state);
    if (decision.kind === "rejected") {
      return { outcome: "rejected", version: before.version, reason: decision.reason } as const;
    }
    let { state, version } = before;
    for (const event of decision.events) {
      state = accountDecider.evolve(state, event);
      this.events.push(
        `${aggregateId}/${++version} ${event.type} ${JSON.stringify(event.data)} ${id}`,
      );
    }
    this.aggregates.set(aggregateId, { state, version });
    return { outcome: "accepted", version, reason: null } as const;
  }

  /**
   * Whether the worker has forgotten what it may have forgotten without a reply that says so: an answer that is
   * too old or one too many, for a transaction without replies may have said it; or one that retention has
   * deleted before a worker was started.
   */
  private isForgotten(known: Remembered, { record, reply, replyRecord }: Handled): boolean {
    if (reply.duplicate || reply.reason === "COMMAND_ID_REUSED") return false;
    const { maxAgeMs, maxCount } = this.bank.shape.commands.window;
    if (known.appendTime < replyRecord.timestamp - maxAgeMs + clockToleranceMs) return true;
    const later = [...this.remembered.values()].filter(
      ({ replyOffset }) => replyOffset > known.replyOffset,
    );
    if (later.length >= maxCount) return true;
    return this.history.deleted.some(
      ({ commands, replies }) => record.offset >= commands && known.replyOffset < replies,
    );
  }

  private forget(name: string, { issueTime }: Remembered): void {
    this.remembered.delete(name);
    this.horizon = Math.max(this.horizon, issueTime ?? -Infinity);
  }

  /** What the last reply of a transaction says of the window is true from the next command on. */
  private followEdge(reply: LogRecord): string[] {
    const said = headerOf(reply, headers.horizon);
    // A horizon alone: nothing is remembered any more.
    const nothing = said === null ? null : String(reply.offset);
    const oldest = headerOf(reply, headers.oldestReply) ?? nothing;
    const early: string[] = [];
    if (oldest !== null) {
      const { maxAgeMs, maxCount } = this.bank.shape.commands.window;
      const forgotten = [...this.remembered].filter(([, it]) => it.replyOffset < BigInt(oldest));
      for (const [name, it] of forgotten) {
        this.forget(name, it);
        const isOld = it.appendTime < reply.timestamp - maxAgeMs + clockToleranceMs;
        if (isOld || this.remembered.size >= maxCount || this.isDeleted(it)) continue;
        early.push(`G3: reply ${reply.offset} forgets ${name}, which is neither old nor too many`);
      }
    }
    if (said !== null) this.horizon = Math.max(this.horizon, Number(said));
    return early;
  }

  private isDeleted({ replyOffset }: Remembered): boolean {
    return this.history.deleted.some(({ replies }) => replyOffset < replies);
  }

  compareEffects(): string[] {
    const { codec, topics } = this.bank;
    const found = this.history.events.map((record) => {
      const { type, data } = codec.decode(topics.events, record.value as Buffer);
      const by = headerOf(record, headers.commandId);
      return `${String(record.key)} ${type} ${JSON.stringify(data)} ${by}`;
    });
    return [
      ...firstDifference("ORACLE: event", this.events, found),
      ...firstDifference(
        "I10: dead letter",
        this.deadLetters.map(bytesOf),
        this.history.deadLetters.map(bytesOf),
      ),
    ];
  }
}

/** Clocks of workers may be ahead of the broker's by so much, in milliseconds. */
const clockToleranceMs = 10_000;

function bytesOf({ key, value }: LogRecord): string {
  return `${key?.toString("hex") ?? "null"} ${value?.toString("hex") ?? "null"}`;
}

function failed(reason: string, { offset }: LogRecord): Said {
  return {
    outcome: "failed",
    version: null,
    reason,
    duplicate: false,
    firstOffset: Number(offset),
  };
}

function shown({ outcome, version, reason, duplicate, firstOffset }: Said): string {
  const again = duplicate ? ` again, first at ${firstOffset}` : "";
  return `${outcome} v${version ?? "-"}${reason === null ? "" : ` ${reason}`}${again}`;
}

function firstDifference(
  what: string,
  wanted: readonly string[],
  found: readonly string[],
): readonly string[] {
  const most = Math.max(wanted.length, found.length);
  for (let i = 0; i < most; i++) {
    if (wanted[i] === found[i]) continue;
    return [`${what} ${i}: ${wanted[i] ?? "none"} is right, the log has ${found[i] ?? "none"}`];
  }
  return [];
}
