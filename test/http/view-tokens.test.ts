import { once } from "node:events";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import type { Clock } from "../../engine/clock.ts";
import { tokenOf } from "../../engine/gateway/token.ts";
import { openViewDatabase } from "../../engine/gateway/view-database.ts";
import { openDatabase } from "../../engine/postgres/postgres.ts";
import type { AnyProjection } from "../../engine/projection.ts";
import { readerRole } from "../../engine/projections/tables.ts";
import { until } from "../until.ts";
import {
  type Answer,
  era,
  type ServedOptions,
  type ServedViews,
  servedViews,
} from "./served-views.ts";

const tables = { things: "id text primary key, n bigint not null" };

let served: ServedViews | undefined;

async function serve(options?: ServedOptions): Promise<ServedViews> {
  served = await servedViews(tables, options);
  return served;
}

afterEach(async () => {
  const { faults } = served ?? { faults: [] };
  await served?.close();
  served = undefined;
  expect(faults).toEqual([]);
});

/** A clock whose time passes only while somebody sleeps, and what happens meanwhile. */
function sleepingClock(
  meanwhile: (sleeps: number) => Promise<void> = async () => undefined,
): Clock & {
  readonly slept: number[];
} {
  let now = 0;
  const slept: number[] = [];
  return {
    slept,
    now: () => now,
    random: () => 1,
    async sleep(durationMs) {
      now += durationMs;
      slept.push(durationMs);
      await meanwhile(slept.length);
    },
  };
}

describe("of a view that has come to version 2 by command offset 5", () => {
  let standing: ServedViews;

  beforeAll(async () => {
    standing = await servedViews(tables);
    await standing.insert("things", { id: "x", n: 1 });
    await standing.checkpoint(5n, 2);
  });

  afterAll(async () => {
    await standing.close();
    expect(standing.faults).toEqual([]);
  });

  describe("a view has a token", () => {
    test.each([
      ["of the command that it has come to", 5n, 2],
      ["of an earlier version by the same command", 5n, 1],
      ["of an earlier command, whatever its version", 4n, 9],
    ])("%s", async (_, commandOffset, version) => {
      const { get, token } = standing;
      for (const path of ["/views/things/x?", "/views/things?limit=1&"]) {
        expect((await get(`${path}waitMs=0&token=${token(commandOffset, version)}`)).status).toBe(
          200,
        );
      }
    });

    test("of a topic that it does not read", async () => {
      const { get, token } = standing;
      const foreign = token(5n, 1, { topic: "test.other.events" });
      expect((await get(`/views/things/x?waitMs=0&token=${foreign}`)).status).toBe(200);
    });
  });

  describe("a view does not have a token", () => {
    test.each([
      ["of a later command", 6n, 1, {}, 5],
      ["of a later version by the same command", 5n, 3, {}, 5],
      ["of a partition that it has not seen", 1n, 1, { partition: 1 }, null],
    ])("%s, and says how far it is", async (_, commandOffset, version, change, at) => {
      const { get, token } = standing;
      const answer = await get(
        `/views/things/x?waitMs=0&token=${token(commandOffset, version, change)}`,
      );
      expect(answer.body).toMatchObject({
        status: 409,
        code: "BEHIND",
        behind: { commandOffset: Number(commandOffset), at },
      });
      expect(answer.headers["retry-after"]).toBe("1");
    });

    test("that only another version of its projection has come to", async () => {
      const { checkpoint, get, token } = standing;
      await checkpoint(9n, 2, { version: 2 });
      const { body } = await get(`/views/things/x?waitMs=0&token=${token(9n, 2)}`);
      expect(body).toMatchObject({ code: "BEHIND", behind: { at: 5 } });
    });
  });

  test.each([
    ["nonsense", "It is not a token"],
    ["", "It is not a token"],
    [
      tokenOf(
        { topic: "t", partition: 0, commandOffset: 1n, aggregateId: "a", version: 1 },
        era + 1,
      ),
      "another era",
    ],
  ])("the token %j is refused", async (text, detail) => {
    const { get } = standing;
    for (const path of ["/views/things/x", "/views/things"]) {
      expect((await get(`${path}?token=${text}`)).body).toMatchObject({
        code: "INVALID_TOKEN",
        detail: expect.stringContaining(detail) as string,
      });
    }
  });
});

describe("a reader waits", () => {
  test("until the view has the token, and then sees what the command did", async () => {
    const clock = sleepingClock(async (sleeps) => {
      if (sleeps !== 3 || served === undefined) return;
      await served.insert("things", { id: "x", n: 1 });
      await served.checkpoint(5n, 1);
    });
    const { get, token } = await serve({ clock });
    expect((await get(`/views/things/x?token=${token(5n, 1)}`)).body).toEqual({ id: "x", n: 1 });
    expect(clock.slept).toHaveLength(3);
  });

  test("no longer than it said, less and less often", async () => {
    const clock = sleepingClock();
    const { get, token } = await serve({ clock });
    expect((await get(`/views/things/x?waitMs=2000&token=${token(5n, 1)}`)).status).toBe(409);
    expect(clock.now()).toBe(2_000);
    expect(clock.slept.slice(0, -1)).toEqual(clock.slept.slice(0, -1).toSorted((a, b) => a - b));
    expect(Math.max(...clock.slept)).toBe(250);
  });

  test("five seconds where it did not say", async () => {
    const clock = sleepingClock();
    const { get, token } = await serve({ clock });
    await get(`/views/things/x?token=${token(5n, 1)}`);
    expect(clock.now()).toBe(5_000);
  });

  test("no longer than it stays on the line", async () => {
    const sleeping: AbortSignal[] = [];
    const clock: Clock = {
      now: () => 0,
      random: () => 1,
      sleep: async (_, ...signals) => {
        sleeping.push(...signals);
        await Promise.race(signals.map(async (signal) => once(signal, "abort")));
      },
    };
    const { app, token } = await serve({ clock });
    const address = await app.listen({ host: "127.0.0.1", port: 0 });
    const line = new AbortController();
    const answer = fetch(`${address}/views/things/x?token=${token(5n, 1)}`, line);
    await until("a reader that waits", () => sleeping.length === 2);
    line.abort();
    await expect(answer).rejects.toThrow("aborted");
    await until("it to be let go", () => sleeping[0]?.aborted === true);
    expect(sleeping).toHaveLength(2);
  });

  test("no longer than the gateway lives, and is told how far behind the view is", async () => {
    const clock = sleepingClock(async () => served?.stopping.abort());
    const { get, token } = await serve({ clock });
    expect((await get(`/views/things/x?token=${token(5n, 1)}`)).body).toMatchObject({
      status: 409,
      code: "BEHIND",
    });
    expect(clock.slept).toHaveLength(1);
  });

  test("and is never shown a row that is older than its token", async () => {
    const { get, token, insert, admin, projection, checkpoint } = await serve();
    await insert("things", { id: "x", n: 0 });
    await checkpoint(1n, 1);
    const table = `projection_${projection.name}.things_v1`;
    const write = async (n: number) => {
      await admin.transaction("read write", async (session) => {
        await session.query(`update ${table} set n = $1`, [n]);
        await session.query("update foldlog.checkpoints set command_offset = $1", [n]);
      });
    };
    for (let n = 2; n <= 60; n++) {
      const [answer] = await Promise.all([
        get(`/views/things/x?token=${token(BigInt(n), 1)}`),
        write(n),
      ]);
      expect(answer.body).toEqual({ id: "x", n });
    }
  });
});

describe("when the views are turned over to another version", () => {
  function second(first: AnyProjection): AnyProjection {
    return { ...first, version: 2, tables: { things: "id text primary key, n text, more jsonb" } };
  }

  async function turnOver({ database, projection }: ServedViews): Promise<void> {
    const done = await database.prepare([second(projection)]);
    expect(done).toContain(`${projection.name} v2: the views leave v1`);
  }

  test("the columns are those of the new one, without a restart", async () => {
    const views = await serve();
    await views.insert("things", { id: "x", n: 1 });
    expect((await views.get("/views/things?n.gt=0")).status).toBe(200);
    await turnOver(views);
    const admin = views.admin;
    await admin.query(
      `insert into projection_${views.projection.name}.things_v2 values ('y', 'text', '{}')`,
    );
    expect((await views.get("/views/things/y")).body).toEqual({ id: "y", n: "text", more: {} });
    expect((await views.get("/views/things?n=text")).body).toMatchObject({ rows: [{ id: "y" }] });
    expect((await views.get("/views")).text).toContain('"name":"more"');
  });

  test("a table that was altered in its place is looked at again", async () => {
    const { admin, projection, get, insert } = await serve();
    await insert("things", { id: "x", n: 1 });
    expect((await get("/views/things/x")).body).toEqual({ id: "x", n: 1 });
    await admin.query(`
      drop view public.things;
      alter table projection_${projection.name}.things_v1 rename n to m;
      create view public.things as select * from projection_${projection.name}.things_v1;
      grant select on public.things to ${readerRole}`);
    expect((await get("/views/things/x")).status).toBe(503);
    expect((await get("/views/things/x")).body).toEqual({ id: "x", m: 1 });
  });

  test("a reader in between sees the new one as of when it was shown, never half of each", async () => {
    const views = await serve();
    const { admin, database, projection, token, checkpoint, insert } = views;
    await insert("things", { id: "x", n: 1 });
    await checkpoint(5n, 1);
    await admin.query(
      `create table projection_${projection.name}.things_v2 (id text primary key, n bigint)`,
    );
    await admin.query(
      `insert into foldlog.projections (projection, version, declared, shape, tables)
       values ($1, 2, '', '', '{things}')`,
      [projection.name],
    );
    const other = database.open(database.superuserUrl);
    await other.query("select 1"); // A reader waits two seconds for a lock: too short to connect meanwhile.
    const reads: Promise<Answer>[] = [];
    await admin.transaction("read write", async (session) => {
      await session.query("drop view public.things");
      reads.push(views.get(`/views/things/x?token=${token(5n, 1)}`));
      await until("a reader that waits", async () => {
        const sql = `select from pg_stat_activity
          where wait_event_type = 'Lock' and application_name = 'foldlog gateway'
            and datname = current_database()`;
        return (await other.query(sql)).count === 1;
      });
      await session.query(`
        insert into projection_${projection.name}.things_v2 values ('x', 2);
        insert into foldlog.checkpoints
          select projection, 2, topic, partition, next_offset, command_offset, aggregate_version
          from foldlog.checkpoints where projection = '${projection.name}';
        update foldlog.projections set live = false where version = 1;
        update foldlog.projections set live = true where version = 2;
        create view public.things as select * from projection_${projection.name}.things_v2;
        grant select on public.things to ${readerRole}`);
    });
    expect(await reads[0]).toMatchObject({ status: 200, body: { id: "x", n: 2 } });
  });
});

describe("where the views cannot be read", () => {
  async function expectUnavailable(answer: Answer, detail: string): Promise<void> {
    expect(answer.status, answer.text).toBe(503);
    expect(answer.body).toMatchObject({
      code: "VIEWS_UNAVAILABLE",
      detail: expect.stringContaining(detail) as string,
    });
    expect(Number(answer.headers["retry-after"])).toBeGreaterThan(0);
  }

  const paths = ["/views", "/views/things", "/views/things/x"];

  test("a Postgres that is away is 503, and a mistake in the address is told all the same", async () => {
    const { get } = await serve({
      reader: () => openViewDatabase("postgres://nobody@127.0.0.1:1/x"),
    });
    for (const path of paths) await expectUnavailable(await get(path), "does not answer");
    expect((await get("/views/nothing")).status).toBe(404);
    expect((await get("/views/things?waitMs=x")).status).toBe(400);
  });

  test("a role that is not let in is 503", async () => {
    const { get } = await serve({
      reader: (database) => openViewDatabase(database.urlOf("nobody_at_all")),
    });
    for (const path of paths) await expectUnavailable(await get(path), "does not answer");
  });

  test("a database that has not been prepared is 503, and served once it has been", async () => {
    const { get, admin, database, projection } = await serve();
    await admin.query("drop view public.things");
    await expectUnavailable(await get("/views/things"), "foldlog -- migrate");
    await database.prepare([projection]);
    expect((await get("/views/things")).status).toBe(200);

    await admin.query("update foldlog.projections set live = false");
    await expectUnavailable(await get("/views/things"), "have not been made");
    await admin.query("drop schema foldlog cascade");
    for (const path of paths) await expectUnavailable(await get(path), "foldlog -- migrate");
  });

  test("a query that takes too long is ended, and says what to do", async () => {
    const reader: ServedOptions["reader"] = (database) =>
      openDatabase({
        url: database.urlOf(readerRole),
        applicationName: "foldlog test",
        maxConnections: 1,
        settings: { statement_timeout: "200ms" },
        answerTimeoutMs: 10_000,
      });
    const { get, admin, projection, insert } = await serve({ reader });
    await insert("things", { id: "x", n: 1 });
    await admin.query(
      `create or replace view public.things as
       select t.* from projection_${projection.name}.things_v1 t, pg_sleep(60)`,
    );
    await expectUnavailable(await get("/views/things"), "Narrow it by filters");
  });
});
