import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { FatalError } from "../errors.ts";
import type { TableRows } from "../projection.ts";
import { type DoingLog, doingLog } from "../testing/doing-log.ts";
import { doing, doingTopics } from "../testing/doing.ts";
import { jumpingClock } from "../testing/jumping-clock.ts";
import { type MemoryViews, memoryViews } from "../testing/memory-views.ts";
import { type RunningProjection, startProjection } from "../testing/running-projection.ts";
import { projectionLimits, type ProjectionRun } from "./projector.ts";

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

describe("a view follows its events", () => {
  test("each event is in the view once, and the checkpoint names the last one", async () => {
    await source.append(0, insert("x"), count("x"));
    await source.append(0, count("x"));
    const run = await start();
    expect(await view(run)).toEqual([{ key: ["x"], n: 2 }]);
    // Two transactions: three records and two markers.
    expect(await checkpoint()).toEqual({ nextOffset: 5n, commandOffset: 30n, version: 3 });
  });

  test("events that come later are taken up, and reported with their number", async () => {
    const run = await start();
    expect(await view(run)).toEqual([]);
    await source.append(0, insert("x"), count("x"), insert("y"));
    await run.until(() => run.progress.at(-1)?.position === 4n);
    expect(views.rows("things")).toHaveLength(2);
    const events = run.progress.reduce((sum, progress) => sum + progress.events, 0);
    const rows = run.progress.reduce((sum, progress) => sum + progress.rows, 0);
    expect({ events, rows }).toEqual({ events: 3, rows: 2 });
  });

  test("a restart goes on from the checkpoint and applies nothing again", async () => {
    await source.append(0, insert("x"), count("x"));
    const first = await start();
    await view(first);
    expect(await first.stop()).toBe("aborted");
    await source.append(0, count("x"));

    const second = await start();
    expect(await view(second)).toEqual([{ key: ["x"], n: 2 }]);
    expect(second.progress[0]?.position).toBe(3n);
  });

  test("the position moves over transactions that were aborted", async () => {
    await source.append(0, insert("x"));
    const run = await start();
    await view(run);
    await source.appendAborted(0, 3);
    await run.until(() => run.progress.at(-1)?.position === 6n);
    expect(await view(run)).toEqual([{ key: ["x"], n: 0 }]);
    expect(await checkpoint()).toEqual({ nextOffset: 6n, commandOffset: 10n, version: 1 });
  });

  test("a partition of which only control records are left gets a checkpoint too", async () => {
    await source.appendAborted(0, 1);
    await view(await start());
    expect(await checkpoint()).toEqual({ nextOffset: 2n, commandOffset: null, version: null });
  });

  test("without a checkpoint the view begins at the start of the log", async () => {
    await source.append(0, insert("gone"), insert("there"));
    source.log.deleteBefore(partition0, 1n);
    expect(await view(await start())).toEqual([{ key: ["there"], n: 0 }]);
  });

  test("a transaction of the view takes no more than its limit", async () => {
    await source.append(0, ...Array.from({ length: 10 }, (_, i) => insert(`x${i}`)));
    const sizes: number[] = [];
    views = memoryViews(projection, {
      fault: ({ changes }) => {
        sizes.push(changes.reduce((sum, { rows }) => sum + rows.length, 0));
        return "none";
      },
    });
    const run = await start({ limits: { ...projectionLimits, maxRecords: 4 } });
    expect(await view(run)).toHaveLength(10);
    expect(sizes).toEqual([4, 4, 2]);
    expect(run.progress.map(({ position }) => position)).toEqual([0n, 4n, 8n, 11n]);
  });

  test("the next read is under way while a batch is being committed", async () => {
    await source.append(0, insert("x"));
    const reads: bigint[] = [];
    const reader = await source.log.openReader();
    let readsAtCommit: readonly bigint[] = [];
    views = memoryViews(projection, {
      fault: () => {
        readsAtCommit = [...reads];
        return "none";
      },
    });
    const run = await start({
      reader: {
        ...reader,
        read: async (from, limits, signal) => {
          reads.push(from.offset);
          return reader.read(from, limits, signal);
        },
      },
    });
    await view(run);
    expect(readsAtCommit).toEqual([0n, 2n]);
  });

  test("the lag in seconds is the age of the last event in the view while there are more", async () => {
    await source.append(0, insert("x"), insert("y"));
    const run = await start({ limits: { ...projectionLimits, maxRecords: 1 } });
    await view(run);
    const [atStart, halfway, atEnd] = run.progress;
    expect(atStart).toMatchObject({ lagEvents: 3, lagSeconds: null, end: 3n });
    expect(halfway).toMatchObject({ lagEvents: 2, position: 1n });
    expect(halfway?.lagSeconds).toBeGreaterThanOrEqual(0);
    expect(atEnd).toMatchObject({ lagEvents: 0, lagSeconds: 0 });
  });
});

describe("a log that is not the one that was read", () => {
  test("that ends before the checkpoint is fatal", async () => {
    const nextOffset = 7n;
    const next = { nextOffset, commandOffset: null, version: null };
    const { signal } = new AbortController();
    await views.commit({ topicPartition: partition0, expected: null, next, changes: [] }, signal);
    const run = await start();
    await expect(run.ended).rejects.toMatchObject({ code: "LOG_TRUNCATED" });
    await expect(run.ended).rejects.toThrow(/up to 7, but the log ends at 0/);
  });

  test("that begins after the checkpoint is fatal", async () => {
    await source.append(0, insert("x"));
    const first = await start();
    await view(first);
    await first.stop();
    await source.append(0, insert("y"), insert("z"));
    source.log.deleteBefore(partition0, 3n);
    const second = await start();
    await expect(second.ended).rejects.toMatchObject({ code: "OFFSET_OUT_OF_RANGE" });
  });
});

describe("an abort ends a run", () => {
  test("at the end of the log at once", async () => {
    const run = await start();
    await view(run);
    expect(await run.stop()).toBe("aborted");
  });

  test("and drops the batch in hand, whole", async () => {
    await source.append(0, insert("x"));
    views = memoryViews(projection, {
      pause: async () => {
        void started[0]?.stop();
      },
    });
    const run = await start();
    expect(await run.ended).toBe("aborted");
    expect(views.rows("things")).toEqual([]);
    expect(await checkpoint()).toBeNull();
    expect(run.troubles).toEqual([]);
  });

  test("but not what is fatal", async () => {
    await source.append(0, insert("x"));
    const refusing = {
      ...views,
      commit: async () => {
        throw new FatalError("PROJECTION_DRIFT", "no such table");
      },
    };
    const run = await start({ views: refusing });
    await expect(run.ended).rejects.toMatchObject({ code: "PROJECTION_DRIFT" });
  });
});
