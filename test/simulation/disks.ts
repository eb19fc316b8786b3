import { sortable } from "../../engine/commands/answers.ts";
import type { OpenStore, Store } from "../../engine/commands/store.ts";
import { MemoryStoreFiles } from "../../engine/testing/memory-store.ts";
import type { Failpoint } from "../chaos/plan.ts";
import type { Life } from "./life.ts";

interface DiskOptions {
  /** Kills a process where it has been told to die. */
  readonly springs: (life: Life, point: Failpoint) => boolean;
  /** Told of a store that holds what it says not to have read. */
  readonly torn: (what: string) => void;
}

/** Prefixes of entries that are in the order of an offset, and the topic whose offset that is. */
const ordered = { o: "replies", q: "events" } as const;

/** Entries at or beyond the position that the store says it has come to. */
function tornIn(store: Store): readonly string[] {
  const said = JSON.parse(String(store.checkpoint())) as Record<"replies" | "events", string>;
  return (["o", "q"] as const).flatMap((prefix) => {
    const topic = ordered[prefix];
    const beyond = [...store.range(prefix, prefix + sortable(BigInt(said[topic])))];
    return beyond.map(([key]) => `holds ${key}, and has come to ${said[topic]} of ${topic}`);
  });
}

/** The local stores: a disk for each worker, which outlives its processes, and old copies of it. */
export class Disks {
  private readonly disks = new Map<string, MemoryStoreFiles>();
  private readonly copies = new Map<string, MemoryStoreFiles[]>();
  /** The name by which a process with this disk joins groups; a copy has the same. */
  private readonly names = new Map<MemoryStoreFiles, string>();
  private readonly options: DiskOptions;

  constructor(options: DiskOptions) {
    this.options = options;
  }

  /** The stores as one process opens them. */
  storesOf(life: Life): OpenStore {
    const { springs, torn } = this.options;
    return async (name) => {
      const store = await this.of(life.name).open(name);
      return {
        ...store,
        replace: (...write) => {
          life.mustLive();
          if (springs(life, "before:store")) life.crash();
          const isDone = store.replace(...write);
          for (const what of isDone ? tornIn(store) : [])
            torn(`STORE: ${life.name}'s ${name} ${what}`);
          if (springs(life, "after:store")) life.crash();
          return isDone;
        },
        empty: (...write) => {
          life.mustLive();
          return store.empty(...write);
        },
      };
    };
  }

  /** The name that the process finds on its disk. */
  instanceOf(worker: string): string {
    const disk = this.of(worker);
    let name = this.names.get(disk);
    if (name === undefined) this.names.set(disk, (name = `instance-${this.names.size + 1}`));
    return name;
  }

  delete(worker: string): void {
    this.disks.delete(worker);
  }

  /** Keeps a copy as of now, as a backup does. */
  copy(worker: string): void {
    const copies = this.copies.get(worker) ?? [];
    const copy = this.of(worker).copy();
    this.names.set(copy, this.instanceOf(worker));
    copies.push(copy);
    this.copies.set(worker, copies);
  }

  /** Puts one of the copies back; `which` is from 0 to 1, from the oldest to the newest. */
  restore(worker: string, which: number): boolean {
    const copies = this.copies.get(worker) ?? [];
    const copy = copies[Math.floor(which * copies.length)];
    if (copy) this.disks.set(worker, copy);
    return copy !== undefined;
  }

  swap(one: string, other: string): void {
    const [a, b] = [this.of(one), this.of(other)];
    this.disks.set(one, b);
    this.disks.set(other, a);
  }

  /** From now on two workers have the same disk, as over a network. */
  share(one: string, other: string): void {
    this.disks.set(one, this.of(other));
  }

  private of(worker: string): MemoryStoreFiles {
    let disk = this.disks.get(worker);
    if (!disk) this.disks.set(worker, (disk = new MemoryStoreFiles()));
    return disk;
  }
}
