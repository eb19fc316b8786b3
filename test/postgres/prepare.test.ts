import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { systemClock } from "../../engine/clock.ts";
import { ownMigrations } from "../../engine/postgres/migrations.ts";
import { openPostgresViews } from "../../engine/postgres/postgres-views.ts";
import type { AnyProjection } from "../../engine/projection.ts";
import { doing, doingTopics } from "../../engine/testing/doing.ts";
import { until } from "../until.ts";
import { freshDatabase, type FreshDatabase } from "./fresh-database.ts";

let database: FreshDatabase;
let things: AnyProjection;

beforeEach(async () => {
  database = await freshDatabase();
  things = declared(1);
});

afterEach(async () => {
  await database.drop();
});

function declared(
  version: number,
  columns = "id text primary key, n bigint",
  more: Partial<AnyProjection> = {},
): AnyProjection {
  return { ...doing({ things: columns }, { name: `p_${database.suffix}`, version }), ...more };
}

async function boot(projection: AnyProjection, role = `projector_${projection.name}`) {
  const { signal } = new AbortController();
  const waiting = (error: Error) => {
    throw error;
  };
  const url = database.urlOf(role);
  return openPostgresViews({ url, projection, clock: systemClock, waiting }, signal);
}

async function column(sql: string): Promise<readonly unknown[]> {
  const { rows } = await database.open(database.superuserUrl).query(sql);
  return rows.map((row) => Object.values(row)[0]);
}

describe("preparing a database", () => {
  test("makes all that a worker needs, says so, and does nothing the second time", async () => {
    const name = things.name;
    expect(await database.prepare([things])).toEqual(
      expect.arrayContaining([
        "applied migration 0001_checkpoints.sql",
        `created role projector_${name}`,
        `${name} v1: made table things_v1`,
        `${name} v1: made view things`,
      ]),
    );
    expect(await database.prepare([things])).toEqual([]);
    const views = await boot(things);
    await views.close();
  });

  test("is safe when two do it at once", async () => {
    const both = await Promise.all([database.prepare([things]), database.prepare([things])]);
    const made = both.flat().filter((line) => line.endsWith("made table things_v1"));
    expect(made).toHaveLength(1);
  });

  /** Until a run waits for a lock. */
  async function waitingRun(): Promise<void> {
    const sql = `select pid from pg_stat_activity
      where datname = current_database() and wait_event_type = 'Lock' and application_name = $1`;
    const admin = database.open(database.superuserUrl);
    await until("a run that waits", async () => {
      return (await admin.query(sql, ["foldlog migrate"])).count === 1;
    });
  }

  test("waits for a run that is under way", async () => {
    const other = database.open(database.superuserUrl);
    const lock = "select pg_advisory_xact_lock(hashtextextended('foldlog migrate', 0))";
    const runs: Promise<readonly string[]>[] = [];
    await other.transaction("read write", async (session) => {
      await session.query(lock);
      runs.push(database.prepare([things]));
      await waitingRun();
    });
    expect(await runs[0]).toContain(`${things.name} v1: made table things_v1`);
  });

  test("tries again where another database's run has just made the same role", async () => {
    const other = database.open(database.ownerUrl);
    const runs: Promise<readonly string[]>[] = [];
    await other.transaction("read write", async (session) => {
      await session.query(`create role projector_${things.name} login`);
      runs.push(database.prepare([things]));
      await waitingRun();
    });
    expect(await runs[0]).toContain(`${things.name} v1: made table things_v1`);
  });

  test("is safe when it is done in several databases of one server at once", async () => {
    const others = await Promise.all([freshDatabase(), freshDatabase(), freshDatabase()]);
    try {
      const all = [database, ...others].map(async (one) => one.prepare([things]));
      const lines = await Promise.all(all);
      expect(lines.flat().filter((line) => line.endsWith("made table things_v1"))).toHaveLength(4);
    } finally {
      await Promise.all(others.map(async (other) => other.drop()));
    }
  });

  test("leaves nothing behind when it fails", async () => {
    const broken = declared(1, "id text primary key, n biginteger");
    await expect(database.prepare([broken])).rejects.toThrow(
      `projection "${broken.name}": table "things": type "biginteger" does not exist (42704)`,
    );
    expect(await column("select nspname from pg_namespace where nspname = 'foldlog'")).toEqual([]);
  });

  test("refuses an owner that may not do it, and says what it needs", async () => {
    await database.prepare([things]);
    const ownerUrl = database.urlOf("foldlog_reader");
    await expect(database.prepare([things], { ownerUrl })).rejects.toMatchObject({
      code: "UNAUTHORIZED",
      message: expect.stringContaining("the owner needs CREATEROLE and the database") as string,
    });
  });

  test("refuses a password that clients hash in different ways", async () => {
    const passwords = { foldlog_reader: "pässword" };
    await expect(database.prepare([things], { passwords })).rejects.toThrow(
      'the password of role "foldlog_reader" must be printable ASCII',
    );
  });

  test("refuses a role of its names that is a superuser", async () => {
    const role = `projector_${things.name}`;
    await column(`create role ${role} superuser`);
    await expect(database.prepare([things])).rejects.toMatchObject({ code: "UNAUTHORIZED" });
  });

  test("refuses two projections that declare one table", async () => {
    const other = { ...things, name: `q_${database.suffix}` };
    await expect(database.prepare([things, other])).rejects.toThrow(
      'both declare a table "things"',
    );
  });

  test("refuses a public name that something else has", async () => {
    await column("create table public.things (x int)");
    await expect(database.prepare([things])).rejects.toThrow(/"things" already exists \(42P07\)/);
  });

  const unfit: [string, string, RegExp][] = [
    ["without a primary key", "id text", /needs a primary key/],
    ["with a key that has several spellings", "id uuid primary key", /type uuid; use one of text/],
    ["with an array", "id text primary key, tags text[]", /"tags" is an array; use jsonb/],
  ];
  test.each(unfit)("refuses a table %s", async (_, columns, message) => {
    await expect(database.prepare([declared(1, columns)])).rejects.toThrow(message);
  });

  test("makes the indexes that are declared and drops those that are not any more", async () => {
    const indexes = "select indexdef from pg_indexes where tablename = 'things_v1' order by 1";
    await database.prepare([{ ...things, indexes: { things: ["(n)", "(n) where n > 0"] } }]);
    expect(await column(indexes)).toHaveLength(3);
    await database.prepare([{ ...things, indexes: { things: ["(n  desc)"] } }]);
    expect(await column(indexes)).toEqual([
      expect.stringContaining("(n DESC)"),
      expect.stringContaining("(id)"),
    ]);
    await (await boot(things)).close();
  });
});

describe("migrations", () => {
  const [first] = ownMigrations();
  const later = { number: 2, name: "0002_more.sql", sql: "create table foldlog.more ()" };
  const own = first === undefined ? [] : [first];

  test("that have been applied must not change", async () => {
    await database.prepare([], { migrations: [...own, later] });
    const changed = [...own, { ...later, sql: "create table foldlog.less ()" }];
    await expect(database.prepare([], { migrations: changed })).rejects.toMatchObject({
      code: "MIGRATION_CHANGED",
      message: expect.stringContaining("0002_more.sql is not what has been applied") as string,
    });
  });

  test("may have other line ends", async () => {
    await database.prepare([], { migrations: own });
    const crlf = own.map((one) => ({ ...one, sql: one.sql.replaceAll("\n", "\r\n") }));
    expect(await database.prepare([], { migrations: crlf })).toEqual([]);
  });

  test("are applied once, in order, and the later ones stay when an older version runs", async () => {
    await database.prepare([], { migrations: own });
    const migrations = [...own, later];
    expect(await database.prepare([], { migrations })).toEqual(["applied migration 0002_more.sql"]);
    expect(await database.prepare([], { migrations: own })).toEqual([]);
  });

  test("must not be slipped in before one that has been applied", async () => {
    const third = { ...later, number: 3, name: "0003_third.sql" };
    await database.prepare([], { migrations: [...own, third] });
    await expect(
      database.prepare([], { migrations: [...own, later, third] }),
    ).rejects.toMatchObject({ code: "MIGRATION_CHANGED" });
  });

  test("must not go missing", async () => {
    const third = { number: 3, name: "0003_third.sql", sql: "select 1" };
    await database.prepare([], { migrations: [...own, later, third] });
    await expect(database.prepare([], { migrations: [...own, third] })).rejects.toThrow(
      "0002_more.sql has been applied to this database, but is gone",
    );
  });
});

describe("a worker's boot refuses tables that are not what its version declares", () => {
  const drift = (message: string | RegExp) =>
    ({ code: "PROJECTION_DRIFT", message: expect.stringMatching(message) as string }) as const;

  const bootAs = async (url: string) => {
    const options = { url, projection: things, clock: systemClock, waiting: () => undefined };
    return openPostgresViews(options, new AbortController().signal);
  };

  test("a role that does not exist, naming the command", async () => {
    await expect(bootAs(database.ownerUrl)).rejects.toMatchObject({
      code: "UNAUTHORIZED",
      message: expect.stringContaining("run `npm run -s foldlog -- migrate`") as string,
    });
  });

  test("tables that were never made, naming the command", async () => {
    await database.prepare([things]);
    await expect(boot(declared(2))).rejects.toMatchObject(drift("run `npm run -s foldlog"));
    await column("drop schema foldlog cascade");
    await expect(boot(things)).rejects.toMatchObject(drift("run `npm run -s foldlog"));
  });

  test("another declaration, but not another layout", async () => {
    await database.prepare([things]);
    const same = declared(1, "\n  id  text primary key,\n  n   bigint\n");
    await (await boot(same)).close();
    expect(await database.prepare([same])).toEqual([]);

    const other = declared(1, "id text primary key, n bigint, more text");
    await expect(boot(other)).rejects.toMatchObject(drift("raise its version"));
    await expect(database.prepare([other])).rejects.toMatchObject(drift("raise its version"));
  });

  const alterations = [
    "alter table T add column more text",
    "alter table T alter column n type integer",
    "alter table T alter column n set not null",
    "alter table T drop column n",
    "alter table T drop constraint things_v1_pkey",
    "drop table T cascade",
  ];
  test.each(alterations)("%s", async (alteration) => {
    await database.prepare([things]);
    await column("drop view public.things");
    await column(alteration.replace("T", `projection_${things.name}.things_v1`));
    await expect(boot(things)).rejects.toThrow(/raise its version|needs a primary key/);
    await expect(database.prepare([things])).rejects.toThrow(
      /raise its version|needs a primary key/,
    );
  });
});

test("a projector without its database waits for it, says so, and stops waiting when told", async () => {
  const url = new URL(database.superuserUrl);
  url.port = "1";
  const stopping = new AbortController();
  const errors: Error[] = [];
  const waiting = (error: Error) => {
    errors.push(error);
    if (errors.length === 2) stopping.abort(new Error("told"));
  };
  await expect(
    openPostgresViews(
      { url: url.href, projection: things, clock: systemClock, waiting },
      stopping.signal,
    ),
  ).rejects.toThrow("told");
  expect(errors[0]?.message).toContain("ECONNREFUSED");
});

test("a raised version is filled beside the old one, and the views follow when it has caught up", async () => {
  const { signal } = new AbortController();
  const topicPartition = { topic: doingTopics.events.name, partition: 0 };
  const second = declared(2, "id text primary key, n bigint, twice bigint");
  const commit = async (projection: AnyProjection, from: bigint, to: bigint, sets: object) => {
    const views = await boot(projection);
    const at = (nextOffset: bigint) => ({ nextOffset, commandOffset: 1n, version: 1 });
    const values = new Map(Object.entries(sets));
    await views.commit(
      {
        topicPartition,
        expected: from === 0n ? null : at(from),
        next: at(to),
        changes: [
          {
            table: "things",
            rows: [{ key: ["x"], before: "any", after: "kept", sets: values, adds: new Map() }],
          },
        ],
      },
      signal,
    );
    await views.close();
  };
  const read = async () => {
    const { rows } = await database.open("foldlog_reader").query("select * from things");
    return rows;
  };

  await database.prepare([things]);
  await commit(things, 0n, 10n, { n: 1 });
  expect(await read()).toEqual([{ id: "x", n: 1n }]);

  expect(await database.prepare([second])).toEqual([
    `${second.name} v2: made table things_v2`,
    `${second.name} v2: the views still read v1: this version has to catch up`,
  ]);
  await commit(second, 0n, 9n, { n: 1, twice: 2 });
  await database.prepare([second]);
  expect(await read()).toEqual([{ id: "x", n: 1n }]);

  await commit(second, 9n, 10n, { n: 1, twice: 2 });
  expect(await database.prepare([second])).toEqual([
    `${second.name} v2: the views leave v1`,
    `${second.name} v2: made view things`,
  ]);
  expect(await read()).toEqual([{ id: "x", n: 1n, twice: 2n }]);
});
