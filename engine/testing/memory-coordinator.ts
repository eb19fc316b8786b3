import type { Clock } from "../clock.ts";
import { WriterLostError } from "../errors.ts";
import type { MemoryPartition, MemoryTransaction } from "./memory-partition.ts";
import { NotNow } from "./network.ts";

/** What a transaction coordinator takes its time for. */
export interface TransactionTimes {
  /** From the decision to the marker in one partition, in milliseconds; asked for each marker. */
  markerMs(): number;
  /** An open transaction is aborted when it is so old, or up to twice as old, in milliseconds. */
  readonly transactionTimeoutMs: number;
}

/** What the coordinator knows of one transactional id. */
interface Known {
  epoch: number;
  transaction: MemoryTransaction | null;
  /** How many markers of the transaction that has ended are yet to be written. */
  unmarked: number;
  last: "committed" | "aborted" | null;
}

/**
 * The transaction coordinator as protocol v1 of KIP-98 has it, with the check of KIP-890 that a partition is
 * part of the transaction that is written to it: a decision is made at once, its markers are written later and
 * one by one, and meanwhile the id is busy. Without times the markers come at once, and nothing times out.
 */
export class MemoryCoordinator {
  private readonly known = new Map<string, Known>();
  private readonly groupOffsets: Map<string, bigint>;
  private readonly clock: Clock;
  private readonly times: TransactionTimes | null;

  constructor(groupOffsets: Map<string, bigint>, clock: Clock, times: TransactionTimes | null) {
    this.groupOffsets = groupOffsets;
    this.clock = clock;
    this.times = times;
  }

  /** InitProducerId: fences and ends what was; @throws NotNow until its markers are written. */
  init(id: string): number {
    const known = this.known.get(id) ?? { epoch: -1, transaction: null, unmarked: 0, last: null };
    this.known.set(id, known);
    if (known.transaction) this.fence(known);
    if (known.unmarked > 0) throw new NotNow(`${id}: CONCURRENT_TRANSACTIONS`);
    known.last = null;
    return ++known.epoch;
  }

  addPartitions(id: string, epoch: number, partitions: Iterable<MemoryPartition>): void {
    const transaction = this.begun(id, epoch);
    for (const partition of partitions) transaction.partitions.add(partition);
  }

  addOffsets(id: string, epoch: number): void {
    this.begun(id, epoch).offsets ??= new Map();
  }

  /** The open transaction that a request of this epoch may write to; the sender must have added where. */
  openFor(id: string, epoch: number): MemoryTransaction {
    const { transaction } = this.current(id, epoch);
    if (transaction === null) {
      throw new WriterLostError("indefinite", `${id}: INVALID_TXN_STATE, it has no transaction`);
    }
    return transaction;
  }

  commit(id: string, epoch: number): void {
    const known = this.current(id, epoch);
    if (known.unmarked > 0) throw new NotNow(`${id}: CONCURRENT_TRANSACTIONS`);
    if (known.transaction) this.end(known, known.transaction, "committed");
    else if (known.last !== "committed") {
      throw new WriterLostError("indefinite", `${id}: INVALID_TXN_STATE, there is none to commit`);
    }
  }

  private begun(id: string, epoch: number): MemoryTransaction {
    const known = this.current(id, epoch);
    if (known.unmarked > 0) throw new NotNow(`${id}: CONCURRENT_TRANSACTIONS`);
    if (known.transaction) return known.transaction;
    const transaction: MemoryTransaction = {
      by: `${id}/${epoch}`,
      state: "open",
      partitions: new Set(),
      offsets: null,
    };
    known.transaction = transaction;
    if (this.times) void this.abortInTime(known, transaction, this.times.transactionTimeoutMs);
    return transaction;
  }

  private current(id: string, epoch: number): Known {
    const known = this.known.get(id);
    if (known?.epoch === epoch) return known;
    throw new WriterLostError("fenced", `${id} has another writer`);
  }

  private fence(known: Known): void {
    known.epoch++;
    if (known.transaction) this.end(known, known.transaction, "aborted");
  }

  private end(
    known: Known,
    transaction: MemoryTransaction,
    outcome: "committed" | "aborted",
  ): void {
    known.transaction = null;
    known.last = outcome;
    transaction.state = outcome;
    const markers = [...transaction.partitions].map((partition) => () => {
      partition.mark(transaction);
    });
    const { offsets } = transaction;
    if (offsets && outcome === "committed") {
      markers.push(() => {
        for (const [key, offset] of offsets) this.groupOffsets.set(key, offset);
      });
    }
    if (this.times === null) {
      for (const write of markers) write();
      return;
    }
    known.unmarked = markers.length;
    for (const write of markers) void this.writeLater(known, write, this.times.markerMs());
  }

  private async writeLater(known: Known, write: () => void, afterMs: number): Promise<void> {
    await this.clock.sleep(afterMs);
    write();
    known.unmarked--;
  }

  /** The broker looks only now and then for transactions that have timed out. */
  private async abortInTime(
    known: Known,
    transaction: MemoryTransaction,
    timeoutMs: number,
  ): Promise<void> {
    await this.clock.sleep(timeoutMs * (1 + this.clock.random()));
    if (known.transaction === transaction) this.fence(known);
  }
}
