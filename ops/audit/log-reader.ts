import { setTimeout as sleep } from "node:timers/promises";
import { FatalError } from "../../engine/errors.ts";
import type { TopicPartition } from "../../engine/log.ts";
import type {
  AuditedTopic,
  AuditRecord,
  AuditSlice,
  HangingTransaction,
  Until,
} from "./audited-log.ts";
import { Cluster, type Fetched, nameOf } from "./cluster.ts";
import type { KafkaSettings } from "./connection.ts";
import { type Batch, batchesOf } from "./record-batch.ts";
import { Transactions } from "./transactions.ts";

/**
 * The audit's own way to the log, which shares nothing with the engine's (connections, protocol, record
 * batches, checksum, what is committed): a fault in the engine's reader must not hide the harm that it does.
 * It reads uncommitted records too, and tells by the markers in the log which of them count.
 */

export interface Mark {
  readonly start: bigint;
  readonly end: bigint;
}

export interface LogReader {
  /** @throws FatalError `TOPIC_MISSING` */
  partitionsOf(topic: string): Promise<number>;
  /** The bounds of a partition now; the end is the high watermark. */
  mark(of: TopicPartition): Promise<Mark>;
  /** The partition up to a mark. Reads of several topics go on side by side, those of one topic do not. */
  topic(of: TopicPartition, mark: Mark): AuditedTopic;
  /**
   * `null` once every transaction that had begun before `end` has ended; else what is found after
   * `patienceMs`: the transaction hangs.
   */
  hanging(of: TopicPartition, end: bigint): Promise<HangingTransaction | null>;
  close(): void;
}

/** A worker's transaction times out after 10 s, and a broker looks for such every 10 s; then some. */
export const transactionPatienceMs = 25_000;
const pollMs = 250;
const longPollMs = 500;
/** More held back than this, and the reader looks ahead for how the open transactions end. */
const heldBytesAtMost = 64 * 1024 * 1024;

export interface ReaderLimits {
  readonly patienceMs: number;
  readonly heldBytes: number;
}

/**
 * Opens a reader; it connects when it is first asked. Each method throws `TransientError` where the cluster is
 * away for half a minute, `FatalError` where it does not let us read, `CORRUPT_BATCH` where a batch is not as
 * it was written. Compression: none, gzip and zstd; anything else is `UNREADABLE_LOG`.
 */
export function openLogReader(
  settings: KafkaSettings,
  signal: AbortSignal,
  limits: Partial<ReaderLimits> = {},
): LogReader {
  const patienceMs = limits.patienceMs ?? transactionPatienceMs;
  const heldBytes = limits.heldBytes ?? heldBytesAtMost;
  const asking = new Cluster(settings, signal);
  const lines = new Map<string, Cluster>();
  const lineFor = (topic: string) => {
    const line = lines.get(topic) ?? new Cluster(settings, signal);
    lines.set(topic, line);
    return line;
  };
  const mark = async (of: TopicPartition): Promise<Mark> => ({
    start: await asking.offset(of, "start"),
    end: await asking.offset(of, "read uncommitted"),
  });

  return {
    partitionsOf: (topic) => asking.partitionsOf(topic),
    mark,
    topic: (of, { start, end }) => ({
      ...of,
      start,
      end,
      read: (until) =>
        committed({ of, start, end, until, patienceMs, heldBytes, line: lineFor(of.topic) }),
    }),
    async hanging(of, end) {
      const giveUpAt = Date.now() + patienceMs;
      for (;;) {
        const stable = await asking.offset(of, "read committed");
        if (stable >= end) return null;
        if (Date.now() >= giveUpAt) return { ...of, stable, end };
        await sleep(pollMs, undefined, { signal });
      }
    },
    close() {
      for (const line of [asking, ...lines.values()]) line.close();
    },
  };
}

interface Reading extends Mark, ReaderLimits {
  readonly of: TopicPartition;
  readonly until: Until;
  readonly line: Cluster;
}

/** The committed records below the end, and what it takes to know that they are. */
async function* committed(reading: Reading): AsyncGenerator<AuditSlice> {
  const { start, end } = reading;
  let transactions = new Transactions();
  let isAfterGap = start > 0n;
  let position = start;
  const slice = (batches: readonly Batch[]): AuditSlice => {
    const records = batches.flatMap((batch) => recordsOf(batch, start));
    const aborted = transactions.takeAborted().flatMap((batch) => recordsOf(batch, start));
    const found = { records, isAfterGap, aborted };
    if (records.length > 0) isAfterGap = false;
    return found;
  };

  for await (const { batches, isAfterGap: hasSkipped } of fetches(reading)) {
    if (hasSkipped) {
      // What was open there was removed with its marker.
      yield slice(transactions.finish());
      transactions = new Transactions();
      isAfterGap = true;
    }
    for (const batch of batches) {
      if (batch.firstOffset >= end) break;
      const released = transactions.take(batch);
      if (released.length > 0) yield slice(released);
      position = batch.lastOffset + 1n;
    }
    if (transactions.heldBytes > reading.heldBytes) {
      yield slice(await lookAhead(reading, position, transactions));
    }
  }
  yield slice(await lookAhead(reading, position, transactions));
}

function recordsOf(batch: Batch, start: bigint): AuditRecord[] {
  const { producerId, producerEpoch, isTransactional } = batch;
  const writer = isTransactional ? `${producerId}/${producerEpoch}` : null;
  const records: AuditRecord[] = [];
  for (const record of batch.records()) {
    if (record.offset >= start) records.push({ ...record, writer });
  }
  return records;
}

interface FetchedBatches {
  readonly batches: readonly Batch[];
  /** Whether retention has removed what was to be read next. */
  readonly isAfterGap: boolean;
}

/** All batches up to the end; the next fetch is under way while one is worked on. */
async function* fetches({
  of,
  line,
  start,
  end,
  patienceMs,
}: Reading): AsyncGenerator<FetchedBatches> {
  let position = start;
  let giveUpAt = Date.now() + patienceMs;
  const fetch = () => (position < end ? ahead(line.fetch(of, position, longPollMs)) : null);
  for (let next = fetch(); next !== null;) {
    const fetched = await next;
    const batches = batchesOf(fetched?.recordSet ?? Buffer.alloc(0), nameOf(of));
    const before = position;
    if (fetched === null) position = largest(position, await line.offset(of, "start"));
    else if (batches.length > 0) position = (batches.at(-1) as Batch).lastOffset + 1n;
    // Nothing at all below the high watermark: a hole that compaction has left at the end.
    else if (fetched.highWatermark >= end) position = end;

    if (position > before) giveUpAt = Date.now() + patienceMs;
    else if (Date.now() > giveUpAt) throw truncated(of, { before, end });
    next = fetch();
    yield { batches, isAfterGap: fetched === null };
  }
}

/** A promise that is awaited later, or never. */
function ahead(fetching: Promise<Fetched | null>): Promise<Fetched | null> {
  fetching.catch(() => undefined);
  return fetching;
}

function largest(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}

function truncated(of: TopicPartition, { before, end }: { before: bigint; end: bigint }) {
  return new FatalError(
    "LOG_TRUNCATED",
    `${nameOf(of)} reached up to ${end}, and does not give what is at ${before} any more: ` +
      "it was truncated, or deleted and created anew, while the audit read it",
  );
}

/**
 * Reads on for the markers of open transactions, and keeps nothing of what lies between: memory stays bounded
 * however far they reach. What has not ended when patience does hangs, and counts as not committed.
 */
async function lookAhead(
  { of, line, end, until, patienceMs }: Reading,
  from: bigint,
  transactions: Transactions,
): Promise<readonly Batch[]> {
  const released: Batch[] = [];
  const wanted = new Set(transactions.undecided.map(({ producerId }) => producerId));
  let giveUpAt = Date.now() + patienceMs;
  for (let position = from; wanted.size > 0 && Date.now() < giveUpAt;) {
    if (until === "the end" && position >= end) break;
    const before = position;
    const fetched = await line.fetch(of, position, longPollMs);
    const batches = batchesOf(fetched?.recordSet ?? Buffer.alloc(0), nameOf(of));
    for (const { producerId, marker, firstOffset, lastOffset } of batches) {
      position = lastOffset + 1n;
      if (until === "the end" && firstOffset >= end) break;
      if ((marker === "commit" || marker === "abort") && wanted.delete(producerId)) {
        released.push(...transactions.foresee(producerId, marker));
      }
    }
    if (position > before && position < end) giveUpAt = Date.now() + patienceMs;
  }
  for (const producerId of wanted) released.push(...transactions.foresee(producerId, "abort"));
  return released;
}
