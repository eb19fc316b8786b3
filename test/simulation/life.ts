import type { Clock } from "../../engine/clock.ts";
import type { Kernel } from "./kernel.ts";

/** Thrown in a process that dies in the middle of something; nobody is left to hear of it. */
export class Crash extends Error {
  override readonly name = "Crash";
}

/**
 * One run of a process, from its start to its end. Whatever would wake it (an answer, an alarm) goes through
 * `wake`: a process that is dead never goes on, one that is paused goes on when it is resumed, with whatever
 * it believed before.
 */
export class Life {
  readonly name: string;
  readonly clock: Clock;
  /** SIGTERM. */
  readonly stopping = new AbortController();
  /** What it waits for now: requests by their API. */
  readonly waitsFor = new Map<number, string>();
  /** What each of its partitions is doing. */
  readonly phases = new Map<string, string>();
  /** When a heartbeat was last accepted. */
  heardAt = -1;
  isAlive = true;
  private readonly kernel: Kernel;
  private held: (() => void)[] | null = null;
  private asked = 0;

  constructor(kernel: Kernel, name: string, { run, aheadMs }: { run: number; aheadMs: number }) {
    this.kernel = kernel;
    this.name = name;
    const wake = (sleeper: () => void) => {
      this.wake(sleeper);
    };
    this.clock = kernel.clock(`${name} ${run}`, wake, aheadMs);
  }

  get isPaused(): boolean {
    return this.held !== null;
  }

  wake(sleeper: () => void): void {
    if (!this.isAlive) return;
    if (this.held) this.held.push(sleeper);
    else sleeper();
  }

  kill(): void {
    this.isAlive = false;
  }

  pause(): void {
    this.held ??= [];
  }

  resume(): void {
    const held = this.held ?? [];
    this.held = null;
    // One after the other, as whatever woke it would have come.
    for (const sleeper of held) {
      this.kernel.at(0, `resume ${this.name}`, () => {
        this.wake(sleeper);
      });
    }
  }

  /** Ends the process in the middle of what it does. */
  crash(): never {
    this.kill();
    throw new Crash(`${this.name} was killed`);
  }

  /** Whoever is dead does nothing more. */
  mustLive(): void {
    if (!this.isAlive) throw new Crash(`${this.name} is dead`);
  }

  /** @returns what to call when the wait is over */
  waitFor(what: string): () => void {
    const ticket = this.asked++;
    this.waitsFor.set(ticket, what);
    return () => this.waitsFor.delete(ticket);
  }
}
