import type { Clock } from "./clock.ts";
import type { LogRecord, Reader, ReadLimits, TopicPartition } from "./log.ts";

/** Records to handle together, and the position after them. */
export interface Batch {
  readonly records: readonly LogRecord[];
  readonly next: bigint;
}

export interface BatchLimits extends ReadLimits {
  readonly maxRecords: number;
  /** What may be read ahead of its handling, in bytes. */
  readonly maxAheadBytes: number;
}

/** An abort without a reason makes an exception with its stack, once a batch. */
const woken = new Error("something has come");
const enough = new Error("nothing more is to be read");

/**
 * Reads on while a batch is being handled, so that the next one holds all that came in meanwhile: small when
 * idle, which keeps the latency low, and large when behind.
 */
export class ReadAhead {
  private readonly reader: Reader;
  private readonly of: TopicPartition;
  private readonly limits: BatchLimits;
  private readonly stopped = new AbortController();
  private readonly reading: Promise<void>;
  /** The end of the log when it was last read. */
  end: bigint;
  private buffer: LogRecord[] = [];
  private bufferedBytes = 0;
  /** After the last record read. */
  private position: bigint;
  private failure: { readonly error: unknown } | null = null;
  private wakeReader: (() => void) | null = null;
  private wakeTaker = new AbortController();

  constructor(reader: Reader, of: TopicPartition, from: bigint, limits: BatchLimits) {
    this.reader = reader;
    this.of = of;
    this.limits = limits;
    this.position = from;
    this.end = from;
    this.reading = this.readOn();
  }

  /**
   * What has been read so far, up to the limits; waits for the first record, at most `idleMs`. Empty then,
   * although the position may have moved over control records.
   * @throws what the reader throws, after all that it read before was taken
   */
  async take(clock: Clock, idleMs: number, signal: AbortSignal): Promise<Batch> {
    if (this.buffer.length === 0 && !this.failure) {
      this.wakeTaker = new AbortController();
      await clock.sleep(idleMs, signal, this.wakeTaker.signal);
    }
    if (this.buffer.length === 0 && this.failure) throw this.failure.error;
    let bytes = 0;
    let count = 0;
    for (const record of this.buffer) {
      if (count === this.limits.maxRecords || (count > 0 && bytes > this.limits.maxBytes)) break;
      bytes += sizeOf(record);
      count++;
    }
    const records = this.buffer.splice(0, count);
    this.bufferedBytes -= bytes;
    this.wakeReader?.();
    return { records, next: this.buffer[0]?.offset ?? this.position };
  }

  /** Ends the reading, so that the reader is free again. */
  async stop(): Promise<void> {
    this.stopped.abort(enough);
    this.wakeReader?.();
    await this.reading;
  }

  private async readOn(): Promise<void> {
    const { signal } = this.stopped;
    try {
      while (!signal.aborted) {
        if (this.bufferedBytes > this.limits.maxAheadBytes) {
          await new Promise<void>((resolve) => (this.wakeReader = resolve));
          continue;
        }
        const slice = await this.reader.read(
          { ...this.of, offset: this.position },
          this.limits,
          signal,
        );
        for (const record of slice.records) {
          this.buffer.push(record);
          this.bufferedBytes += sizeOf(record);
        }
        this.position = slice.next;
        if (slice.end > this.end) this.end = slice.end;
        if (slice.records.length > 0) this.wakeTaker.abort(woken);
      }
    } catch (error) {
      this.failure = { error };
      this.wakeTaker.abort(woken);
    }
  }
}

function sizeOf({ key, value }: LogRecord): number {
  return 100 + (key?.length ?? 0) + (value?.length ?? 0);
}
