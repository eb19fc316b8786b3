import { rm } from "node:fs/promises";
import { join } from "node:path";
import { type Database, open, type RootDatabase } from "lmdb";
import type { OpenStore, Store } from "./store.ts";

const checkpointKey = Buffer.from("!checkpoint");
/** Sorts after every byte that a UTF-8 text can have. */
const afterAll = Buffer.from([0xff]);

/**
 * Stores in LMDB, one environment a worker and partition below `folder`. Commits are visible to every
 * process at once and reach the disk a little later, in order: a crash of the machine costs the end of the
 * store, as a kill -9 of the process costs nothing.
 */
export function lmdbStores(folder: string): OpenStore {
  return async (name) => {
    const path = join(folder, name);
    try {
      return new LmdbStore(openAt(path));
    } catch {
      // A cache that cannot be opened (another version's, a torn file) is one to do without.
      await rm(path, { recursive: true, force: true });
      return new LmdbStore(openAt(path));
    }
  };
}

function openAt(path: string): RootDatabase<Buffer, Buffer> {
  return open<Buffer, Buffer>({
    path,
    keyEncoding: "binary",
    encoding: "binary",
    maxReaders: 16,
  });
}

class LmdbStore implements Store {
  private readonly root: RootDatabase<Buffer, Buffer>;
  private readonly entries: Database<Buffer, Buffer>;

  constructor(root: RootDatabase<Buffer, Buffer>) {
    this.root = root;
    this.entries = root;
  }

  checkpoint(): Buffer | null {
    return this.entries.get(checkpointKey) ?? null;
  }

  get(key: string): Buffer | null {
    return this.entries.get(Buffer.from(key, "utf8")) ?? null;
  }

  *range(prefix: string, from: string): Generator<readonly [string, Buffer]> {
    const end = Buffer.concat([Buffer.from(prefix, "utf8"), afterAll]);
    for (const { key, value } of this.entries.getRange({ start: Buffer.from(from, "utf8"), end })) {
      yield [key.toString("utf8"), value];
    }
  }

  replace(
    expected: Buffer | null,
    next: Buffer,
    changes: ReadonlyMap<string, Buffer | null>,
  ): boolean {
    return this.root.transactionSync(() => {
      const stored = this.checkpoint();
      const same = expected === null ? stored === null : stored?.equals(expected) === true;
      if (!same) return false;
      for (const [key, value] of changes) {
        const name = Buffer.from(key, "utf8");
        if (value === null) this.entries.removeSync(name);
        else this.entries.putSync(name, value);
      }
      this.entries.putSync(checkpointKey, next);
      return true;
    });
  }

  clear(): void {
    this.root.clearSync();
  }

  async close(): Promise<void> {
    await this.root.close();
  }
}
