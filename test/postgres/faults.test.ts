import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { systemClock } from "../../engine/clock.ts";
import { TransientError } from "../../engine/errors.ts";
import { openPostgresViews } from "../../engine/postgres/postgres-views.ts";
import { type Database, SqlError } from "../../engine/postgres/postgres.ts";
import type { Views } from "../../engine/projections/views.ts";
import { until } from "../until.ts";
import { cutProxy } from "./cut-proxy.ts";
import { topicPartition, type WrittenView, writtenView } from "./written-view.ts";

const { signal } = new AbortController();
const next = { nextOffset: 1n, commandOffset: 1n, version: 1 };

let view: WrittenView;

beforeAll(async () => {
  view = await writtenView();
});

beforeEach(async () => view.empty());

afterAll(async () => view.close());

/** A batch that inserts one row. */
async function insertInto(views: Views, id: string, by: AbortSignal = signal): Promise<void> {
  const row = {
    key: [id],
    before: "absent",
    after: "fresh",
    sets: new Map(),
    adds: new Map(),
  } as const;
  const changes = [{ table: "things", rows: [row] }];
  await views.commit({ topicPartition, expected: null, next, changes }, by);
}

/** The backend of the projector that now waits for a lock. */
async function blockedBackend(statement: RegExp): Promise<number> {
  return until(`a projector that waits within ${statement.source}`, async () => {
    const { rows } = await view.admin.query(
      `select pid, query from pg_stat_activity
       where datname = current_database() and wait_event_type = 'Lock'
         and application_name = 'foldlog projector ${view.projection.name}'`,
    );
    const pid = rows.find((row) => statement.test(String(row["query"])))?.["pid"];
    return typeof pid === "number" ? pid : null;
  });
}

async function terminate(pid: number): Promise<void> {
  await view.admin.query("select pg_terminate_backend($1)", [pid]);
}

/** Does `work` while another session holds a lock that `sql` takes. */
async function whileLocked(sql: string, work: () => Promise<void>): Promise<void> {
  const holder: Database = view.database.open(view.database.superuserUrl);
  await holder.transaction("read write", async (session) => {
    await session.query(sql);
    await work();
  });
}

const lockThings = () => `lock table projection_${view.projection.name}.things_v1`;

async function failureOf(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error("it did not fail");
}

describe("a connection that is killed", () => {
  test("in the middle of a batch leaves nothing of it, and the next try works", async () => {
    await whileLocked(lockThings(), async () => {
      const commit = failureOf(insertInto(view.views, "x"));
      await terminate(await blockedBackend(/insert into "projection_/));
      expect(await commit).toBeInstanceOf(TransientError);
    });
    expect(await view.views.checkpoint(topicPartition, signal)).toBeNull();
    await insertInto(view.views, "x");
    expect(await view.things("id")).toEqual([{ id: "x" }]);
  });

  test("while it is idle is replaced without a word", async () => {
    await view.views.checkpoint(topicPartition, signal);
    await view.admin.query(
      `select pg_terminate_backend(pid) from pg_stat_activity
       where application_name = 'foldlog projector ${view.projection.name}'`,
    );
    await until("the pool to notice", async () => {
      try {
        return (await view.views.checkpoint(topicPartition, signal)) === null;
      } catch (error) {
        expect(error).toBeInstanceOf(TransientError);
        return false;
      }
    });
  });

  test("at the COMMIT leaves nobody able to tell; the checkpoint says that it was not carried out", async () => {
    await whileCommitsWait(async () => {
      const commit = failureOf(insertInto(view.views, "x"));
      await terminate(await blockedBackend(/^commit$/));
      expect(await commit).toMatchObject({ name: "WriterLostError", reason: "indefinite" });
    });
    expect(await view.views.checkpoint(topicPartition, signal)).toBeNull();
    expect(await view.things()).toEqual([]);
  });
});

/** Does `work` while every COMMIT that has inserted a thing waits; they go on when it is done. */
async function whileCommitsWait(work: () => Promise<void>): Promise<void> {
  const table = `projection_${view.projection.name}.things_v1`;
  await view.admin.query(`
    create function public.wait_at_commit() returns trigger language plpgsql as
      'begin perform pg_advisory_xact_lock(4711); return null; end';
    create constraint trigger wait after insert on ${table}
      deferrable initially deferred for each row execute function public.wait_at_commit()`);
  try {
    await whileLocked("select pg_advisory_xact_lock(4711)", work);
  } finally {
    await view.admin.query("drop function public.wait_at_commit cascade");
  }
}

describe("by way of a proxy that cuts", () => {
  async function through(url: string): Promise<Views> {
    const waiting = () => undefined;
    const options = { url, projection: view.projection, clock: systemClock, waiting };
    return openPostgresViews(options, signal);
  }

  test.each(["answer lost", "silence"] as const)(
    "a COMMIT whose answer does not come (%s) leaves nobody able to tell; the checkpoint says it was carried out",
    async (fate) => {
      const proxy = await cutProxy(view.database.urlOf(`projector_${view.projection.name}`));
      const views = await through(proxy.url);
      try {
        proxy.fate = fate;
        expect(await failureOf(insertInto(views, "x"))).toMatchObject({
          name: "WriterLostError",
          reason: "indefinite",
        });
        proxy.fate = "passes";
        expect(await views.checkpoint(topicPartition, signal)).toEqual(next);
        expect(await view.things("id")).toEqual([{ id: "x" }]);
      } finally {
        await views.close();
        await proxy.close();
      }
    },
  );

  test("a BEGIN that fails alone lets nothing of what was sent with it be written", async () => {
    await insertInto(view.views, "x");
    const proxy = await cutProxy(view.database.urlOf(`projector_${view.projection.name}`));
    const views = await through(proxy.url);
    try {
      proxy.fate = "begin refused";
      // As a zombie sends it: its checkpoint is refused, and its row must be too.
      expect(await failureOf(insertInto(views, "y"))).toBeInstanceOf(Error);
      expect(await view.things("id")).toEqual([{ id: "x" }]);
    } finally {
      await views.close();
      await proxy.close();
    }
  });

  test("a server that is gone is a matter of time", async () => {
    const proxy = await cutProxy(view.database.urlOf(`projector_${view.projection.name}`));
    const views = await through(proxy.url);
    await proxy.close();
    await until("the pool to notice", async () => {
      const error = await failureOf(views.checkpoint(topicPartition, signal));
      expect(error).toBeInstanceOf(TransientError);
      return error instanceof TransientError && error.message.includes("ECONNREFUSED");
    });
    await views.close();
  });
});

test("a checkpoint that another session keeps locked is a matter of time", async () => {
  await view.write();
  const held = "select from foldlog.checkpoints for update";
  await whileLocked(held, async () => {
    const error = await failureOf(view.write());
    expect(error).toBeInstanceOf(TransientError);
    expect(error).toMatchObject({ message: expect.stringContaining("(55P03)") as string });
  });
  await view.write();
});

test("an abort drops a batch that waits, at once and whole", async () => {
  await whileLocked(lockThings(), async () => {
    const stopping = new AbortController();
    const commit = failureOf(insertInto(view.views, "x", stopping.signal));
    await blockedBackend(/insert into "projection_/);
    const told = new Error("told to stop");
    const since = performance.now();
    stopping.abort(told);
    expect(await commit).toBe(told);
    expect(performance.now() - since).toBeLessThan(1_000);
  });
  expect(await view.views.checkpoint(topicPartition, signal)).toBeNull();
});

test("an abort during the COMMIT lets it finish", async () => {
  const stopping = new AbortController();
  let commit: Promise<void> = Promise.reject(new Error("not yet"));
  await Promise.allSettled([commit]);
  await whileCommitsWait(async () => {
    commit = insertInto(view.views, "x", stopping.signal);
    await blockedBackend(/^commit$/);
    stopping.abort();
  });
  await commit;
  expect(await view.views.checkpoint(topicPartition, signal)).toEqual(next);
});

test("an abort before a batch begins drops it", async () => {
  const told = new Error("told to stop");
  expect(await failureOf(insertInto(view.views, "x", AbortSignal.abort(told)))).toBe(told);
  expect(await view.things()).toEqual([]);
});

describe("what Postgres answers is a matter of time or not", () => {
  const raise = async (state: string) =>
    failureOf(view.admin.query(`do $$ begin raise exception using errcode = '${state}'; end $$`));

  const transient = [
    "08006",
    "25006",
    "25P03",
    "25P04",
    "40001",
    "40P01",
    "53100",
    "53200",
    "53300",
    "55006",
    "55P03",
    "57014",
    "57P01",
    "57P02",
    "57P03",
    "58030",
    "XX000",
  ];
  test.each(transient)("%s may pass", async (state) => {
    expect(await raise(state)).toBeInstanceOf(TransientError);
  });

  const lasting = ["21000", "22003", "23505", "42P01", "42601", "42501", "55000", "XX001", "P0001"];
  test.each(lasting)("%s stays", async (state) => {
    const error = await raise(state);
    expect(error).toBeInstanceOf(SqlError);
    expect(error).toMatchObject({ sqlState: state });
  });

  test.each(["28P01", "28000", "3D000"])("%s is a login that is not let in", async (state) => {
    expect(await raise(state)).toMatchObject({ code: "UNAUTHORIZED" });
  });
});
