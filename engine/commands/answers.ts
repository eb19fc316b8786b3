import { Section, type Store } from "./store.ts";

/**
 * The dedupe window of one partition: which command ids got which final answer, bounded by count and age,
 * with a horizon H behind which nothing is known any more.
 */

/** A final answer. `failed` is never remembered: the same id may run once the cause is gone. */
export interface Answer {
  readonly outcome: "accepted" | "rejected" | "conflict";
  /** The aggregate's version after the command's events, or the one that it met. */
  readonly version: number;
  /** Why it was rejected. */
  readonly reason: string | null;
  /** The offset of the command's first handling. */
  readonly firstOffset: bigint;
  readonly hash: Buffer;
  readonly issueTime: number | null;
  /** When the broker appended the command, in milliseconds since the epoch. */
  readonly appendTime: number;
}

export interface WindowLimits {
  readonly maxAgeMs: number;
  readonly maxCount: number;
}

export const windowLimits: WindowLimits = { maxAgeMs: 7 * 24 * 60 * 60 * 1000, maxCount: 100_000 };

/** What a transaction says about the window as it will be after it. */
export interface WindowEdge {
  /** H: an id issued at or before it may have been forgotten; `null` while none has. */
  readonly horizon: number | null;
  /** The greatest issue time ever remembered. */
  readonly latestIssueTime: number | null;
  /** The replies offset of the oldest answer remembered; `null` where there is none. */
  readonly oldestReply: bigint | null;
}

/** An answer that a transaction is about to give. */
export interface NewAnswer {
  readonly aggregateId: string;
  readonly commandId: string;
  readonly answer: Answer;
}

export class Answers {
  /** The id on its aggregate → the answer. */
  private readonly byId: Section;
  /** The offset of the reply → the id on its aggregate: the order of forgetting. */
  private readonly byOffset: Section;
  private readonly limits: WindowLimits;
  /** No answer has its reply before this offset. */
  private floor = 0n;
  count = 0;
  horizon: number | null = null;
  latestIssueTime: number | null = null;

  constructor(store: Store, limits: WindowLimits) {
    this.byId = new Section(store, "a");
    this.byOffset = new Section(store, "o");
    this.limits = limits;
  }

  get sections(): readonly Section[] {
    return [this.byId, this.byOffset];
  }

  find(aggregateId: string, commandId: string): Answer | null {
    const bytes = this.byId.get(nameOf(aggregateId, commandId));
    return bytes === null ? null : decodeAnswer(bytes);
  }

  /**
   * The answers to forget so that `coming` more fit in, oldest first, and the edge of the window then. Changes
   * nothing: the transaction may yet fail. `nextReply` is a lower bound of the offsets of the new replies.
   */
  evictions(coming: readonly NewAnswer[], nextReply: bigint, now: number) {
    const evicted: string[] = [];
    let horizon = this.horizon;
    let oldestReply: bigint | null = coming.length > 0 ? nextReply : null;
    for (const [offset, name] of this.byOffset.inOrder()) {
      const answer = this.answerNamed(name.toString("utf8"));
      const isTooMany = this.count - evicted.length + coming.length > this.limits.maxCount;
      // A horizon in the future would refuse the fresh commands of all whose clocks are right: it waits for them.
      const excess = isTooMany && (answer.issueTime ?? 0) <= now;
      if (!excess && answer.appendTime >= now - this.limits.maxAgeMs) {
        oldestReply = BigInt(offset);
        break;
      }
      evicted.push(offset);
      horizon = latest(horizon, answer.issueTime);
    }
    let latestIssueTime = this.latestIssueTime;
    for (const { answer } of coming) latestIssueTime = latest(latestIssueTime, answer.issueTime);
    const edge: WindowEdge = { horizon, latestIssueTime, oldestReply };
    return { evicted, edge };
  }

  evict(offsets: readonly string[], edge: WindowEdge): void {
    this.drop(offsets);
    this.horizon = edge.horizon;
    this.latestIssueTime = edge.latestIssueTime;
  }

  /** Forgets what the writer of the log had forgotten: every answer whose reply is before `offset`. */
  forgetBefore(offset: bigint): void {
    if (offset <= this.floor) return; // A restore is told the same again and again.
    this.floor = offset;
    const evicted: string[] = [];
    for (const [at] of this.byOffset.inOrder()) {
      if (BigInt(at) >= offset) {
        this.floor = BigInt(at);
        break;
      }
      evicted.push(at);
    }
    this.drop(evicted);
  }

  /** Forgets the answer of this id, which must be remembered, and whatever came before it. */
  forgetUpTo(aggregateId: string, commandId: string): void {
    const last = nameOf(aggregateId, commandId);
    const evicted: string[] = [];
    for (const [at, name] of this.byOffset.inOrder()) {
      evicted.push(at);
      if (name.toString("utf8") === last) break;
    }
    this.drop(evicted);
  }

  /**
   * Remembers an answer, which must not be remembered yet, with the offset of its reply. Offsets must come in
   * ascending order.
   */
  remember({ aggregateId, commandId, answer }: NewAnswer, replyOffset: bigint): void {
    const name = nameOf(aggregateId, commandId);
    this.byId.set(name, encodeAnswer(answer));
    this.byOffset.set(sortable(replyOffset), Buffer.from(name, "utf8"));
    this.latestIssueTime = latest(this.latestIssueTime, answer.issueTime);
    this.count++;
  }

  private drop(offsets: readonly string[]): void {
    for (const offset of offsets) {
      const name = this.byOffset.get(offset)?.toString("utf8");
      this.byOffset.delete(offset);
      if (name !== undefined) this.byId.delete(name);
      this.count--;
    }
  }

  private answerNamed(name: string): Answer {
    const bytes = this.byId.get(name);
    if (bytes === null) throw new Error("The order of answers names one that is not there");
    return decodeAnswer(bytes);
  }
}

/** Unambiguous for any two ids, whatever is in them. */
function nameOf(aggregateId: string, commandId: string): string {
  return `${aggregateId.length}:${aggregateId}${commandId}`;
}

/** An offset as text that sorts as the offset does. */
export function sortable(offset: bigint): string {
  return offset.toString().padStart(20, "0");
}

export function latest(a: number | null, b: number | null): number | null {
  return a === null ? b : b === null ? a : Math.max(a, b);
}

const outcomes = ["accepted", "rejected", "conflict"] as const;
const fixedBytes = 1 + 8 + 8 + 8 + 8 + 16;

function encodeAnswer(answer: Answer): Buffer {
  const reason = answer.reason === null ? null : Buffer.from(answer.reason, "utf8");
  const bytes = Buffer.alloc(fixedBytes + 1 + (reason?.length ?? 0));
  bytes.writeUInt8(outcomes.indexOf(answer.outcome), 0);
  bytes.writeDoubleBE(answer.version, 1);
  bytes.writeBigInt64BE(answer.firstOffset, 9);
  bytes.writeDoubleBE(answer.issueTime ?? Number.NaN, 17);
  bytes.writeDoubleBE(answer.appendTime, 25);
  answer.hash.copy(bytes, 33);
  bytes.writeUInt8(reason === null ? 0 : 1, fixedBytes);
  reason?.copy(bytes, fixedBytes + 1);
  return bytes;
}

function decodeAnswer(bytes: Buffer): Answer {
  const outcome = outcomes[bytes.readUInt8(0)];
  if (outcome === undefined) throw new Error("The store holds an answer of unknown kind");
  const issueTime = bytes.readDoubleBE(17);
  return {
    outcome,
    version: bytes.readDoubleBE(1),
    firstOffset: bytes.readBigInt64BE(9),
    issueTime: Number.isNaN(issueTime) ? null : issueTime,
    appendTime: bytes.readDoubleBE(25),
    hash: bytes.subarray(33, 49),
    reason: bytes.readUInt8(fixedBytes) === 0 ? null : bytes.toString("utf8", fixedBytes + 1),
  };
}
