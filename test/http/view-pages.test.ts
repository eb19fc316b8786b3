import fc from "fast-check";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { cursorOf } from "../../engine/gateway/view-cursor.ts";
import { readListQuery } from "../../engine/gateway/view-query.ts";
import { type ServedViews, servedViews } from "./served-views.ts";

/** fast-check prints the seed of a failure; `SEED=…` repeats it. */
const seed = Number(process.env["SEED"] ?? Date.now() % 2 ** 31);

const tables = {
  things: `
    a     text,
    b     integer,
    n     bigint,
    m     integer not null,
    exact numeric,
    rough real,
    at    timestamptz,
    yes   boolean,
    name  text,
    mood  public.mood,
    "order" jsonb,
    primary key (b, a)`,
};

let served: ServedViews;

beforeAll(async () => {
  served = await servedViews(tables);
});

beforeEach(async () => {
  await served.admin.query(`truncate projection_${served.projection.name}.things_v1`);
});

afterAll(async () => {
  expect(served.faults).toEqual([]);
  await served.close();
});

type Row = Readonly<Record<string, unknown>>;

interface Page {
  readonly rows: readonly Row[];
  readonly next: string | null;
}

async function page(query: string): Promise<Page> {
  const { status, body, text } = await served.get(`/views/things?${query}`);
  expect(status, text).toBe(200);
  return body as unknown as Page;
}

/** The pages of a list put together, each of `limit` rows but the last. */
async function pages(query: string, limit: number): Promise<readonly Row[]> {
  const rows: Row[] = [];
  for (let after = ""; ;) {
    const found = await page(`${query}&limit=${limit}${after}`);
    rows.push(...found.rows);
    if (found.next === null) return rows;
    expect(found.rows).toHaveLength(limit);
    after = `&after=${encodeURIComponent(found.next)}`;
  }
}

const few = fc.integer({ min: -2, max: 2 });
const row = fc.record({
  a: fc.constantFrom("x", "y", "é", "Z", "", "a/b"),
  b: few,
  n: fc.option(fc.constantFrom("-9223372036854775808", "9223372036854775807", "0")),
  m: few,
  exact: fc.option(fc.constantFrom("1.0", "1.00", "0.3", "NaN", "12345678901234567890.5")),
  rough: fc.option(fc.constantFrom("0.1", "-0", "0", "1e-40", "Infinity", "NaN")),
  at: fc.option(
    fc.constantFrom("2026-01-01T00:00:00.000001Z", "2026-01-01Z", "-infinity", "0044-01-01 BC"),
  ),
  yes: fc.option(fc.boolean()),
  name: fc.option(
    fc.string({ unit: "grapheme", maxLength: 3 }).map((it) => it.replaceAll("\0", "")),
  ),
  mood: fc.option(fc.constantFrom("good", "bad")),
});
const rows = fc.uniqueArray(row, { selector: ({ a, b }) => `${b}/${a}`, maxLength: 12 });
const sorts = ["a", "b", "n", "m", "exact", "rough", "at", "yes", "name", "mood"];
const sort = fc.constantFrom(null, ...sorts, ...sorts.map((column) => `-${column}`));

/** The order by another hand: nulls last whichever way, the key behind. */
function orderBy(by: string | null): string {
  if (by === null) return "b, a";
  const column = by.replace("-", "");
  const compared = column === "mood" ? "mood::text" : column;
  return `${column} is null, ${compared} ${by.startsWith("-") ? "desc" : "asc"}, b, a`;
}

test(`pages put together are the whole list in its order (SEED=${seed})`, async () => {
  const shape = fc.record({
    rows,
    sort,
    limit: fc.integer({ min: 1, max: 4 }),
    filter: fc.boolean(),
  });
  await fc.assert(
    fc.asyncProperty(shape, async ({ rows: data, sort: by, limit, filter }) => {
      await served.admin.query(`truncate projection_${served.projection.name}.things_v1`);
      await served.insert("things", ...data);
      const where = filter ? "where m >= 0 and b < 2" : "";
      const expected = await served.admin.query(
        `select a, b from public.things ${where} order by ${orderBy(by)}`,
      );
      const query = `${by === null ? "" : `sort=${by}`}${filter ? "&m.gte=0&b.lt=2" : ""}`;
      const found = await pages(query, limit);
      expect(found.map(({ a, b }) => ({ a, b }))).toEqual(expected.rows);
    }),
    { seed, numRuns: 150 },
  );
});

test("a page holds 50 rows where no limit is given, and as many as 500", async () => {
  const many = Array.from({ length: 501 }, (_, b) => ({ a: "x", b, m: 0 }));
  await served.insert("things", ...many);
  expect((await page("")).rows).toHaveLength(50);
  const most = await page("limit=500");
  expect(most.rows).toHaveLength(500);
  expect((await page(`limit=500&after=${String(most.next)}`)).rows).toHaveLength(1);
});

test("rows that come and go between pages neither repeat nor hide the others", async () => {
  await served.insert("things", ...[1, 2, 3, 4].map((b) => ({ a: "x", b, m: b })));
  const first = await page("limit=2&sort=m");
  await served.admin.query(
    `delete from projection_${served.projection.name}.things_v1 where b = 2`,
  );
  await served.insert("things", { a: "x", b: 0, m: 0 }, { a: "x", b: 5, m: 5 });
  const rest = await page(`sort=m&after=${String(first.next)}`);
  expect([...first.rows, ...rest.rows].map(({ b }) => b)).toEqual([1, 2, 3, 4, 5]);
});

describe("a cursor", () => {
  let next: string;

  beforeEach(async () => {
    await served.insert("things", ...[1, 2, 3].map((b) => ({ a: "x", b, m: 0 })));
    next = String((await page("limit=1&sort=n&m.gte=0&b.gt=0")).next);
  });

  async function refusedWith(query: string): Promise<void> {
    const { status, body } = await served.get(`/views/things?${query}`);
    expect(status).toBe(400);
    expect(body).toMatchObject({ code: "INVALID_CURSOR", errors: [{ field: "query after" }] });
  }

  test("goes on with its list, in any order of the filters and any length of the page", async () => {
    const { rows: found } = await page(`after=${next}&b.gt=0&sort=n&m.gte=0&limit=2`);
    expect(found.map(({ b }) => b)).toEqual([2, 3]);
  });

  test.each([
    "sort=-n&m.gte=0&b.gt=0",
    "m.gte=0&b.gt=0",
    "sort=n&m.gte=0",
    "sort=n&m.gte=1&b.gt=0",
    "sort=n&m.gt=0&b.gt=0",
  ])("is refused by another list, such as %s", async (query) =>
    refusedWith(`${query}&after=${next}`),
  );

  test("is refused with any one character changed, lost or added", async () => {
    for (let at = 0; at < next.length; at++) {
      const other = next[at] === "A" ? "B" : "A";
      const query = "sort=n&m.gte=0&b.gt=0&after=";
      await refusedWith(`${query}${next.slice(0, at)}${other}${next.slice(at + 1)}`);
      await refusedWith(`${query}${next.slice(0, at)}${next.slice(at + 1)}`);
      await refusedWith(`${query}${next.slice(0, at)}${other}${next.slice(at)}`);
    }
  });

  test.each([
    ["", { n: null, b: 1, a: "\0" }],
    ["sort=n", { n: "x", b: 1, a: "x" }],
    ["sort=at", { at: "the day after tomorrow", b: 1, a: "x" }],
    ["sort=m", { m: null, b: 1, a: "x" }],
    ["sort=n", { n: "1", b: "99999999999999999999", a: "x" }],
  ])("that was forged for the list %j is refused too", async (query, forged) => {
    const views = await served.database
      .open(served.database.superuserUrl)
      .transaction("snapshot", async (session) => served.catalog.load(session));
    const [view] = views;
    if (view === undefined) throw new Error("there is a view");
    const list = readListQuery(view, new Map(new URLSearchParams(query)));
    await refusedWith(`${query}&after=${cursorOf(forged, list)}`);
  });

  test("that would not fit into an address is not given: the sort is refused", async () => {
    await served.insert("things", { a: "y", b: 0, m: 0, name: "x".repeat(10_000) });
    const { status, body } = await served.get("/views/things?sort=name&limit=1");
    expect(status).toBe(400);
    expect(body["errors"]).toMatchObject([{ field: "query sort" }]);
    expect((await page("sort=name")).rows).toHaveLength(4);
  });
});

test(`whatever is asked, the answer is never a fault of the server (SEED=${seed})`, async () => {
  await served.insert("things", { a: "x", b: 1, m: 0 });
  const anyByte = fc
    .integer({ min: 0, max: 255 })
    .map((it) => `%${it.toString(16).padStart(2, "0")}`);
  const odd = fc.constantFrom(
    "%",
    "%0",
    "%zz",
    "+",
    "&",
    "=",
    ".",
    "-",
    "/",
    ";",
    "9".repeat(400),
    "1e999",
  );
  const word = fc.constantFrom(
    ...sorts,
    "order",
    "limit",
    "after",
    "token",
    "waitMs=0",
    "sort",
    "gt",
    "x",
  );
  const text = fc
    .string({ unit: "binary", maxLength: 8 })
    .map((it) => encodeURIComponent(it.toWellFormed()));
  const part = fc.array(fc.oneof(anyByte, odd, word, text, fc.integer().map(String)), {
    maxLength: 5,
  });
  const parameter = fc.tuple(
    fc.oneof(
      word,
      part.map((it) => it.join("")),
    ),
    fc.constantFrom("=", ".gt=", ".lte=", ""),
    part,
  );
  const url = fc.record({
    path: fc.array(
      fc.oneof(
        part.map((it) => it.join("")),
        fc.constantFrom("things", "1", "x"),
      ),
      { maxLength: 4 },
    ),
    query: fc.array(parameter, { maxLength: 4 }),
  });
  await fc.assert(
    fc.asyncProperty(url, async ({ path, query }) => {
      const asked = query.map(([name, operator, value]) => `${name}${operator}${value.join("")}`);
      const response = await served.app.inject(`/views/${path.join("/")}?${asked.join("&")}`);
      expect(response.statusCode).toBeLessThan(500);
      expect(served.faults).toEqual([]);
    }),
    { seed, numRuns: 800 },
  );
});
