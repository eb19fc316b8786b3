import { TransientError, WriterLostError } from "../../engine/errors.ts";
import type { TopicPartition } from "../../engine/log.ts";
import type { AnyProjection } from "../../engine/projection.ts";
import type { Checkpoint, Views } from "../../engine/projections/views.ts";
import { type MemoryViews, memoryViews } from "../../engine/testing/memory-views.ts";
import type { Kernel } from "./kernel.ts";
import type { Life } from "./life.ts";
import type { Request, Wire } from "./wire.ts";

/** The one Postgres of a simulated bank, as projectors reach it over the wire. */
export class Database {
  /** What must never be: a checkpoint that went back by itself. */
  readonly violations: string[] = [];
  private readonly kernel: Kernel;
  private readonly wire: Wire;
  private readonly views = new Map<string, MemoryViews>();
  private readonly checkpoints = new Map<string, Checkpoint>();

  constructor(kernel: Kernel, wire: Wire, projections: readonly AnyProjection[]) {
    this.kernel = kernel;
    this.wire = wire;
    for (const projection of projections) this.views.set(projection.name, memoryViews(projection));
  }

  /** A projection's views as one process reaches them. */
  viewsOf(life: Life, projection: string): Views {
    const views = this.of(projection);
    const random = this.kernel.fork(`database ${life.name} ${this.kernel.events}`);
    const ask = <T>(api: Request["api"], handle: () => Promise<T>) =>
      this.wire.ask(life, random, { request: { api, broker: -1 }, handle });
    const never = new AbortController().signal;
    return {
      async checkpoint(of, signal) {
        try {
          return await ask("checkpoint", () => views.checkpoint(of, signal));
        } catch {
          throw new TransientError("the database does not answer");
        }
      },
      commit: async (commit, signal) => {
        signal.throwIfAborted();
        try {
          // Once it is on its way nobody takes it back.
          await ask("commit", async () => {
            await views.commit(commit, never);
            this.moved(projection, commit.topicPartition, commit.next);
          });
        } catch (error) {
          if (error instanceof Error && error.name !== "NoAnswer") throw error;
          throw new WriterLostError("indefinite", "the connection was lost at the commit");
        }
      },
      expire: async () => 0,
      close: async () => undefined,
    };
  }

  /** The next offset of a view, as committed last; 0 where there is none. */
  position(projection: string, of: TopicPartition): bigint {
    return this.checkpoint(projection, of)?.nextOffset ?? 0n;
  }

  checkpoint(projection: string, of: TopicPartition): Checkpoint | null {
    return this.checkpoints.get(keyOf(projection, of)) ?? null;
  }

  rows(projection: string) {
    return this.of(projection).rows(projection);
  }

  /** The standby takes over, and never had the last commits of each view. */
  async failOver(commits: number, partitions: readonly TopicPartition[]): Promise<void> {
    const signal = new AbortController().signal;
    for (const [projection, views] of this.views) {
      views.loseTail(commits);
      for (const at of partitions) {
        const checkpoint = await views.checkpoint(at, signal);
        if (checkpoint) this.checkpoints.set(keyOf(projection, at), checkpoint);
        else this.checkpoints.delete(keyOf(projection, at));
      }
    }
  }

  private moved(projection: string, of: TopicPartition, next: Checkpoint): void {
    const before = this.position(projection, of);
    if (next.nextOffset < before) {
      const where = `${projection} on ${of.topic}/${of.partition}`;
      this.violations.push(
        `I9: the checkpoint of ${where} went back from ${before} to ${next.nextOffset}`,
      );
    }
    this.checkpoints.set(keyOf(projection, of), next);
  }

  private of(projection: string): MemoryViews {
    const views = this.views.get(projection);
    if (!views) throw new Error(`There is no view ${projection}`);
    return views;
  }
}

function keyOf(projection: string, { topic, partition }: TopicPartition): string {
  return `${projection} ${topic}/${partition}`;
}
