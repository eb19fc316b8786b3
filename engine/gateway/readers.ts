import type { Log, Reader } from "../log.ts";
import { ReadStopped } from "./placed-events.ts";
import { Problem } from "./problem.ts";

/** A few readers of the log, lent to requests one at a time: each holds connections of its own. */
export interface Readers {
  /**
   * Lends a reader; it is thrown away where `work` throws, since nobody knows what it was at.
   * @throws Problem `NOT_READY` where too many wait for one
   * @throws ReadStopped where `signal` aborts before there is one
   */
  lend<T>(work: (reader: Reader) => Promise<T>, signal: AbortSignal): Promise<T>;
  close(): Promise<void>;
}

export interface ReaderLimits {
  readonly readers: number;
  /** Those who may wait for a reader, besides those who have one. */
  readonly waiting: number;
}

export function openReaders(log: Pick<Log, "openReader">, limits: ReaderLimits): Readers {
  const idle: Reader[] = [];
  const turns = new Turns(limits);
  let closed = false;

  return {
    async lend(work, signal) {
      await turns.take(signal);
      try {
        const reader = idle.pop() ?? (await log.openReader());
        let sound = false;
        try {
          const result = await work(reader);
          sound = true;
          return result;
        } finally {
          if (sound && !closed) idle.push(reader);
          else await reader.close();
        }
      } finally {
        turns.giveBack();
      }
    },

    async close() {
      closed = true;
      await Promise.all(idle.splice(0).map(async (reader) => reader.close()));
    },
  };
}

class Turns {
  readonly #limits: ReaderLimits;
  /** In the order in which they came. */
  readonly #waiting = new Set<() => void>();
  #taken = 0;

  constructor(limits: ReaderLimits) {
    this.#limits = limits;
  }

  async take(signal: AbortSignal): Promise<void> {
    if (this.#taken < this.#limits.readers) {
      this.#taken += 1;
      return;
    }
    if (this.#waiting.size >= this.#limits.waiting) {
      const detail =
        "Too many aggregates are being read from the log at this moment. Ask again soon.";
      throw new Problem("NOT_READY", { detail, retryAfter: 1 });
    }
    await new Promise<void>((resolve, reject) => {
      const end = () => {
        this.#waiting.delete(go);
        reject(new ReadStopped("no reader was free in time"));
      };
      const go = () => {
        signal.removeEventListener("abort", end);
        resolve();
      };
      this.#waiting.add(go);
      signal.addEventListener("abort", end);
      if (signal.aborted) end();
    });
  }

  /** Hands the turn on to who has waited longest. */
  giveBack(): void {
    const [next] = this.#waiting;
    if (next === undefined) {
      this.#taken -= 1;
      return;
    }
    this.#waiting.delete(next);
    next();
  }
}
