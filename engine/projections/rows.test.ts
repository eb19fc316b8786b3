import { describe, expect, test } from "vitest";
import type { ColumnValue, RowKey, RowValues, TableRows } from "../projection.ts";
import { does, doing as doingOn } from "../testing/doing.ts";
import { type Changes, collect, UnapplicableError } from "./rows.ts";

type Rows = Readonly<Record<"things" | "others", TableRows>>;

const doing = doingOn({ things: "id text primary key", others: "id text primary key" });

function changesOf(...steps: ((rows: Rows) => void)[]): Changes {
  const collector = collect(doing);
  steps.forEach((step, index) => {
    collector.apply(does(step, index + 1));
  });
  return collector.changes();
}

function only(changes: Changes) {
  expect(changes).toHaveLength(1);
  expect(changes[0]?.rows).toHaveLength(1);
  return changes[0]?.rows[0];
}

function faultOf(...steps: ((rows: Rows) => void)[]): UnapplicableError {
  try {
    changesOf(...steps);
  } catch (error) {
    if (error instanceof UnapplicableError) return error;
    throw error;
  }
  throw new Error("nothing was refused");
}

describe("operations on one row compose", () => {
  const a = (values: RowValues) => new Map(Object.entries(values));

  test("a thousand additions are one", () => {
    const steps = Array.from({ length: 1000 }, (_, i) => (rows: Rows) => {
      rows.things.add("x", { sum: 2 }, { seen: i });
    });
    expect(only(changesOf(...steps))).toEqual({
      key: ["x"],
      before: "present",
      after: "kept",
      sets: a({ seen: 999 }),
      adds: new Map([["sum", 2000n]]),
    });
  });

  test.each<[string, ((rows: Rows) => void)[], string, string]>([
    [
      "insert",
      [
        (r) => {
          r.things.insert("x", {});
        },
      ],
      "absent",
      "fresh",
    ],
    [
      "upsert",
      [
        (r) => {
          r.things.upsert("x", {});
        },
      ],
      "any",
      "kept",
    ],
    [
      "patch",
      [
        (r) => {
          r.things.patch("x", {});
        },
      ],
      "present",
      "kept",
    ],
    [
      "delete",
      [
        (r) => {
          r.things.delete("x");
        },
      ],
      "present",
      "gone",
    ],
    [
      "insert, delete",
      [
        (r) => {
          r.things.insert("x", {});
          r.things.delete("x");
        },
      ],
      "absent",
      "gone",
    ],
    [
      "delete, insert",
      [
        (r) => {
          r.things.delete("x");
          r.things.insert("x", {});
        },
      ],
      "present",
      "fresh",
    ],
    [
      "delete, upsert",
      [
        (r) => {
          r.things.delete("x");
          r.things.upsert("x", {});
        },
      ],
      "present",
      "fresh",
    ],
    [
      "upsert, delete",
      [
        (r) => {
          r.things.upsert("x", {});
          r.things.delete("x");
        },
      ],
      "any",
      "gone",
    ],
    [
      "upsert, delete, insert",
      [
        (r) => {
          r.things.upsert("x", {});
          r.things.delete("x");
          r.things.insert("x", {});
        },
      ],
      "any",
      "fresh",
    ],
    [
      "insert, upsert",
      [
        (r) => {
          r.things.insert("x", {});
          r.things.upsert("x", {});
        },
      ],
      "absent",
      "fresh",
    ],
  ])("%s", (_, steps, before, after) => {
    expect(only(changesOf(...steps))).toMatchObject({ before, after });
  });

  test("an addition to a column that the batch has set is part of the value", () => {
    const change = only(
      changesOf((rows) => {
        rows.things.insert("x", { sum: 1, other: null });
        rows.things.add("x", { sum: 2, other: 3, unknown: 4 });
      }),
    );
    expect(change?.sets).toEqual(
      new Map([
        ["sum", 3n],
        ["other", 3n],
      ]),
    );
    expect(change?.adds).toEqual(new Map([["unknown", 4n]]));
  });

  test("a column that is set forgets what was added to it", () => {
    const change = only(
      changesOf((rows) => {
        rows.things.add("x", { sum: 2 });
        rows.things.patch("x", { sum: 9 });
      }),
    );
    expect(change).toMatchObject({ sets: a({ sum: 9 }), adds: new Map() });
  });

  test("sums are exact beyond the safe integers", () => {
    const most = Number.MAX_SAFE_INTEGER;
    const change = only(
      changesOf((rows) => {
        rows.things.add("x", { sum: most });
        rows.things.add("x", { sum: most });
        rows.things.add("x", { sum: 1 });
      }),
    );
    expect(change?.adds.get("sum")).toBe(18_014_398_509_481_983n);
  });
});

test("keys that are alike but not the same are different rows, and stand in one order", () => {
  const keys: RowKey[] = [
    "b",
    "1",
    1,
    ["a", 10],
    ["a", 9],
    "a",
    ["1", "1"],
    '["1"]',
    "__proto__",
    -0,
  ];
  const [table] = changesOf((rows) => {
    for (const key of keys) rows.things.upsert(key, {});
  });
  expect(table?.rows.map(({ key }) => key)).toEqual([
    [0],
    [1],
    ["1"],
    ["1", "1"],
    ['["1"]'],
    ["__proto__"],
    ["a"],
    ["a", 9],
    ["a", 10],
    ["b"],
  ]);
});

test("tables come in the order of their declaration, untouched ones not at all", () => {
  const both = changesOf((rows) => {
    rows.others.upsert("x", {});
    rows.things.upsert("x", {});
  });
  expect(both.map(({ table }) => table)).toEqual(["things", "others"]);
  expect(changesOf(() => undefined)).toEqual([]);
});

describe("a fault names the event, the table and what is wrong", () => {
  test("a row that is inserted twice", () => {
    const fault = faultOf(
      (rows) => {
        rows.things.insert("x", {});
      },
      (rows) => {
        rows.things.insert("x", {});
      },
    );
    expect(fault).toMatchObject({ table: "things", key: ["x"] });
    expect(fault.message).toBe(
      'table "things": insert of row ["x"], which is there already (event "a-1/2", Done, projection "doing")',
    );
  });

  test.each(["patch", "add", "delete"] as const)(
    "%s of a row that the batch has deleted",
    (kind) => {
      const fault = faultOf((rows) => {
        rows.things.delete("x");
        rows.things[kind]("x", {});
      });
      expect(fault.message).toContain(`${kind} of row ["x"], which this batch has deleted`);
    },
  );

  const valueFaults: [string, unknown, string][] = [
    ["U+0000", "a\0b", 'column "c" holds U+0000'],
    ["a lone surrogate", "\ud800", 'column "c" holds a lone surrogate'],
    ["NaN", NaN, 'column "c": NaN is not a number'],
    ["an unsafe integer", 2 ** 53, "is an integer outside ±(2^53−1)"],
    ["an infinity", -Infinity, 'column "c": -Infinity is not a number'],
    ["an invalid Date", new Date(NaN), 'column "c" is an invalid Date'],
    ["a Date beyond the year 9999", new Date(8.64e15), "outside the years 1 to 9999"],
    ["a Date before the year 1", new Date(-8.64e15), "outside the years 1 to 9999"],
    ["undefined", undefined, 'column "c" is undefined; it takes a string'],
    ["an object", {}, 'column "c" is a object; it takes a string'],
    ["a bigint", 1n, 'column "c" is a bigint; it takes a string'],
  ];
  test.each(valueFaults)("a value that is %s", (_, value, message) => {
    const fault = faultOf((rows) => {
      rows.things.upsert("x", { c: value as ColumnValue });
    });
    expect(fault.message).toContain(message);
    expect(fault.message).toContain('table "things"');
    expect(fault.message).toContain('event "a-1/1"');
  });

  test.each([
    ["U+0000", "a\0"],
    ["a lone surrogate", "\udc00"],
  ])("a key with %s", (what, key) => {
    expect(
      faultOf((rows) => {
        rows.things.upsert(key, {});
      }).message,
    ).toContain(`its key holds ${what}`);
  });

  test.each([[0.5], [2 ** 53], [NaN]])("a key that is the number %d", (key) => {
    expect(
      faultOf((rows) => {
        rows.things.upsert(key, {});
      }).message,
    ).toContain("safe integers");
  });

  test.each(["", "Owner", "1st", "_x", "__proto__", 'a"b', "a b", "ü", "x".repeat(64)])(
    "a column name that is %j",
    (column) => {
      const values = Object.fromEntries([[column, 1]]);
      const message = `${JSON.stringify(column)} cannot be a column name`;
      expect(
        faultOf((rows) => {
          rows.things.upsert("x", values);
        }).message,
      ).toContain(message);
      expect(
        faultOf((rows) => {
          rows.things.add("x", values);
        }).message,
      ).toContain(message);
    },
  );

  test.each([[0.5], [NaN], [2 ** 53]])("an amount of %d", (amount) => {
    const fault = faultOf((rows) => {
      rows.things.add("x", { c: amount });
    });
    expect(fault.message).toContain('column "c": only safe integers can be added');
  });

  test("a column that is added to and set at once", () => {
    const fault = faultOf((rows) => {
      rows.things.add("x", { c: 1 }, { c: 2 });
    });
    expect(fault.message).toContain('column "c" cannot be both added to and set');
  });

  test("an addition to a text that the batch has set", () => {
    const fault = faultOf((rows) => {
      rows.things.upsert("x", { c: "ten" });
      rows.things.add("x", { c: 1 });
    });
    expect(fault.message).toContain('column "c" is not an integer');
  });

  test("whatever apply throws", () => {
    const fault = faultOf(() => {
      throw new RangeError("no such month");
    });
    expect(fault.message).toContain('apply threw: no such month (event "a-1/1"');
    expect(fault.cause).toBeInstanceOf(RangeError);
  });
});

test("an event that cannot be applied leaves nothing behind", () => {
  const collector = collect(doing);
  collector.apply(
    does((rows: Rows) => {
      rows.things.add("x", { sum: 1 });
    }),
  );
  const before = collector.changes();
  expect(() => {
    collector.apply(
      does((rows: Rows) => {
        rows.things.add("x", { sum: 1 });
        rows.others.insert("new", {});
        rows.things.delete("x");
        rows.things.patch("x", {});
      }, 2),
    );
  }).toThrow(UnapplicableError);
  expect(collector.changes()).toEqual(before);
});

test("rows that apply kept for later are of no use", () => {
  const collector = collect(doing);
  let kept: Rows | undefined;
  collector.apply(
    does((rows: Rows) => {
      kept = rows;
    }),
  );
  expect(() => {
    kept?.things.upsert("x", {});
  }).toThrow("kept its rows after apply had returned");
});
