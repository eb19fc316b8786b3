import type { Batch } from "./record-batch.ts";

/**
 * Decides what is committed, from the log alone: a producer's data is committed or aborted by its next marker
 * in the same partition (KIP-98). The list of aborted transactions that a broker sends along is not asked.
 */

type Outcome = "commit" | "abort";

interface TransactionInPartition {
  readonly producerId: bigint;
  readonly firstOffset: bigint;
  outcome: Outcome | null;
  /** Whether a marker in the log says so. */
  isMarked: boolean;
}

interface Held {
  readonly batch: Batch;
  /** `null` where the batch is in none. */
  readonly transaction: TransactionInPartition | null;
}

/** A transaction without a marker so far. */
export interface OpenTransaction {
  readonly producerId: bigint;
  readonly firstOffset: bigint;
}

/**
 * Takes the batches of one partition in the order of the log and gives back those that are committed, in the
 * same order. A batch behind an undecided one waits for it, so memory grows with the distance to the oldest
 * open transaction; `foresee` ends the wait where that gets too far.
 */
export class Transactions {
  private readonly open = new Map<bigint, TransactionInPartition>();
  private held: Held[] = [];
  private firstHeld = 0;
  private aborted: Batch[] = [];
  heldBytes = 0;

  /** The data batches that are known to be committed now. */
  take(batch: Batch): readonly Batch[] {
    if (batch.marker !== null) this.end(batch);
    // Of what compaction has emptied the marker may be gone too: it belongs to nothing any more.
    else if (batch.recordCount > 0) this.hold(batch);
    return this.release();
  }

  /** Those without a marker that has been taken, the oldest first. */
  get undecided(): readonly OpenTransaction[] {
    return [...this.open.values()].filter(({ outcome }) => outcome === null);
  }

  /** How an open transaction will end, learnt by looking ahead: its batches need not wait any longer. */
  foresee(producerId: bigint, outcome: Outcome): readonly Batch[] {
    const transaction = this.open.get(producerId);
    if (transaction) transaction.outcome = outcome;
    return this.release();
  }

  /** At the end of the log: what is still undecided is not committed, and holds up nothing behind it. */
  finish(): readonly Batch[] {
    for (const transaction of this.open.values()) transaction.outcome ??= "abort";
    return this.release();
  }

  /** The batches that an abort marker has undone, passed over since this was asked last. */
  takeAborted(): readonly Batch[] {
    const { aborted } = this;
    this.aborted = [];
    return aborted;
  }

  private hold(batch: Batch): void {
    let transaction: TransactionInPartition | null = null;
    if (batch.isTransactional) {
      const { producerId, firstOffset } = batch;
      transaction = this.open.get(producerId) ?? {
        ...{ producerId, firstOffset },
        ...{ outcome: null, isMarked: false },
      };
      this.open.set(producerId, transaction);
    }
    this.held.push({ batch, transaction });
    this.heldBytes += batch.size;
  }

  private end({ producerId, marker }: Batch): void {
    if (marker !== "commit" && marker !== "abort") return;
    const transaction = this.open.get(producerId);
    if (transaction === undefined) return; // It wrote nothing here, or nothing that is left.
    transaction.outcome = marker;
    transaction.isMarked = true;
    this.open.delete(producerId);
  }

  private release(): readonly Batch[] {
    const released: Batch[] = [];
    for (; this.firstHeld < this.held.length; this.firstHeld++) {
      const { batch, transaction } = this.held[this.firstHeld] as Held;
      if (transaction?.outcome === null) break;
      this.heldBytes -= batch.size;
      if (transaction?.outcome !== "abort") released.push(batch);
      else if (transaction.isMarked) this.aborted.push(batch);
    }
    if (this.firstHeld > 1_000 || this.firstHeld === this.held.length) {
      this.held = this.held.slice(this.firstHeld);
      this.firstHeld = 0;
    }
    return released;
  }
}
