import type { Bank } from "./bank.ts";
import type { LogRecord, TopicPartition } from "../../engine/log.ts";

/** Weeks in which nothing happens: retention deletes commands and replies, and groups forget their offsets. */

const dayMs = 24 * 60 * 60 * 1000;
/** What the catalog says of commands and replies. */
const commandsLiveDays = 7;
const repliesLiveDays = 14;

/** Long enough for every reader to come to the end of what it reads, and to write how far it has come. */
const quietMs = 12_000;

/** Up to where a partition of commands and its replies were deleted at one time. */
export interface Deleted {
  /** Commands from here on were sent after that. */
  readonly commands: bigint;
  /** Replies before this are gone. */
  readonly replies: bigint;
}

export class Idleness {
  /** The load waits: a week is to pass. */
  isWanted = false;
  private readonly bank: Bank;
  private readonly isQuiet: () => boolean;
  /** Partition of a topic → records that retention has deleted. */
  private readonly archive = new Map<string, LogRecord[]>();
  private readonly deleted: Deleted[][] = [];
  /** Weeks so far. */
  count = 0;

  /** `isQuiet`: every command is answered, and every process has nothing to do but to wait. */
  constructor(bank: Bank, isQuiet: () => boolean) {
    this.bank = bank;
    this.isQuiet = isQuiet;
  }

  /** Lets so many days pass as soon as everything has been quiet for a while, within `forMs`, or not at all. */
  ask(days: number, forMs: number): void {
    const { kernel } = this.bank;
    const until = kernel.time + forMs;
    let quietSince = Infinity;
    this.isWanted = true;
    const look = () => {
      quietSince = this.isQuiet() ? Math.min(quietSince, kernel.time) : Infinity;
      const isOver = kernel.time - quietSince >= quietMs;
      if (isOver) this.pass(days);
      if (isOver || kernel.time >= until) this.isWanted = false;
      else kernel.at(500, "idle?", look);
    };
    look();
  }

  /** Every committed record that a partition ever had. */
  ever(of: TopicPartition): readonly LogRecord[] {
    const gone = this.archive.get(keyOf(of));
    const left = this.bank.log.committed(of);
    return gone ? [...gone, ...left] : left;
  }

  /** Whether records of a topic are gone. */
  hasDeleted({ name }: { readonly name: string }): boolean {
    return [...this.archive.keys()].some((key) => key.startsWith(`${name}/`));
  }

  /** What retention did to a partition of commands and replies, in order. */
  deletedOf(partition: number): readonly Deleted[] {
    return this.deleted[partition] ?? [];
  }

  private pass(days: number): void {
    const { bank } = this;
    bank.hits.add("idle", "bank");
    bank.kernel.leap(days * dayMs);
    this.count++;
    for (let partition = 0; partition < bank.shape.partitions; partition++) {
      const commands = { topic: bank.topics.commands.name, partition };
      const replies = { topic: bank.topics.replies.name, partition };
      if (days > commandsLiveDays) this.delete(commands);
      if (days > repliesLiveDays) this.delete(replies);
      const { end } = bank.log.bounds(commands);
      (this.deleted[partition] ??= []).push({
        commands: end,
        replies: bank.log.bounds(replies).start,
      });
    }
    bank.log.deleteOffsets(bank.groupOf("account"));
  }

  private delete(of: TopicPartition): void {
    const { log } = this.bank;
    this.archive.set(keyOf(of), [...this.ever(of)]);
    log.deleteBefore(of, log.bounds(of).end);
  }
}

function keyOf({ topic, partition }: TopicPartition): string {
  return `${topic}/${partition}`;
}
