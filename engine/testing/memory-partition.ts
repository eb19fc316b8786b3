import type { Clock } from "../clock.ts";
import type { LogOffsets, LogRecord, OutRecord } from "../log.ts";

/** A transaction as the coordinator and the partitions it has written to share it. */
export interface MemoryTransaction {
  state: "open" | "committed" | "aborted";
  readonly partitions: Set<MemoryPartition>;
  readonly offsets: [key: string, offset: bigint][];
}

interface Entry {
  readonly record: LogRecord;
  readonly transaction: MemoryTransaction | null;
  /** A marker takes an offset, as Kafka's control records do, and is never read. */
  readonly control: boolean;
}

/** One partition: entries in offset order, gaps where compaction took something out. */
export class MemoryPartition {
  private entries: Entry[] = [];
  private start = 0n;
  private end = 0n;
  private readonly firstOpen = new Map<MemoryTransaction, bigint>();
  private waiting: (() => void)[] = [];

  bounds(): LogOffsets {
    let stable = this.end;
    for (const first of this.firstOpen.values()) if (first < stable) stable = first;
    return { start: this.start, stable, end: this.end };
  }

  append(record: OutRecord, transaction: MemoryTransaction | null): bigint {
    if (transaction && !this.firstOpen.has(transaction)) {
      this.firstOpen.set(transaction, this.end);
      transaction.partitions.add(this);
    }
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
    const { stable } = this.bounds();
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

  compact(): void {
    const { stable } = this.bounds();
    const last = new Map<string, bigint>();
    for (const entry of this.entries) {
      if (isVisible(entry) && entry.record.key)
        last.set(entry.record.key.toString("hex"), entry.record.offset);
    }
    this.entries = this.entries.filter(({ record, control, transaction }) => {
      if (record.offset >= stable) return true;
      if (control || transaction?.state === "aborted" || !record.key) return false;
      return last.get(record.key.toString("hex")) === record.offset;
    });
  }

  deleteBefore(offset: bigint): void {
    this.start = offset < this.end ? offset : this.end;
    this.entries = this.entries.filter(({ record }) => record.offset >= this.start);
  }

  /** Resolves when something is appended, after `maxWaitMs`, or when `signal` aborts. */
  async change(maxWaitMs: number, clock: Clock, signal: AbortSignal): Promise<void> {
    const enough = new AbortController();
    this.waiting.push(() => {
      enough.abort();
    });
    await clock.sleep(maxWaitMs, signal, enough.signal);
  }

  private push(entry: Entry): bigint {
    this.entries.push(entry);
    const offset = this.end++;
    const waiting = this.waiting;
    this.waiting = [];
    for (const resolve of waiting) resolve();
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

function isVisible({ control, transaction }: Entry): boolean {
  return !control && (transaction === null || transaction.state === "committed");
}
