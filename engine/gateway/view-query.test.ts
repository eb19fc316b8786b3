import { describe, expect, test } from "vitest";
import { Problem } from "./problem.ts";
import type { ServedColumn, ServedView } from "./view-catalog.ts";
import { cursorOf } from "./view-cursor.ts";
import { listStatement, parametersOf, readKey, readListQuery, rowStatement } from "./view-query.ts";
import { kindOf } from "./view-value.ts";

function column(name: string, type: string, nullable = false): ServedColumn {
  return { name, type, nullable, kind: kindOf(type) };
}

const columns = [
  column("account_id", "text"),
  column("version", "bigint"),
  column("limit", "bigint"),
  column("note", "character varying(20)", true),
  column("a.gt", "numeric(20,2)", true),
  column("-note", "text", true),
  column("shape", "jsonb", true),
];
const keys = columns.slice(0, 2);
const view: ServedView = { name: "odd", key: keys.map(({ name }) => name), columns, keys };

function statementOf(query: string) {
  return listStatement(view, readListQuery(view, parametersOf(`/views/odd?${query}`)));
}

function conditionOf(query: string): string {
  return / where (.*) order by /.exec(statementOf(query).sql)?.[1] ?? "";
}

function orderOf(query: string): string {
  return / order by (.*) limit /.exec(statementOf(query).sql)?.[1] ?? "";
}

function afterRow(sort: string, row: Readonly<Record<string, unknown>>): string {
  const list = readListQuery(view, new Map(sort === "" ? [] : [["sort", sort]]));
  return conditionOf(`sort=${sort}&after=${cursorOf(row, list)}`.replace(/^sort=&/, ""));
}

test("what a client sends is a parameter of the statement, never a part of it", () => {
  const { sql, values } = statementOf("note=%27%3B+drop+table+odd%3B--&version.gte=3&limit=7");
  expect(values).toEqual(["3", "'; drop table odd;--", 8]);
  expect(sql).toContain('where t."version" >= $1::bigint and t."note" = $2::text order by');
  expect(sql).toMatch(/ limit \$3$/);
  expect(sql).not.toContain("drop");
});

test("a list is read from the public view, what would lose digits as text", () => {
  expect(statementOf("").sql).toBe(
    'select t."account_id", t."version", t."limit", t."note", t."a.gt", t."-note", ' +
      't."shape"::text as "shape" from "public"."odd" as t ' +
      'order by t."account_id", t."version" limit $1',
  );
});

test("a row is found by the whole key", () => {
  const { sql, values } = rowStatement(view, readKey(view, ["a/1", "2"]));
  expect(sql).toContain('where t."account_id" = $1::text and t."version" = $2::bigint');
  expect(values).toEqual(["a/1", "2"]);
});

describe("a column with an odd name", () => {
  test("that is also a parameter's can be compared with all the same", () => {
    expect(conditionOf("limit.gte=5&limit.lte=5")).toBe(
      't."limit" >= $1::bigint and t."limit" <= $2::bigint',
    );
  });

  test("that ends like a comparison is taken at its word", () => {
    expect(conditionOf("a.gt=1")).toBe('t."a.gt" = $1::numeric');
    expect(conditionOf("a.gt.gt=1")).toBe('t."a.gt" > $1::numeric');
  });

  test("that begins like a descending sort is taken at its word", () => {
    expect(orderOf("sort=-note")).toBe('t."-note" nulls last, t."account_id", t."version"');
    expect(orderOf("sort=--note")).toContain('t."-note" desc nulls last');
  });
});

describe("the order", () => {
  test("is by the sort column, nulls last, then by the key", () => {
    expect(orderOf("sort=note")).toBe('t."note" nulls last, t."account_id", t."version"');
  });

  test("by a column of the key has the rest of the key behind it", () => {
    expect(orderOf("sort=-version")).toBe('t."version" desc, t."account_id"');
  });
});

describe("what is behind a row", () => {
  const row = { account_id: "a", version: 2n, note: "n" };

  test("by the key is one comparison, which an index on the key answers", () => {
    expect(afterRow("", row)).toBe('((t."account_id", t."version") > ($1::text, $2::bigint))');
  });

  test("by a column of the key, the greatest first, starts at that row", () => {
    expect(afterRow("-version", row)).toBe(
      '(t."version" <= $1::bigint and (t."version" < $1::bigint or ' +
        '(t."version" = $1::bigint and (t."account_id") > ($2::text))))',
    );
  });

  test("by a column with nulls includes the nulls", () => {
    expect(afterRow("note", row)).toBe(
      '(t."note" > $1::text or (t."note" = $1::text and ' +
        '(t."account_id", t."version") > ($2::text, $3::bigint)) or t."note" is null)',
    );
  });

  test("by a null is only other nulls", () => {
    expect(afterRow("note", { ...row, note: null })).toBe(
      '(t."note" is null and (t."account_id", t."version") > ($1::text, $2::bigint))',
    );
  });
});

test("a cursor whose list has another view's name is refused", () => {
  const other = { ...view, name: "even" };
  const cursor = cursorOf({ account_id: "a", version: 2n }, readListQuery(other, new Map()));
  expect(() => readListQuery(view, new Map([["after", cursor]]))).toThrow(Problem);
  expect(readListQuery(other, new Map([["after", cursor]])).after).toEqual(["a", "2"]);
});

test("a parameter is decoded once, and its name too", () => {
  expect(parametersOf("/views/odd?no%74e=%2525&a?b=c=d")).toEqual(
    new Map([
      ["note", "%25"],
      ["a?b", "c=d"],
    ]),
  );
});
