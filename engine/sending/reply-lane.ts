import type { Codec } from "../codec.ts";
import { FatalError, PoisonError, TransientError } from "../errors.ts";
import type { Reply } from "../generated.ts";
import type { Log, LogRecord, Reader } from "../log.ts";
import type { AggregateTopics, Topic } from "../topic.ts";

/** The replies of one partition of commands, and who waits for which. */

export interface LaneOptions {
  readonly log: Log;
  readonly codec: Codec;
  readonly aggregates: readonly AggregateTopics[];
}

/** A lane for every commands partition, by `<commands topic>/<partition>`, each at the end of its replies. */
export async function openReplyLanes<W>({
  log,
  codec,
  aggregates,
}: LaneOptions): Promise<ReadonlyMap<string, ReplyLane<W>>> {
  const lanes = new Map<string, ReplyLane<W>>();
  const opening = aggregates.flatMap(({ commands, replies }) =>
    Array.from({ length: commands.partitions }, async (_, partition) => {
      const lane = await ReplyLane.open<W>({ log, codec, replies }, partition);
      lanes.set(`${commands.name}/${partition}`, lane);
    }),
  );
  const opened = await Promise.allSettled(opening);
  const failed = opened.find((it) => it.status === "rejected");
  if (failed === undefined) return lanes;
  for (const lane of lanes.values()) await lane.close();
  throw failed.reason;
}

const limits = { maxBytes: 1 << 20, maxWaitMs: 500 };
const openWithinMs = 10_000;

/** `W` is whatever waits for a reply. */
export class ReplyLane<W> {
  private readonly reader: Reader;
  private readonly codec: Codec;
  private readonly replies: Topic;
  private readonly partition: number;
  private offset: bigint;
  /** By command offset. */
  private readonly waiting = new Map<number, W>();
  /** Replies that were here before the broker had told the offset of the command that they answer. */
  private readonly early = new Map<number, Reply>();
  private isSending = false;
  private lastSent = -1;
  private answered: ((waiting: W, reply: Reply) => void) | null = null;

  private constructor(
    { codec, replies }: Pick<LaneOptions, "codec"> & { replies: Topic },
    reader: Reader,
    { partition, offset }: { readonly partition: number; readonly offset: bigint },
  ) {
    this.codec = codec;
    this.replies = replies;
    this.reader = reader;
    this.partition = partition;
    this.offset = offset;
  }

  static async open<W>(
    options: Pick<LaneOptions, "log" | "codec"> & { readonly replies: Topic },
    partition: number,
  ): Promise<ReplyLane<W>> {
    const reader = await options.log.openReader();
    try {
      const of = { topic: options.replies.name, partition };
      const { end } = await reader.offsets(of, AbortSignal.timeout(openWithinMs));
      return new ReplyLane<W>(options, reader, { partition, offset: end });
    } catch (error) {
      await reader.close();
      if ((error as Error).name !== "TimeoutError") throw error;
      const what = `${options.replies.name}/${partition} did not answer within ${openWithinMs / 1_000} s`;
      throw new TransientError(what, { cause: error });
    }
  }

  /** Commands are about to be sent here: until `forgetForeign`, replies to unknown offsets are kept. */
  expectReceipt(): void {
    this.isSending = true;
  }

  /** The command is in the log at `offset`. With `null` nobody waits for its reply any more. */
  expectReply(offset: bigint, waiting: W | null): void {
    const at = Number(offset);
    this.lastSent = Math.max(this.lastSent, at);
    const reply = this.early.get(at);
    if (reply === undefined) {
      if (waiting !== null) this.waiting.set(at, waiting);
      return;
    }
    this.early.delete(at);
    if (waiting !== null) this.answered?.(waiting, reply);
  }

  /** Nobody waits any more for the reply to the command at `offset`. */
  forget(offset: bigint): void {
    this.waiting.delete(Number(offset));
  }

  /**
   * The send is over, and what is kept is for no command of ours. That is so where it has failed, too: what is
   * sent again is appended anew, behind every command that was answered before.
   */
  forgetForeign(): void {
    this.isSending = false;
    this.early.clear();
  }

  /** Reads until `signal` aborts. Says of each reply that somebody waits for that it is there. */
  async listen(answered: (waiting: W, reply: Reply) => void, signal: AbortSignal): Promise<void> {
    this.answered = answered;
    while (!signal.aborted) {
      const from = { topic: this.replies.name, partition: this.partition, offset: this.offset };
      const slice = await this.reader.read(from, limits, signal);
      const values = slice.records.map(({ value }) => value);
      if (values.length > 0) await this.codec.learn(values, signal);
      for (const record of slice.records) this.hear(this.decoded(record));
      this.offset = slice.next;
    }
  }

  close(): Promise<void> {
    return this.reader.close();
  }

  private hear(reply: Reply): void {
    const at = reply.commandOffset;
    const waiting = this.waiting.get(at);
    if (waiting !== undefined) {
      this.waiting.delete(at);
      this.answered?.(waiting, reply);
    } else if (this.isSending && at > this.lastSent) this.early.set(at, reply);
  }

  private decoded({ value, offset }: LogRecord): Reply {
    try {
      if (value === null) throw new PoisonError("BAD_WIRE_FORMAT", "it has no value");
      return this.codec.decode(this.replies, value).data as unknown as Reply;
    } catch (error) {
      if (!(error instanceof PoisonError)) throw error;
      const where = `${this.replies.name}/${this.partition}/${offset}`;
      throw new FatalError(
        "UNREADABLE_LOG",
        `The reply at ${where} cannot be read: ${error.message}`,
      );
    }
  }
}
