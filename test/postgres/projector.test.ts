import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { systemClock } from "../../engine/clock.ts";
import { openPostgresViews } from "../../engine/postgres/postgres-views.ts";
import type { Views } from "../../engine/projections/views.ts";
import { type DoingLog, doingLog } from "../../engine/testing/doing-log.ts";
import {
  type RunningProjection,
  startProjection,
} from "../../engine/testing/running-projection.ts";
import { type Rows, topicPartition, type WrittenView, writtenView } from "./written-view.ts";

let view: WrittenView;
let source: DoingLog<"things" | "pairs">;
let started: RunningProjection[] = [];
let opened: Views[] = [];

beforeAll(async () => {
  view = await writtenView();
});

beforeEach(async () => {
  await view.empty();
  source = await doingLog<"things" | "pairs">(systemClock);
});

afterEach(async () => {
  await Promise.allSettled(started.map(async (run) => run.stop()));
  await Promise.all(opened.map(async (views) => views.close()));
  started = [];
  opened = [];
});

afterAll(async () => view.close());

/** A worker of its own: with its own connections. */
async function start(): Promise<RunningProjection> {
  const { projection, database } = view;
  const url = database.urlOf(`projector_${projection.name}`);
  const options = { url, projection, clock: systemClock, waiting: () => undefined };
  const views = await openPostgresViews(options, new AbortController().signal);
  opened.push(views);
  const reader = await source.log.openReader();
  const { codec } = source;
  const run = startProjection({
    projection,
    topicPartition,
    reader,
    codec,
    views,
    clock: systemClock,
  });
  started.push(run);
  return run;
}

function insert(id: string, middle = 0) {
  return {
    apply: (rows: Rows) => {
      rows.things.insert(id, { middle });
    },
  };
}

function count(id: string) {
  return {
    apply: (rows: Rows) => {
      rows.things.add(id, { middle: 1 });
    },
  };
}

test("an event that breaks a constraint stops the partition there, and all before it is in", async () => {
  const before = Array.from({ length: 300 }, (_, i) => insert(`x${i}`));
  const breaking = {
    apply: (rows: Rows) => {
      rows.things.patch("x7", { must: "not this" });
    },
  };
  await source.append(0, ...before, breaking, ...before.map((_, i) => count(`x${i}`)));
  const run = await start();
  await run.until(() => run.stops.length > 0);
  expect(run.stops[0]).toMatchObject({
    offset: 300n,
    key: "a-1/301",
    type: "Done",
    cause: { table: "things", key: ["x7"], sqlState: "23514" },
  });
  const { rows } = await view.admin.query("select count(*), sum(middle) from things");
  expect(rows).toEqual([{ count: 300n, sum: 0n }]);
});

test("rows that trade a unique value in one batch get through, though a statement cannot do it", async () => {
  await source.append(
    0,
    {
      apply: (rows: Rows) => {
        rows.things.insert("a", { name: "one" });
      },
    },
    {
      apply: (rows: Rows) => {
        rows.things.patch("a", { name: "two" });
      },
    },
    {
      apply: (rows: Rows) => {
        rows.things.insert("b", { name: "one" });
      },
    },
  );
  const run = await start();
  await run.caughtUp();
  await source.append(
    0,
    {
      apply: (rows: Rows) => {
        rows.things.patch("b", { name: "three" });
      },
    },
    {
      apply: (rows: Rows) => {
        rows.things.insert("c", { name: "one" });
      },
    },
  );
  await run.until(({ progress }) => progress.at(-1)?.position === 7n);
  expect(run.stops).toEqual([]);
  expect(await view.things("id, name")).toEqual([
    { id: "a", name: "two" },
    { id: "b", name: "three" },
    { id: "c", name: "one" },
  ]);
});

test("connections that are killed again and again cost no event and double none", async () => {
  await source.append(0, insert("x"));
  const run = await start();
  await run.caughtUp();
  for (let round = 0; round < 15; round++) {
    const offsets = await source.append(0, ...Array.from({ length: 20 }, () => count("x")));
    await view.admin.query(
      `select pg_terminate_backend(pid) from pg_stat_activity
       where application_name = 'foldlog projector ${view.projection.name}'`,
    );
    const last = offsets.at(-1) ?? 0n;
    await run.until(({ progress }) => (progress.at(-1)?.position ?? 0n) > last);
  }
  expect(await view.things("middle")).toEqual([{ middle: 300 }]);
});

test("several workers on one partition, each sure that it is theirs, do no harm", async () => {
  await source.append(0, insert("x"));
  const runs = [await start(), await start(), await start()];
  for (let i = 0; i < 40; i++) await source.append(0, count("x"), count("x"));
  for (const run of runs) {
    await run.until(({ progress }) => progress.at(-1)?.position === 2n + 40n * 3n);
  }
  expect(await view.things("middle")).toEqual([{ middle: 80 }]);
});
