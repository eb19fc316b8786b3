import { closeSync, openSync, writeSync } from "node:fs";
import type { HistoryEntry, PoisonEntry } from "./history.ts";

/** What is left out here is the same for all of one load, or is known at the moment of writing. */
type Said = WithoutTime<HistoryEntry> | WithoutTime<PoisonEntry>;
type WithoutTime<T> = T extends unknown ? Omit<T, "t" | "aggregate"> : never;

/** Writes what clients see, as JSON lines, while it goes. */
export interface History {
  write(said: Said): void;
  /** The name of a client that does nothing now. */
  borrowProcess(): string;
  /** It can do the next thing; one that ended with an `info` is never given back. */
  returnProcess(name: string): void;
  readonly entries: number;
  close(): void;
}

/** So much is kept back, so that the disk is not asked for each line. */
const bufferedBytes = 256 * 1024;

/**
 * Opens a new history at `file`.
 * @param prefix of the names of clients, so that those of several histories differ
 */
export function openHistory(file: string, aggregate: string, prefix: string): History {
  const descriptor = openSync(file, "w");
  const idle: string[] = [];
  let named = 0;
  let entries = 0;
  let buffer = "";
  const flush = () => {
    writeSync(descriptor, buffer);
    buffer = "";
  };
  return {
    write: (said) => {
      const t = performance.timeOrigin + performance.now();
      buffer += `${JSON.stringify({ t, aggregate, ...said })}\n`;
      entries += 1;
      if (buffer.length > bufferedBytes) flush();
    },
    borrowProcess: () => idle.pop() ?? `${prefix}${named++}`,
    returnProcess: (name) => {
      idle.push(name);
    },
    get entries() {
      return entries;
    },
    close: () => {
      flush();
      closeSync(descriptor);
    },
  };
}
