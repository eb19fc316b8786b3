import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { systemClock } from "../../engine/clock.ts";
import { openPostgresViews } from "../../engine/postgres/postgres-views.ts";
import { type Database, SqlError } from "../../engine/postgres/postgres.ts";
import { doing } from "../../engine/testing/doing.ts";
import { freshDatabase, type FreshDatabase } from "./fresh-database.ts";

let database: FreshDatabase;
let mine: string;
let others: string;

beforeAll(async () => {
  database = await freshDatabase();
  mine = `mine_${database.suffix}`;
  others = `others_${database.suffix}`;
  const columns = "id text primary key, n bigint";
  await database.prepare([
    doing({ things: columns }, { name: mine }),
    doing({ stuff: columns }, { name: others }),
  ]);
  const owner = database.open(database.superuserUrl);
  for (const projection of [mine, others]) {
    await owner.query(
      `insert into foldlog.checkpoints (projection, version, topic, partition, next_offset)
       values ($1, 1, 't', 0, 5)`,
      [projection],
    );
  }
  await owner.query(`insert into projection_${mine}.things_v1 values ('x', 1)`);
});

afterAll(async () => {
  await database.drop();
});

/** What the statement came to: its row count, or the SQLSTATE of its refusal. */
async function attempt(as: Database, sql: string): Promise<number | string> {
  try {
    return (await as.query(sql.replaceAll("MINE", mine).replaceAll("OTHERS", others))).count;
  } catch (error) {
    if (error instanceof SqlError) return error.sqlState;
    const state = /\(([0-9A-Z]{5})\)$/.exec(error instanceof Error ? error.message : "")?.[1];
    if (state !== undefined) return state;
    throw error;
  }
}

const denied = "42501";
const readOnly = "25006";
const noCheckpoint = "values ('MINE', 1, 't', 1, 0)";
const checkpointColumns = "(projection, version, topic, partition, next_offset)";

describe("a projector", () => {
  const allowed: [string, number][] = [
    ["select * from projection_MINE.things_v1", 1],
    ["insert into projection_MINE.things_v1 values ('y', 2)", 1],
    ["update projection_MINE.things_v1 set n = 3 where id = 'y'", 1],
    ["delete from projection_MINE.things_v1 where id = 'y'", 1],
    [`insert into foldlog.checkpoints ${checkpointColumns} ${noCheckpoint}`, 1],
    ["update foldlog.checkpoints set next_offset = 6 where partition = 1", 1],
    ["select * from foldlog.projections", 2],
    // Its own two checkpoints, and no other: also where the statement names none.
    ["select * from foldlog.checkpoints", 2],
    ["update foldlog.checkpoints set next_offset = 0 where projection = 'OTHERS'", 0],
  ];
  test.each(allowed)("may: %s", async (sql, count) => {
    expect(await attempt(database.open(`projector_${mine}`), sql)).toBe(count);
  });

  const forbidden = [
    "select * from projection_OTHERS.stuff_v1",
    "update projection_OTHERS.stuff_v1 set n = 0",
    "select * from public.things",
    "insert into public.things values ('z', 1)",
    `insert into foldlog.checkpoints ${checkpointColumns} values ('OTHERS', 1, 't', 1, 0)`,
    "update foldlog.checkpoints set projection = 'OTHERS' where partition = 1",
    "delete from foldlog.checkpoints",
    "truncate projection_MINE.things_v1",
    "drop table projection_MINE.things_v1",
    "alter table projection_MINE.things_v1 add column more text",
    "create table projection_MINE.more ()",
    "create table foldlog.more ()",
    "create table public.more ()",
    "create temporary table more ()",
    "create schema more",
    "create role more",
    "update foldlog.projections set declared = ''",
    "select * from foldlog.migrations",
    "insert into foldlog.migrations values (99, '', '')",
    "set role projector_OTHERS",
    "set role foldlog_owner",
    "set role foldlog_reader",
    "alter table foldlog.checkpoints disable row level security",
    "select * from pg_authid",
    "copy projection_MINE.things_v1 to program 'true'",
    "select pg_read_file('pg_hba.conf')",
  ];
  test.each(forbidden)("may not: %s", async (sql) => {
    expect(await attempt(database.open(`projector_${mine}`), sql)).toBe(denied);
  });
});

describe("a reader", () => {
  const allowed: [string, number][] = [
    ["select * from things", 1],
    ["select * from public.stuff", 0],
    ["select * from foldlog.projections", 2],
    ["select * from foldlog.checkpoints where partition = 0", 2],
  ];
  test.each(allowed)("may: %s", async (sql, count) => {
    expect(await attempt(database.open("foldlog_reader"), sql)).toBe(count);
  });

  const forbidden: [string, string][] = [
    ["select * from projection_MINE.things_v1", denied],
    ["select * from foldlog.migrations", denied],
    ["insert into things values ('z', 1)", denied],
    ["delete from things", denied],
    ["update foldlog.checkpoints set next_offset = 0", readOnly],
    ["create table more ()", readOnly],
    ["set role foldlog_owner", denied],
  ];
  test.each(forbidden)("may not: %s", async (sql, state) => {
    expect(await attempt(database.open("foldlog_reader"), sql)).toBe(state);
  });

  test.each([
    "insert into things values ('z', 1)",
    "update foldlog.checkpoints set next_offset = 0",
    "create table public.more ()",
    "create temporary table more ()",
  ])("may not, even having switched read-only off: %s", async (sql) => {
    const reader = database.open("foldlog_reader");
    const session = `set default_transaction_read_only = off; begin read write; ${sql}; commit`;
    expect(await attempt(reader, session)).toBe(denied);
  });

  test("has bounds on what it holds up, and one schema", async () => {
    const { rows } = await database.open("foldlog_reader").query(
      `select current_setting('statement_timeout') as statement,
              current_setting('idle_in_transaction_session_timeout') as idle,
              current_setting('default_transaction_read_only') as read_only,
              current_setting('search_path') as search_path`,
    );
    expect(rows).toEqual([
      { statement: "30s", idle: "30s", read_only: "on", search_path: "public" },
    ]);
  });
});

test("nobody else may connect", async () => {
  const admin = database.open(database.superuserUrl);
  const stranger = `projector_x_${database.suffix}`;
  await admin.query(`create role ${stranger} login password 'test-${stranger}'`);
  try {
    await expect(database.open(stranger).query("select 1")).rejects.toMatchObject({
      code: "UNAUTHORIZED",
    });
  } finally {
    await admin.query(`drop role ${stranger}`);
  }
});

test("the owner's login serves a projector too: it takes on the projector's role", async () => {
  const { signal } = new AbortController();
  const projection = doing({ things: "id text primary key, n bigint" }, { name: mine });
  const waiting = () => undefined;
  const options = { url: database.ownerUrl, projection, clock: systemClock, waiting };
  const views = await openPostgresViews(options, signal);
  expect(await views.checkpoint({ topic: "t", partition: 0 }, signal)).toMatchObject({
    nextOffset: 5n,
  });
  await views.close();
});
