import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { PoisonError, TransientError, WriterLostError } from "../errors.ts";
import type { TableRows } from "../projection.ts";
import { type DoingLog, doingLog } from "../testing/doing-log.ts";
import { doing, doingTopics } from "../testing/doing.ts";
import { jumpingClock } from "../testing/jumping-clock.ts";
import { type CommitFault, type MemoryViews, memoryViews } from "../testing/memory-views.ts";
import { type RunningProjection, startProjection } from "../testing/running-projection.ts";
import { projectionLimits, type ProjectionRun } from "./projector.ts";
import { UnapplicableError } from "./rows.ts";
import { type ViewCommit } from "./views.ts";

type Rows = Readonly<Record<"things", TableRows>>;

const projection = doing({ things: "id text primary key" });
const partition0 = { topic: doingTopics.events.name, partition: 0 };
const clock = jumpingClock();
let source: DoingLog<"things">;
let views: MemoryViews;
let started: RunningProjection[] = [];

beforeEach(async () => {
  source = await doingLog<"things">(clock);
  views = memoryViews(projection);
});

afterEach(async () => {
  await Promise.allSettled(started.map(async (run) => run.stop()));
  started = [];
});

async function start(changes: Partial<ProjectionRun> = {}): Promise<RunningProjection> {
  const reader = await source.log.openReader();
  const { codec } = source;
  const of = { projection, topicPartition: partition0, reader, codec, views, clock };
  const run = startProjection(of, changes);
  started.push(run);
  return run;
}

async function view(run: RunningProjection): Promise<unknown> {
  await run.caughtUp();
  return views.rows("things");
}

function insert(id: string) {
  return {
    apply: (rows: Rows) => {
      rows.things.insert(id, { n: 0 });
    },
  };
}

function count(id: string) {
  return {
    apply: (rows: Rows) => {
      rows.things.add(id, { n: 1 });
    },
  };
}

async function checkpoint() {
  return views.checkpoint(partition0, new AbortController().signal);
}

const fails = {
  apply: () => {
    throw new Error("no such thing");
  },
};

describe("after trouble the stored checkpoint says where to go on", () => {
  const faulty = (...faults: CommitFault[]) =>
    memoryViews(projection, { fault: () => faults.shift() ?? "none" });

  test.each(["lost-before-commit", "lost-after-commit"] as const)(
    "when nobody knows what became of a commit (%s), its events are in the view once",
    async (fault) => {
      views = faulty(fault);
      await source.append(0, insert("x"), count("x"));
      const run = await start();
      expect(await view(run)).toEqual([{ key: ["x"], n: 1 }]);
      expect(run.troubles.map(({ error }) => error)).toEqual([expect.any(WriterLostError)]);
    },
  );

  test("attempts count up until a commit, then anew", async () => {
    views = faulty("refused", "refused", "refused", "none", "refused");
    await source.append(0, insert("x"), insert("y"));
    const run = await start({ limits: { ...projectionLimits, maxRecords: 1 } });
    expect(await view(run)).toHaveLength(2);
    expect(run.troubles.map(({ attempt }) => attempt)).toEqual([0, 1, 2, 0]);
    expect(run.troubles[0]?.error).toBeInstanceOf(TransientError);
  });

  test("the lag is reported while the view cannot move", async () => {
    let away = false;
    const checkpoint: MemoryViews["checkpoint"] = async (of, signal) => {
      if (away) throw new TransientError("away");
      return views.checkpoint(of, signal);
    };
    const commit: MemoryViews["commit"] = async (what, signal) => {
      if (away) throw new TransientError("away");
      await views.commit(what, signal);
    };
    const run = await start({ views: { ...views, checkpoint, commit } });
    await view(run);
    away = true;
    await source.append(0, insert("x"), insert("y"));
    await run.until(() => run.troubles.length > 3);
    expect(run.progress.at(-1)).toMatchObject({ position: 0n, lagEvents: 3 });
    away = false;
    expect(await view(run)).toHaveLength(2);
  });

  test("a partition that is taken away while view and log are both away is let go", async () => {
    const away = { view: false, log: false };
    const commit: MemoryViews["commit"] = async (what, signal) => {
      if (away.view) throw new TransientError("away");
      await views.commit(what, signal);
    };
    const asked = Promise.withResolvers<null>();
    const reader = await source.log.openReader();
    const offsets: typeof reader.offsets = async (of, signal) => {
      if (!away.log) return reader.offsets(of, signal);
      asked.resolve(null);
      return new Promise((_, reject) => {
        signal.addEventListener("abort", () => {
          reject(signal.reason as Error);
        });
      });
    };
    const run = await start({ views: { ...views, commit }, reader: { ...reader, offsets } });
    await view(run);
    away.view = away.log = true;
    await source.append(0, insert("x"));
    await asked.promise;
    expect(await run.stop()).toBe("aborted");
  });

  test("a checkpoint that another worker has moved is taken over, where the group has the partition here", async () => {
    await source.append(0, insert("x"));
    const run = await start();
    await view(run);
    const offset = (await source.append(0, insert("y"), count("x"))).at(-1) ?? 0n;
    const other = await start();
    await view(other);
    await view(run);
    await run.until(() => run.progress.at(-1)?.position === offset + 2n);
    expect(views.rows("things")).toEqual([
      { key: ["x"], n: 1 },
      { key: ["y"], n: 0 },
    ]);
  });

  test("a worker that has lost the partition drops it and writes nothing", async () => {
    await source.append(0, insert("x"));
    const stale = { ...views, checkpoint: async () => null }; // What it read before the new owner came.
    const owner = await start();
    await view(owner);
    const zombie = await start({ views: stale, confirm: async () => false });
    expect(await zombie.ended).toBe("dropped");
    expect(views.rows("things")).toEqual([{ key: ["x"], n: 0 }]);
    expect(views.commits).toBe(1);
  });

  test("an asynchronous failover that has lost the last commits is caught up", async () => {
    await source.append(0, insert("x"));
    const run = await start();
    await view(run);
    for (let i = 0; i < 3; i++) {
      const offset = (await source.append(0, count("x"))).at(-1) ?? 0n;
      await run.until(() => run.progress.at(-1)?.position === offset + 2n);
    }
    views.loseTail(2);
    expect(views.rows("things")).toEqual([{ key: ["x"], n: 1 }]);
    await source.append(0, count("x"));
    await run.until(() => run.troubles.length === 1);
    expect(await view(run)).toEqual([{ key: ["x"], n: 4 }]);
  });

  test("an asynchronous failover is caught up although no event comes after it", async () => {
    await source.append(0, insert("x"), count("x"));
    const run = await start();
    await view(run);
    views.loseTail(1);
    expect(views.rows("things")).toEqual([]);
    await run.until(() => views.rows("things").length > 0);
    expect(views.rows("things")).toEqual([{ key: ["x"], n: 1 }]);
  });
});

describe("an event that the view cannot take stops its partition", () => {
  const broken = ["value", "key", "headers", "tombstone"] as const;
  test.each(broken)(
    "bytes that cannot be read (%s): all before it is in, nothing after",
    async (part) => {
      await source.append(0, insert("x"), count("x"), { broken: part }, count("x"));
      const run = await start();
      await run.until(() => run.stops.length > 0);
      expect(run.stops[0]?.cause).toBeInstanceOf(PoisonError);
      expect(views.rows("things")).toEqual([{ key: ["x"], n: 1 }]);
      expect((await checkpoint())?.nextOffset).toBe(2n);
      expect(run.stops).toMatchObject([
        {
          offset: 2n,
          coordinates: "test.thing.events/0/2",
          type: null,
        },
      ]);
    },
  );

  test("an apply that throws is named with its event", async () => {
    await source.append(0, insert("x"), fails, count("x"));
    const run = await start();
    await run.until(() => run.stops.length > 0);
    expect(run.stops[0]).toMatchObject({ offset: 1n, key: "a-1/2", type: "Done" });
    expect(run.stops[0]?.cause.message).toBe(
      'apply threw: no such thing (event "a-1/2", Done, projection "doing")',
    );
  });

  test("rows that the view refuses are narrowed down to their event by halving", async () => {
    const many = Array.from({ length: 100 }, (_, i) => insert(`x${i}`));
    await source.append(0, ...many, count("not there"), ...many.map(() => count("x1")));
    const tried: number[] = [];
    views = memoryViews(projection, {
      fault: ({ changes }) => {
        tried.push(changes.length);
        return "none";
      },
    });
    const run = await start();
    await run.until(() => run.stops.length > 0);
    expect(views.rows("things")).toHaveLength(100);
    expect((await checkpoint())?.nextOffset).toBe(100n);
    expect(tried.length).toBeLessThanOrEqual(2 * Math.ceil(Math.log2(201)) + 1);
    expect(run.stops[0]).toMatchObject({ offset: 100n, key: "a-1/101", type: "Done" });
    expect(run.stops[0]?.cause).toMatchObject({ table: "things", key: ["not there"] });
  });

  test("a batch that is refused as a whole, but not its events, gets through", async () => {
    await source.append(0, ...Array.from({ length: 5 }, (_, i) => insert(`x${i}`)));
    const refusing = {
      ...views,
      commit: async (commit: ViewCommit, signal: AbortSignal) => {
        if ((commit.changes[0]?.rows.length ?? 0) > 1) throw new UnapplicableError("too many", {});
        await views.commit(commit, signal);
      },
    };
    const run = await start({ views: refusing });
    expect(await view(run)).toHaveLength(5);
    expect(run.stops).toEqual([]);
    expect(run.progress.reduce((sum, { events }) => sum + events, 0)).toBe(5);
  });

  test("the other partitions flow on, and the lag of the one that stands still is reported", async () => {
    await source.append(0, fails);
    await source.append(1, { aggregateId: "b-1", ...insert("y") });
    const standing = await start();
    const flowing = await start({ topicPartition: { ...partition0, partition: 1 } });
    await standing.until(() => standing.stops.length > 0);
    await source.append(0, insert("x"));
    await standing.until(() => standing.progress.at(-1)?.lagEvents === 4);
    expect(await view(flowing)).toEqual([{ key: ["y"], n: 0 }]);
    expect(standing.stops).toHaveLength(1);
    expect(await standing.stop()).toBe("aborted");
  });

  test("a new start, with the fault mended, goes on at the event", async () => {
    let mended = false;
    const apply = (rows: Rows) => {
      if (!mended) throw new Error("not yet");
      rows.things.add("x", { n: 10 });
    };
    await source.append(0, insert("x"), { apply }, count("x"));
    const first = await start();
    await first.until(() => first.stops.length > 0);
    await first.stop();
    mended = true;
    const second = await start();
    expect(await view(second)).toEqual([{ key: ["x"], n: 11 }]);
    expect(second.stops).toEqual([]);
  });
});
