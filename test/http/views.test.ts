import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type ServedViews, servedViews } from "./served-views.ts";

const tables = {
  things: `
    id      text primary key,
    small   smallint,
    big     bigint,
    cents   public.cents,
    exact   numeric(40, 2),
    rough   double precision,
    single  real,
    yes     boolean,
    at      timestamptz,
    local   timestamp,
    day     date,
    name    varchar(40),
    code    character(4),
    "order" jsonb,
    mark    uuid,
    mood    public.mood,
    needed  text not null default 'd'`,
  pairs: `
    a    text,
    b    bigint,
    note text,
    primary key (b, a)`,
};

const full = {
  id: "full",
  small: -3,
  big: "9223372036854775807",
  cents: 999,
  exact: "12345678901234567890.10",
  rough: 0.1,
  single: 0.1,
  yes: true,
  at: "2026-01-31T12:00:00.123456Z",
  local: "2026-01-31T12:00:00",
  day: "2026-01-31",
  name: "Zoë",
  code: "ab",
  order: { n: 1 },
  mark: "018f2d3c-7b1a-7c3e-9d5f-0123456789ab",
  mood: "good",
  needed: "x",
};

let served: ServedViews;

beforeAll(async () => {
  served = await servedViews(tables);
});

beforeEach(async () => {
  const schema = `projection_${served.projection.name}`;
  await served.admin.query(`truncate ${schema}.things_v1, ${schema}.pairs_v1`);
});

afterAll(async () => {
  expect(served.faults).toEqual([]);
  await served.close();
});

async function idsOf(query: string): Promise<readonly unknown[]> {
  const { status, body, text } = await served.get(`/views/things?${query}`);
  expect(status, text).toBe(200);
  return (body["rows"] as Record<string, unknown>[]).map(({ id }) => id);
}

test("the views are listed with their keys, and the types of their columns as Postgres has them", async () => {
  const { status, body } = await served.get("/views");
  expect(status).toBe(200);
  const views = body["views"] as Record<string, unknown>[];
  expect(views.map(({ name, key }) => ({ name, key }))).toEqual([
    { name: "things", key: ["id"] },
    { name: "pairs", key: ["b", "a"] },
  ]);
  const columns = views[0]?.["columns"] as unknown[];
  expect(columns).toHaveLength(17);
  expect(columns).toEqual(
    expect.arrayContaining([
      { name: "id", type: "text", nullable: false },
      { name: "cents", type: "bigint", nullable: true },
      { name: "exact", type: "numeric(40,2)", nullable: true },
      { name: "at", type: "timestamp with time zone", nullable: true },
      { name: "mood", type: "public.mood", nullable: true },
    ]),
  );
  expect(served.catalog.known()).toEqual(views);
});

describe("a row", () => {
  test("is shown with every digit and microsecond of its values", async () => {
    await served.insert("things", full);
    await served.admin.query(
      `update projection_${served.projection.name}.things_v1
       set "order" = '{"n": 12345678901234567890.10, "__proto__": [1e400]}'`,
    );
    const { status, text } = await served.get("/views/things/full");
    expect(status).toBe(200);
    expect(text).toBe(
      '{"id":"full","small":-3,"big":9223372036854775807,"cents":999,"exact":"12345678901234567890.10",' +
        '"rough":0.1,"single":0.1,"yes":true,"at":"2026-01-31T12:00:00.123456Z",' +
        '"local":"2026-01-31 12:00:00","day":"2026-01-31","name":"Zoë","code":"ab",' +
        `"order":{"n": 12345678901234567890.10, "__proto__": [1${"0".repeat(400)}]},` +
        '"mark":"018f2d3c-7b1a-7c3e-9d5f-0123456789ab","mood":"good","needed":"x"}',
    );
  });

  test("shows an instant of whole seconds with milliseconds, as commands and events do", async () => {
    await served.insert("things", { ...full, at: "2026-01-31T13:00:00+01:00" });
    const { body } = await served.get("/views/things/full");
    expect(body["at"]).toBe("2026-01-31T12:00:00.000Z");
  });

  test("has nulls where there is nothing", async () => {
    await served.insert("things", { id: "bare", needed: "x" });
    const { body } = await served.get("/views/things/bare");
    expect(body).toMatchObject({ id: "bare", big: null, at: null, order: null });
  });

  const ids = ["a/b", "a\nb", "🦊", "__proto__", "100%", "?#&", " ", "'; drop table x; --"];
  test.each(ids)("is found by the id %j", async (id) => {
    await served.insert("things", { ...full, id });
    const { status, body } = await served.get(`/views/things/${encodeURIComponent(id)}`);
    expect(status).toBe(200);
    expect(body["id"]).toBe(id);
  });

  test("is found by all columns of its key, in the key's order", async () => {
    await served.insert("pairs", { a: "x/y", b: 5, note: "n" });
    const { body } = await served.get(`/views/pairs/5/${encodeURIComponent("x/y")}`);
    expect(body).toEqual({ a: "x/y", b: 5, note: "n" });
  });

  test("that is not there is 404, and so is a view that is not there", async () => {
    expect((await served.get("/views/things/none")).body).toMatchObject({
      status: 404,
      detail: expect.stringContaining("send the token") as string,
    });
    for (const name of ["nothing", "__proto__", "things_v1", "foldlog.checkpoints"]) {
      expect((await served.get(`/views/${name}/x`)).body).toMatchObject({ code: "NOT_FOUND" });
    }
  });

  test.each([
    ["/views/pairs/5", "path", "/views/pairs/{b}/{a}"],
    ["/views/things/a/b", "path", "/views/things/{id}"],
    ["/views/pairs/x/y", "path b", "a whole number"],
    ["/views/pairs/9223372036854775808/y", "path b", "a whole number"],
    ["/views/things/%00", "path id", "without a NUL"],
    ["/views/things/x?limit=1", "query limit", "not a parameter"],
    ["/views/things/x?waitMs=30001", "query waitMs", "from 0 to 30000"],
  ])("at an address like %s is refused by name", async (url, field, message) => {
    await expectRefusal(url, field, message);
  });
});

async function expectRefusal(url: string, field: string, message: string): Promise<void> {
  const { status, body, headers } = await served.get(url);
  expect(status).toBe(400);
  expect(headers["content-type"]).toContain("application/problem+json");
  expect(body["errors"]).toEqual([{ field, message: expect.stringContaining(message) as string }]);
}

describe("a list is filtered", () => {
  beforeEach(async () => {
    const { order, ...bare } = full;
    expect(order).toEqual({ n: 1 });
    await served.insert("things", full, {
      ...bare,
      id: "other",
      small: 7,
      big: "-9223372036854775808",
      cents: -5,
      exact: "0.01",
      rough: 1e300,
      single: 3.5,
      yes: false,
      at: "2026-01-31T12:00:00.123457Z",
      day: "2026-02-01",
      name: "O'Neil & co",
      code: "b",
      mark: "018f2d3c-7b1a-7c3e-9d5f-0123456789ac",
      mood: "bad",
    });
    await served.insert("things", { id: "void", needed: "" });
  });

  test.each([
    ["", ["full", "other", "void"]],
    ["small=7", ["other"]],
    ["small.gt=-99999999999", ["full", "other"]],
    ["big=9223372036854775807", ["full"]],
    ["big.lt=0&big.gte=-9223372036854775808", ["other"]],
    ["cents.lte=-5", ["other"]],
    ["exact=12345678901234567890.1", ["full"]],
    ["exact.gt=0.01", ["full"]],
    ["rough=1e300", ["other"]],
    ["rough.gt=1e-9999", ["full", "other"]],
    ["single=0.1", ["full"]],
    ["yes=true", ["full"]],
    ["at=2026-01-31T12:00:00.123456Z", ["full"]],
    ["at.gt=2026-01-31T13:00:00.123456%2B01:00", ["other"]],
    ["at.lt=2026-01-31T10:00:00.123457-02:00&at.gte=2026-01-31T13:00:00.123456+01:00", ["full"]],
    ["at.lt=2026-02-01T00:00Z", ["full", "other"]],
    ["day.gte=2026-02-01", ["other"]],
    ["name=Zo%C3%AB", ["full"]],
    ["name=O'Neil+%26+co", ["other"]],
    ["code=ab++", []],
    ["code=ab", ["full"]],
    ["mark=018F2D3C-7B1A-7C3E-9D5F-0123456789AC", ["other"]],
    ["mood=bad", ["other"]],
    ["mood=ugly", []],
    ["needed=", ["void"]],
    ["yes=true&needed=x&small.lt=0", ["full"]],
    ["id=full'--", []],
    ["id=..", []],
  ])("by %s", async (query, ids) => {
    expect(await idsOf(query)).toEqual(ids);
  });

  test.each([
    ["small=x", "query small", "a whole number"],
    ["small=", "query small", "a whole number"],
    ["big.gt=9223372036854775808", "query big.gt", "at most 64 bits"],
    ["exact=1e5", "query exact", "a decimal number"],
    ["rough=1e309", "query rough", "double precision"],
    ["rough=NaN", "query rough", "double precision"],
    ["single=1e39", "query single", "single precision"],
    ["yes=1", "query yes", "true or false"],
    ["at=2026-01-31T12:00:00", "query at", "with its zone"],
    ["at=2026-01-31T12:00:00+16:00", "query at", "with its zone"],
    ["at=2026-02-30T12:00:00Z", "query at", "with its zone"],
    ["at=0000-01-01T12:00:00Z", "query at", "with its zone"],
    ["day=2026-13-01", "query day", "a date"],
    ["name=a%00b", "query name", "NUL"],
    ["mark=1", "query mark", "a UUID"],
    ["order=1", "query order", "is jsonb, which cannot be filtered by"],
    ["local=1", "query local", "cannot be filtered by"],
    ["colour=red", "query colour", "the columns id, small"],
    ["small.eq=1", "query small.eq", "is not a parameter"],
    ["small.=1", "query small.", "is not a parameter"],
    [".gt=1", "query .gt", "is not a parameter"],
    ["__proto__=1", "query __proto__", "is not a parameter"],
    ["small=1&small=2", "query small", "more than once"],
    ["limit=0", "query limit", "from 1 to 500"],
    ["limit=501", "query limit", "from 1 to 500"],
    ["limit=1.5", "query limit", "from 1 to 500"],
    ["sort=colour", "query sort", "expected a column"],
    ["sort=--id", "query sort", "expected a column"],
    ["sort=order", "query sort", "cannot be sorted by"],
    ["waitMs=-1", "query waitMs", "milliseconds"],
  ])("and refuses %s by name", async (query, field, message) => {
    await expectRefusal(`/views/things?${query}`, field, message);
  });

  test("and refuses numbers without end", async () => {
    await expectRefusal(`/views/things?big=${"9".repeat(2000)}`, "query big", "64 bits");
    await expectRefusal(`/views/things?exact=${"1".repeat(1001)}`, "query exact", "1000 digits");
  });

  test("and names all that is wrong at once, up to twenty", async () => {
    const { body } = await served.get("/views/things?small=x&limit=0&sort=nothing&colour=red");
    expect(body["errors"]).toHaveLength(4);
    const many = Array.from({ length: 50 }, (_, i) => `x${i}=1`).join("&");
    expect((await served.get(`/views/things?${many}`)).body["errors"]).toHaveLength(20);
  });
});

test("a list comes in the order of its key, text as Postgres orders it", async () => {
  await served.insert("pairs", { a: "y", b: 2 }, { a: "x", b: 10 }, { a: "x", b: 2 });
  const { body } = await served.get("/views/pairs");
  const rows = body["rows"] as Record<string, unknown>[];
  expect(rows.map(({ a, b }) => [b, a])).toEqual([
    [2, "x"],
    [2, "y"],
    [10, "x"],
  ]);
  expect(body["next"]).toBeNull();
});

test("nothing can be asked of the list of views", async () => {
  await expectRefusal("/views?x=1", "query x", "takes none");
});
