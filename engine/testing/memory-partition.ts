import type { Clock } from "../clock.ts";
import type { LogOffsets, LogRecord, OutRecord } from "../log.ts";

/** A transaction as the coordinator and the partitions it has written to share it. */
export interface MemoryTransaction {
  /** The transactional id and the epoch of its writer. */
  readonly by: string;
  state: "open" | "committed" | "aborted";
  /** Those that were added to it: each gets a marker, whether or not something was written there. */
  readonly partitions: Set<MemoryPartition>;
  /** Group and partition → offset; `null` before group offsets were added to it. */
  offsets: Map<string, bigint> | null;
}

interface Entry {
  readonly record: LogRecord;
  readonly transaction: MemoryTransaction | null;
  /** A marker takes an offset, as Kafka's control records do, and is never read. */
  readonly control: boolean;
}

/** A record with the transactional id and epoch of its writer; `null` where it was in no transaction. */
type Written = LogRecord & { readonly writer: string | null };

/** What is decided in a partition, in the order of the log. */
export interface Decided {
  readonly committed: readonly Written[];
  readonly aborted: readonly Written[];
}

/** One partition: entries in offset order, gaps where compaction took something out. */
export class MemoryPartition {
  private entries: Entry[] = [];
  private start = 0n;
  private end = 0n;
  private readonly firstOpen = new Map<MemoryTransaction, bigint>();
  private readonly waiting = new Set<() => void>();

  bounds(): LogOffsets {
    return { start: this.start, stable: this.stable(), end: this.end };
  }

  append(record: OutRecord, transaction: MemoryTransaction | null): bigint {
    if (transaction && !this.firstOpen.has(transaction)) this.firstOpen.set(transaction, this.end);
    const { timestamp } = record;
    const bytes = (field: string | Buffer | null) => (field === null ? null : Buffer.from(field));
    return this.push({
      record: {
        offset: this.end,
        timestamp,
        key: bytes(record.key),
        value: bytes(record.value),
        headers: record.headers.map(([name, value]) => [name, bytes(value)]),
      },
      transaction,
      control: false,
    });
  }

  /** Writes the marker that ends a transaction in this partition. */
  mark(transaction: MemoryTransaction): void {
    this.firstOpen.delete(transaction);
    this.push({
      record: { offset: this.end, timestamp: 0, key: null, value: null, headers: [] },
      transaction,
      control: true,
    });
  }

  read(from: bigint, maxBytes: number): { records: LogRecord[]; next: bigint } {
    const stable = this.stable();
    const records: LogRecord[] = [];
    let bytes = 0;
    for (let i = this.indexOf(from); i < this.entries.length; i++) {
      const entry = this.entries[i] as Entry;
      if (entry.record.offset >= stable) break;
      if (bytes >= maxBytes) return { records, next: entry.record.offset };
      if (!isVisible(entry)) continue;
      records.push(entry.record);
      bytes += 70 + (entry.record.value?.length ?? 0);
    }
    return { records, next: stable > from ? stable : from };
  }

  /** Every record that is left before the last stable offset. */
  decided(): Decided {
    const stable = this.stable();
    const stands = this.entries.filter(({ record, control }) => record.offset < stable && !control);
    const of = (entries: readonly Entry[]) =>
      entries.map(({ record, transaction }) => ({ ...record, writer: transaction?.by ?? null }));
    return {
      committed: of(stands.filter(isVisible)),
      aborted: of(stands.filter((entry) => !isVisible(entry))),
    };
  }

  /** Of each key the last committed record before `before` stays. Like the cleaner, it never passes an open transaction. */
  compact(before: bigint = this.end): void {
    const stable = this.stable();
    const dirtyEnd = before < stable ? before : stable;
    const last = new Map<string, bigint>();
    for (const { record, ...entry } of this.entries) {
      if (record.offset >= dirtyEnd) break;
      if (isVisible(entry) && record.key) last.set(record.key.toString("hex"), record.offset);
    }
    this.entries = this.entries.filter(({ record, control, transaction }) => {
      if (record.offset >= dirtyEnd) return true;
      if (control || transaction?.state === "aborted" || !record.key) return false;
      return last.get(record.key.toString("hex")) === record.offset;
    });
  }

  deleteBefore(offset: bigint): void {
    this.start = offset < this.end ? offset : this.end;
    this.entries = this.entries.filter(({ record }) => record.offset >= this.start);
  }

  /**
   * Waits until there is something to read at `from`, at most `maxWaitMs`, or until `signal` aborts.
   * @returns whether there is
   */
  async change(
    from: bigint,
    maxWaitMs: number,
    clock: Clock,
    signal: AbortSignal,
  ): Promise<boolean> {
    if (this.stable() > from) return true;
    const enough = new AbortController();
    const wake = () => {
      enough.abort("changed"); // A reason of our own: without one each abort makes an exception.
    };
    this.waiting.add(wake);
    await clock.sleep(maxWaitMs, signal, enough.signal);
    this.waiting.delete(wake);
    return this.stable() > from;
  }

  private stable(): bigint {
    let stable = this.end;
    for (const first of this.firstOpen.values()) if (first < stable) stable = first;
    return stable;
  }

  private push(entry: Entry): bigint {
    this.entries.push(entry);
    const offset = this.end++;
    if (this.waiting.size > 0 && (entry.control || this.firstOpen.size === 0)) {
      const waiting = [...this.waiting];
      this.waiting.clear();
      for (const wake of waiting) wake();
    }
    return offset;
  }

  /** The index of the first entry at or after `offset`. */
  private indexOf(offset: bigint): number {
    let low = 0;
    let high = this.entries.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.entries[middle] as Entry).record.offset < offset) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

function isVisible({ control, transaction }: Pick<Entry, "control" | "transaction">): boolean {
  return !control && (transaction === null || transaction.state === "committed");
}
