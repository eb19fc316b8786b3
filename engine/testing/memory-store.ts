import type { OpenStore, Store } from "../commands/store.ts";

/** What a disk would hold: it outlives the worker that writes it, and can be copied. */
export class MemoryStoreFiles {
  private readonly files = new Map<string, StoreFile>();

  readonly open: OpenStore = async (name) => {
    let file = this.files.get(name);
    if (!file) this.files.set(name, (file = { checkpoint: null, entries: new Map() }));
    return storeOver(file);
  };

  /** A copy as of now, like that of a backup or of another host. */
  copy(): MemoryStoreFiles {
    const copied = new MemoryStoreFiles();
    for (const [name, { checkpoint, entries }] of this.files) {
      copied.files.set(name, { checkpoint, entries: new Map(entries) });
    }
    return copied;
  }

  delete(): void {
    this.files.clear();
  }
}

interface StoreFile {
  checkpoint: Buffer | null;
  readonly entries: Map<string, Buffer>;
}

function storeOver(file: StoreFile): Store {
  const isAt = (expected: Buffer | null) =>
    expected === null ? file.checkpoint === null : file.checkpoint?.equals(expected) === true;
  return {
    checkpoint: () => file.checkpoint,
    get: (key) => file.entries.get(key) ?? null,
    range: (prefix, from) =>
      [...file.entries]
        .filter(([key]) => key.startsWith(prefix) && key >= from)
        .sort(([a], [b]) => (a < b ? -1 : 1)),
    replace: (expected, next, changes) => {
      if (!isAt(expected)) return false;
      for (const [key, value] of changes) {
        if (value === null) file.entries.delete(key);
        else file.entries.set(key, value);
      }
      file.checkpoint = next;
      return true;
    },
    empty: (expected, next) => {
      if (!isAt(expected)) return false;
      file.checkpoint = next;
      file.entries.clear();
      return true;
    },
    close: async () => undefined,
  };
}
