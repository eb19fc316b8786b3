import { randomFrom } from "../../../engine/testing/jumping-clock.ts";
import type { Fate, Request } from "../../faults/link.ts";
import type { Counted, Disturbance, LinkName } from "./proxies.ts";

/** Which requests of a worker are hit, and by what. */

/** One request that is waited for: it, or its answer, is to be dropped. */
export interface Watch {
  readonly link: LinkName;
  readonly name: string;
  readonly drops: "drop-request" | "drop-answer";
  /** Called when it is there; it is dropped when this settles. */
  readonly onReached: () => Promise<unknown>;
}

export interface RulesOptions {
  /** Settles so many milliseconds later. */
  readonly sleep: (ms: number) => Promise<unknown>;
}

export class Rules {
  private readonly disturbances = new Map<
    string,
    { readonly fault: Disturbance; readonly random: () => number; hits: number }
  >();
  private readonly watches = new Map<string, Watch>();
  private readonly counted = new Map<string, Counted>();
  private readonly sleep: RulesOptions["sleep"];

  constructor({ sleep }: RulesOptions) {
    this.sleep = sleep;
  }

  disturb(key: string, fault: Disturbance, seed: number): void {
    this.disturbances.set(key, { fault, random: randomFrom(seed), hits: 0 });
  }

  /** Ends it; tells how many requests it has hit. */
  settle(key: string): number {
    const hits = this.disturbances.get(key)?.hits ?? 0;
    this.disturbances.delete(key);
    return hits;
  }

  /** Once: the first request that fits. */
  watch(key: string, watch: Watch): void {
    this.watches.set(key, watch);
  }

  unwatch(key: string): void {
    this.watches.delete(key);
  }

  get counts(): Readonly<Record<string, Counted>> {
    return Object.fromEntries(this.counted);
  }

  fateOf(link: LinkName, { name }: Request): Fate | null {
    if (name === "") return null; // It is part of no request.
    const counted = this.countedOf(name);
    counted.seen++;
    const fate = this.watchedFate(link, name) ?? this.disturbedFate(link, name);
    if (fate !== null) counted.hit++;
    return fate;
  }

  private watchedFate(link: LinkName, name: string): Fate | null {
    for (const [key, watch] of this.watches) {
      if (watch.link !== link || watch.name !== name) continue;
      this.watches.delete(key);
      return { does: watch.drops, until: watch.onReached };
    }
    return null;
  }

  private disturbedFate(link: LinkName, name: string): Fate | null {
    for (const disturbance of this.disturbances.values()) {
      const { fault, random } = disturbance;
      if (fault.link !== link) continue;
      const about = fault.api ?? fault.statement;
      if (about !== undefined && about !== name) continue;
      if (random() >= fault.share) continue;
      disturbance.hits += 1;
      return this.fateBy(fault);
    }
    return null;
  }

  private fateBy({ how, ms }: Disturbance): Fate {
    switch (how) {
      case "stall":
      case "delay":
        return { does: how, until: () => this.sleep(ms) };
      case "lose-request":
      case "lose-answer":
      case "swallow-answer":
      case "cut":
        return { does: how };
    }
  }

  private countedOf(name: string): Counted {
    const known = this.counted.get(name) ?? { seen: 0, hit: 0 };
    this.counted.set(name, known);
    return known;
  }
}
