/**
 * The local store: a cache of what a worker has folded, with a checkpoint, so that a kill costs it the tail
 * of the log and never all of it. It is never the truth: a store that is lost, copied, shared or old is
 * found out, and then folded anew.
 */

/** The port: an ordered map of bytes with one compare-and-set. `sqlite-store.ts` implements it on disk. */
export interface Store {
  /** What `replace` has last written, or `null` where the store is empty. */
  checkpoint(): Buffer | null;
  get(key: string): Buffer | null;
  /** The entries from `from` on, while their keys begin with `prefix`, in order. */
  range(prefix: string, from: string): Iterable<readonly [key: string, value: Buffer]>;
  /**
   * In one store transaction: compares the stored checkpoint with `expected`, byte by byte, and where they
   * are equal writes `changes` (`null` deletes) and the checkpoint `next`.
   * @returns whether they were equal; if not, another writer has the store, and nothing is written
   */
  replace(
    expected: Buffer | null,
    next: Buffer,
    changes: ReadonlyMap<string, Buffer | null>,
  ): boolean;
  /**
   * In one store transaction, where the stored checkpoint is `expected`: deletes every entry, and writes the
   * checkpoint `next`.
   * @returns whether it was; if not, another writer has the store, and nothing is deleted
   */
  empty(expected: Buffer | null, next: Buffer): boolean;
  close(): Promise<void>;
}

/** Opens the store of one worker and partition. */
export type OpenStore = (name: string) => Promise<Store>;

/**
 * A part of the store under one prefix, with the changes that are not written yet in front of it.
 */
export class Section {
  private readonly store: Store;
  private readonly prefix: string;
  private readonly puts = new Map<string, Buffer>();
  private readonly deletes = new Set<string>();
  /** No key before this one is left, in the store. */
  private low: string;
  /** Nothing under this prefix has been stored yet: a restore from the log need not ask for each of its entries. */
  private empty: boolean;

  constructor(store: Store, prefix: string) {
    this.store = store;
    this.prefix = prefix;
    this.low = prefix;
    this.empty = isEmpty(store.range(prefix, prefix));
  }

  get size(): number {
    return this.puts.size + this.deletes.size;
  }

  get(name: string): Buffer | null {
    const key = this.prefix + name;
    return this.puts.get(key) ?? (this.deletes.has(key) ? null : this.stored(key));
  }

  set(name: string, value: Buffer): void {
    const key = this.prefix + name;
    if (key < this.low) this.low = key;
    this.deletes.delete(key);
    this.puts.set(key, value);
  }

  delete(name: string): void {
    const key = this.prefix + name;
    this.puts.delete(key);
    this.deletes.add(key);
  }

  /** The entries in order of their names; new ones must have been set in that order. */
  *inOrder(): Generator<readonly [name: string, value: Buffer]> {
    let leading = true;
    for (const [key, value] of this.store.range(this.prefix, this.low)) {
      if (this.deletes.has(key)) continue;
      if (leading) this.low = key;
      leading = false;
      yield [key.slice(this.prefix.length), this.puts.get(key) ?? value];
    }
    for (const [key, value] of this.puts) {
      if (this.stored(key) === null) yield [key.slice(this.prefix.length), value];
    }
  }

  first(): readonly [name: string, value: Buffer] | null {
    for (const entry of this.inOrder()) return entry;
    return null;
  }

  /** Moves the unwritten changes into `changes`. */
  drainInto(changes: Map<string, Buffer | null>): void {
    if (this.puts.size > 0) this.empty = false;
    for (const key of this.deletes) changes.set(key, null);
    for (const [key, value] of this.puts) changes.set(key, value);
    this.puts.clear();
    this.deletes.clear();
  }

  private stored(key: string): Buffer | null {
    return this.empty ? null : this.store.get(key);
  }
}

function isEmpty(entries: Iterable<unknown>): boolean {
  for (const _ of entries) return false;
  return true;
}
