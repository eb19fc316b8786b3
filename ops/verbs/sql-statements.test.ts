import { describe, expect, test } from "vitest";
import { firstWord, isEmptySql, splitSql } from "./sql-statements.ts";

describe("SQL text", () => {
  test.each([
    ["select 1; select 2;", ["select 1", "select 2"], ""],
    ["select 1; select", ["select 1"], "select"],
    ["select ';'; x", ["select ';'"], "x"],
    ["select 'it''s; fine'; x", ["select 'it''s; fine'"], "x"],
    ["select E'\\';' ; x", ["select E'\\';'"], "x"],
    ["select '\\'; x", ["select '\\'"], "x"],
    ["select type'\\'; x", ["select type'\\'"], "x"],
    ['select ";""" ; x', ['select ";"""'], "x"],
    ["select 1 -- a; b\n; x", ["select 1 -- a; b"], "x"],
    ["select /* ; /* ; */ ; */ 1; x", ["select /* ; /* ; */ ; */ 1"], "x"],
    ["select $$;$$; x", ["select $$;$$"], "x"],
    ["select $a$;$$;$a$; x", ["select $a$;$$;$a$"], "x"],
    ["select $1; x", ["select $1"], "x"],
    ["select a$b; x", ["select a$b"], "x"],
    [";;  ;", [], ""],
    ["-- nothing\n;", [], ""],
    ["", [], ""],
  ])("%j splits into %j and the rest %j", (text, statements, rest) => {
    expect(splitSql(text)).toEqual({ statements, rest });
  });

  test.each(["select 'x;", 'select "x;', "select $$x;", "select 1 /* x;", "/* x;"])(
    "%j goes on",
    (text) => {
      expect(splitSql(text)).toEqual({ statements: [], rest: text });
    },
  );

  test("of a comment alone is nothing to wait for the end of", () => {
    expect(splitSql("-- hello").rest).toBe("");
    expect(isEmptySql("/* a */ -- b")).toBe(true);
  });

  test.each([
    ["SELECT 1", "select"],
    ["  -- c\n /* d */ (( with x as (select 1) select 2))", "with"],
    ["values (1)", "values"],
    ["", null],
    ["1", null],
  ])("%j begins with %j", (text, word) => {
    expect(firstWord(text)).toBe(word);
  });
});
