import type { Clock } from "../../engine/clock.ts";
import { randomFrom } from "../../engine/testing/jumping-clock.ts";

/** Something that will happen at a time of the simulation; `null` where it was called off. */
export interface Event {
  readonly time: number;
  readonly order: number;
  readonly label: string;
  run: (() => void) | null;
}

/** When simulated time begins, in milliseconds since the epoch. */
const beginning = Date.UTC(2026, 0, 1);

/**
 * Time and chance of a simulation. One thing happens at a time; what follows from it (promises) is done before
 * the next one, and time passes only between them. So the same seed gives the same run.
 */
export class Kernel {
  /** Milliseconds since the simulation began. */
  time = 0;
  /** How many things have happened. */
  events = 0;
  /** A hash of everything that happened, in its order and at its time. */
  trace = 0;
  private readonly seed: number;
  private readonly heap: Event[] = [];
  private readonly labels = new Map<string, number>();
  private scheduled = 0;
  /** By how much the clocks on the walls have leapt ahead, in milliseconds. */
  private leaptMs = 0;

  constructor(seed: number) {
    this.seed = seed;
  }

  /** What clocks say, in whole milliseconds since the epoch. */
  now(): number {
    return beginning + this.leaptMs + Math.floor(this.time);
  }

  /** Weeks in which nothing happens at all. */
  leap(durationMs: number): void {
    this.leaptMs += durationMs;
    this.fold(durationMs);
  }

  /** Numbers in [0, 1): a stream of its own for each label, so that a draw here does not shift those there. */
  fork(label: string): () => number {
    return randomFrom(this.seed ^ hashOf(label));
  }

  at(delayMs: number, label: string, run: () => void): Event {
    const event = { time: this.time + delayMs, order: this.scheduled++, label, run };
    push(this.heap, event);
    return event;
  }

  /** A clock that runs this simulation; `wake` is how a sleeper's process comes to run. */
  clock(label: string, wake: (sleeper: () => void) => void, aheadMs = 0): Clock {
    return {
      now: () => this.now() + aheadMs,
      random: this.fork(`clock ${label}`),
      sleep: (durationMs, ...signals) =>
        new Promise((resolve) => {
          if (signals.some(({ aborted }) => aborted)) {
            resolve();
            return;
          }
          const done = () => {
            alarm.run = null;
            for (const signal of signals) signal.removeEventListener("abort", done);
            wake(resolve);
          };
          const alarm = this.at(durationMs, `sleep ${label}`, done);
          for (const signal of signals) signal.addEventListener("abort", done);
        }),
    };
  }

  /**
   * Lets things happen until `isOver`.
   * @returns why it ended: it is over, nothing is left to happen, or `mostEvents` have happened
   */
  run(isOver: () => boolean, mostEvents: number): Promise<"over" | "deadlock" | "endless"> {
    return new Promise((resolve, reject) => {
      const turn = () => {
        try {
          if (isOver()) resolve("over");
          else if (this.events >= mostEvents) resolve("endless");
          else if (this.step()) setImmediate(turn);
          else resolve("deadlock");
        } catch (error) {
          reject(error instanceof Error ? error : new Error(String(error)));
        }
      };
      setImmediate(turn); // Promises are done when the event loop has turned once.
    });
  }

  private step(): boolean {
    for (;;) {
      const event = pop(this.heap);
      if (event === undefined) return false;
      if (event.run === null) continue;
      this.time = event.time;
      this.events++;
      this.fold(Math.round(event.time * 1000));
      this.fold(this.numberOf(event.label));
      event.run();
      return true;
    }
  }

  private fold(value: number): void {
    this.trace = (Math.imul(this.trace, 31) + value) | 0;
  }

  private numberOf(label: string): number {
    let number = this.labels.get(label);
    if (number === undefined) this.labels.set(label, (number = hashOf(label)));
    return number;
  }
}

/** FNV-1a, 32 bits. */
export function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}

function isBefore(a: Event, b: Event): boolean {
  return a.time < b.time || (a.time === b.time && a.order < b.order);
}

function push(heap: Event[], event: Event): void {
  let at = heap.length;
  while (at > 0) {
    const above = (at - 1) >> 1;
    const parent = heap[above] as Event;
    if (!isBefore(event, parent)) break;
    heap[at] = parent;
    at = above;
  }
  heap[at] = event;
}

function pop(heap: Event[]): Event | undefined {
  const [first] = heap;
  const last = heap.pop();
  if (last === undefined || heap.length === 0) return first;
  let at = 0;
  for (;;) {
    let below = 2 * at + 1;
    if (below >= heap.length) break;
    const right = heap[below + 1];
    if (right !== undefined && isBefore(right, heap[below] as Event)) below++;
    const child = heap[below] as Event;
    if (!isBefore(child, last)) break;
    heap[at] = child;
    at = below;
  }
  heap[at] = last;
  return first;
}
