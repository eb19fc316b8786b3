import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type WrittenView, writtenView } from "./written-view.ts";

let view: WrittenView;

beforeAll(async () => {
  view = await writtenView();
});

beforeEach(async () => view.empty());

afterAll(async () => view.close());

describe("every kind of column takes its values unchanged", () => {
  const cases: [string, string, string | number | boolean | Date, unknown][] = [
    ["smallint", "small", -32_768, -32_768],
    ["integer", "middle", 2_147_483_647, 2_147_483_647],
    ["bigint", "big", Number.MAX_SAFE_INTEGER, BigInt(Number.MAX_SAFE_INTEGER)],
    ["a domain over bigint", "cents", 999_999, 999_999n],
    ["numeric", "exact", 0.1, "0.10"],
    ["double precision", "rough", 0.1 + 0.2, 0.1 + 0.2],
    ["a tiny double", "rough", 5e-324, 5e-324],
    ["boolean", "yes", false, false],
    [
      "timestamptz",
      "at",
      new Date("2020-02-29T23:59:59.999Z"),
      new Date("2020-02-29T23:59:59.999Z"),
    ],
    [
      "timestamptz in the year 1",
      "at",
      new Date("0001-01-01T00:00:00Z"),
      new Date("0001-01-01T00:00:00Z"),
    ],
    [
      "timestamptz in the year 9999",
      "at",
      new Date("9999-12-31T23:59:59.999Z"),
      new Date("9999-12-31T23:59:59.999Z"),
    ],
    ["timestamp, as UTC", "local", new Date("2020-02-29T23:59:59.5Z"), "2020-02-29 23:59:59.5"],
    ["date", "day", "2020-02-29", "2020-02-29"],
    ["jsonb", "order", '{"a": [1, "\\"x\\""]}', { a: [1, '"x"'] }],
    [
      "uuid",
      "mark",
      "0b5f5b7e-7a5b-4c5e-9d5e-1c2d3e4f5a6b",
      "0b5f5b7e-7a5b-4c5e-9d5e-1c2d3e4f5a6b",
    ],
    ["an enum", "mood", "bad", "bad"],
    ...[
      'a,b{c}"d\\e',
      "NULL",
      "",
      " ",
      "null",
      "\n\t\r",
      "{}",
      "Žluťoučký 🐎",
      "'; drop table",
      "$1",
      "\u{10ffff}",
    ].map((text): [string, string, string, string] => [
      `text ${JSON.stringify(text)}`,
      "must",
      text,
      text,
    ]),
  ];

  test.each(cases)("%s", async (_, column, value, stored) => {
    await view.write((rows) => {
      rows.things.insert("inserted", { [column]: value });
      rows.things.upsert("upserted", { [column]: value });
      rows.things.insert("empty", { [column]: null });
    });
    await view.write((rows) => {
      rows.things.patch("empty", { [column]: value });
      rows.things.upsert("upserted", { [column]: value });
    });
    const row = { [column]: stored };
    expect(await view.things(`"${column}"`)).toEqual([row, row, row]);
    await view.write((rows) => {
      rows.things.patch("empty", { [column]: null });
    });
    expect((await view.things(`id, "${column}"`))[0]).toEqual({ id: "empty", [column]: null });
  });

  test.each(["small", "middle", "big", "cents"])(
    "%s can be added to, from null too",
    async (column) => {
      await view.write((rows) => {
        rows.things.insert("x", { [column]: 5 });
        rows.things.insert("y", { must: "m" });
      });
      await view.write((rows) => {
        rows.things.add("x", { [column]: 3 });
        rows.things.add("x", { [column]: -1 }, { must: "seen" });
        rows.things.add("y", { [column]: 2 });
      });
      expect(await view.things(`id, ${column}::text as sum, must`)).toEqual([
        { id: "x", sum: "7", must: "seen" },
        { id: "y", sum: "2", must: "m" },
      ]);
    },
  );

  test("keys of several columns match in the order of the primary key, whatever is in them", async () => {
    const odd = ["__proto__", 'a"b', "a\\b", "a,b", "{}", "NULL", "", "\n", "🐎"];
    await view.write((rows) => {
      for (const [i, a] of odd.entries()) rows.pairs.insert([i, a], { n: i });
    });
    await view.write((rows) => {
      for (const [i, a] of odd.entries()) rows.pairs.add([i, a], { n: 1 });
    });
    const { rows } = await view.admin.query("select a, b, n from pairs order by b");
    expect(rows).toEqual(odd.map((a, i) => ({ a, b: BigInt(i), n: BigInt(i + 1) })));
  });

  test("a default stands where a column is not written, and is added to", async () => {
    await view.write((rows) => {
      rows.things.insert("x", {});
      rows.things.insert("y", {});
      rows.things.add("y", { count: 5 });
      rows.things.upsert("z", { must: "m" });
      rows.things.add("z", { count: 6 });
    });
    expect(await view.things("needed, count")).toEqual([
      { needed: "d", count: 100n },
      { needed: "d", count: 105n },
      { needed: "d", count: 106n },
    ]);
  });

  test("an upsert leaves the other columns of a row alone, even ones that must not be null", async () => {
    await view.write((rows) => {
      rows.pairs.insert([1, "a"], { n: 7 });
    });
    await view.write((rows) => {
      rows.pairs.upsert([1, "a"], { note: "seen" });
    });
    await view.write((rows) => {
      rows.pairs.upsert([1, "a"], {});
    });
    await view.write((rows) => {
      rows.pairs.upsert([2, "new"], { n: 1, note: null });
    });
    await view.write((rows) => {
      rows.pairs.delete([2, "new"]);
    });
    const { rows } = await view.admin.query("select n, note from pairs");
    expect(rows).toEqual([{ n: 7n, note: "seen" }]);
  });
});
