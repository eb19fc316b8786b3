import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { Checkpoint } from "../../engine/projections/views.ts";
import { type Rows, topicPartition, type WrittenView, writtenView } from "./written-view.ts";

const { signal } = new AbortController();

let view: WrittenView;

beforeAll(async () => {
  view = await writtenView();
});

beforeEach(async () => view.empty());

afterAll(async () => view.close());

describe("rows and checkpoint change together", () => {
  test("in one transaction", async () => {
    await view.write((rows) => {
      rows.things.insert("x", { big: 1 });
      rows.pairs.insert([1, "a"], { n: 1 });
    });
    const { rows } = await view.admin.query(
      `select t.xmin::text = c.xmin::text and p.xmin::text = c.xmin::text as same
       from projection_${view.projection.name}.things_v1 t, projection_${view.projection.name}.pairs_v1 p,
            foldlog.checkpoints c`,
    );
    expect(rows).toEqual([{ same: true }]);
    expect(await view.views.checkpoint(topicPartition, signal)).toEqual({
      nextOffset: 10n,
      commandOffset: 2n ** 60n,
      version: Number.MAX_SAFE_INTEGER,
    });
  });

  test("or not at all", async () => {
    await view.write((rows) => {
      rows.things.insert("x", { big: 1 });
    });
    await view.refusal((rows) => {
      rows.pairs.insert([1, "a"], { n: 1 });
      rows.things.patch("x", { big: -1 });
    });
    expect(await view.things("big")).toEqual([{ big: 1n }]);
    expect((await view.admin.query("select from pairs")).count).toBe(0);
    expect(await view.views.checkpoint(topicPartition, signal)).toEqual(view.checkpoint);
  });

  test("also where only the position moves", async () => {
    await view.write();
    const next = { nextOffset: 11n, commandOffset: null, version: null };
    await view.views.commit(
      { topicPartition, expected: view.checkpoint, next, changes: [] },
      signal,
    );
    expect(await view.views.checkpoint(topicPartition, signal)).toEqual(next);
  });
});

describe("a zombie is refused", () => {
  const at = (nextOffset: bigint, version: number | null = 1) =>
    ({ nextOffset, commandOffset: version === null ? null : 1n, version }) as const;

  test.each<[string, Checkpoint | null, Checkpoint | null]>([
    ["behind the stored checkpoint", at(5n), at(4n)],
    ["ahead of it", at(5n), at(6n)],
    ["at the same offset with another version", at(5n, 1), at(5n, 2)],
    ["at the same offset after another command", at(5n), { ...at(5n), commandOffset: 2n }],
    ["at the same offset before any event", at(5n, 1), at(5n, null)],
    ["that thinks there is none", at(5n), null],
    ["where there is none", null, at(5n)],
  ])("%s", async (_, stored, expected) => {
    if (stored !== null) {
      await view.views.commit(
        { topicPartition, expected: null, next: stored, changes: [] },
        signal,
      );
    }
    view.checkpoint = expected;
    await expect(
      view.write((rows) => {
        rows.things.upsert("x", {});
      }),
    ).rejects.toMatchObject({
      name: "WriterLostError",
      reason: "fenced",
    });
    expect(await view.things()).toEqual([]);
    expect(await view.views.checkpoint(topicPartition, signal)).toEqual(stored);
  });

  test("as a zombie, even where its rows would be refused as well", async () => {
    await view.write((rows) => {
      rows.things.insert("x", {});
    });
    view.checkpoint = null; // It has not seen that commit.
    await expect(
      view.write((rows) => {
        rows.things.insert("x", {});
      }),
    ).rejects.toMatchObject({
      reason: "fenced",
    });
  });

  test.each([null, at(5n)])("of several at once all but one (from %o)", async (expected) => {
    if (expected !== null) {
      await view.views.commit(
        { topicPartition, expected: null, next: expected, changes: [] },
        signal,
      );
    }
    const commits = Array.from({ length: 6 }, async (_, i) =>
      view.views.commit(
        { topicPartition, expected, next: at(10n + BigInt(i)), changes: [] },
        signal,
      ),
    );
    const outcomes = await Promise.allSettled(commits);
    const lost = outcomes.filter((outcome) => outcome.status === "rejected");
    expect(lost).toHaveLength(5);
    for (const { reason } of lost) expect(reason).toMatchObject({ reason: "fenced" });
  });
});

describe("what Postgres refuses is named by table, row and cause", () => {
  const key = ["x"];
  type Case = [string, (rows: Rows) => void, { sqlState: string | null; message: string }];
  const cases: Case[] = [
    [
      "a check",
      (r) => {
        r.things.insert("x", { big: -1 });
      },
      { sqlState: "23514", message: "things_v1_big_check" },
    ],
    [
      "not null",
      (r) => {
        r.things.insert("x", { needed: null });
      },
      { sqlState: "23502", message: '"needed"' },
    ],
    [
      "a row that is there",
      (r) => {
        r.things.insert("x", {});
        r.things.insert("there", {});
      },
      { sqlState: "23505", message: "things_v1_pkey" },
    ],
    [
      "another unique column",
      (r) => {
        r.things.insert("x", { name: "taken" });
      },
      { sqlState: "23505", message: "things_v1_name_key" },
    ],
    [
      "a text that is too long",
      (r) => {
        r.things.insert("x", { name: "n".repeat(21) });
      },
      { sqlState: "22001", message: "too long" },
    ],
    [
      "a number out of range",
      (r) => {
        r.things.insert("x", { small: 32_768 });
      },
      { sqlState: "22003", message: "out of range" },
    ],
    [
      "a sum out of range",
      (r) => {
        r.things.add("there", { small: 32_767 });
      },
      { sqlState: "22003", message: "out of range" },
    ],
    [
      "no such enum label",
      (r) => {
        r.things.insert("x", { mood: "so so" });
      },
      { sqlState: "22P02", message: "mood" },
    ],
    [
      "a domain's check",
      (r) => {
        r.things.insert("x", { cents: 1_000_000 });
      },
      { sqlState: "23514", message: "cents" },
    ],
    [
      "no such date",
      (r) => {
        r.things.insert("x", { day: "2021-02-29" });
      },
      { sqlState: "22008", message: "2021-02-29" },
    ],
    [
      "no JSON",
      (r) => {
        r.things.insert("x", { order: "{" });
      },
      { sqlState: "22P02", message: "json" },
    ],
    [
      "a row to patch that is not there",
      (r) => {
        r.things.patch("x", { big: 1 });
      },
      { sqlState: null, message: 'row ["x"] is not there' },
    ],
    [
      "a row to add to that is not there",
      (r) => {
        r.things.add("x", { big: 1 });
      },
      { sqlState: null, message: 'row ["x"] is not there' },
    ],
    [
      "a row to delete that is not there",
      (r) => {
        r.things.delete("x");
      },
      { sqlState: null, message: 'row ["x"] is not there' },
    ],
    [
      "a row to see that is not there",
      (r) => {
        r.things.patch("x", {});
      },
      { sqlState: null, message: 'row ["x"] is not there' },
    ],
    [
      "a row that is there, though inserted and deleted",
      (r) => {
        r.things.insert("there", {});
        r.things.delete("there");
      },
      { sqlState: null, message: 'row ["there"] is there already' },
    ],
    [
      "a column that is not there",
      (r) => {
        r.things.insert("x", { other: 1 });
      },
      { sqlState: null, message: 'column "other" is not there' },
    ],
    [
      "a column of the key",
      (r) => {
        r.things.insert("x", { id: "y" });
      },
      { sqlState: null, message: 'column "id" is of the key' },
    ],
    [
      "a key of another length",
      (r) => {
        r.things.insert(["x", "y"], {});
      },
      { sqlState: null, message: "is not one of (id)" },
    ],
    [
      "a key of another type",
      (r) => {
        r.things.insert(1, {});
      },
      { sqlState: null, message: '"id" is text and does not take a number' },
    ],
    [
      "a text for a number",
      (r) => {
        r.things.insert("x", { big: "1" });
      },
      { sqlState: null, message: '"big" is bigint and does not take a string' },
    ],
    [
      "a fraction for an integer",
      (r) => {
        r.things.insert("x", { big: 0.5 });
      },
      { sqlState: null, message: "does not take a number" },
    ],
    [
      "a number for a text",
      (r) => {
        r.things.insert("x", { must: 1 });
      },
      { sqlState: null, message: "does not take a number" },
    ],
    [
      "a Date for a date",
      (r) => {
        r.things.insert("x", { day: new Date() });
      },
      { sqlState: null, message: "does not take a Date" },
    ],
    [
      "an addition to a fraction",
      (r) => {
        r.things.add("there", { rough: 1 });
      },
      { sqlState: null, message: "only smallint, integer and bigint" },
    ],
  ];

  test.each(cases)("%s", async (_, apply, { sqlState, message }) => {
    await view.write((rows) => {
      rows.things.insert("there", { name: "taken", small: 1, must: "m" });
    });
    const before = await view.things();
    const error = await view.refusal(apply);
    expect(error).toMatchObject({ table: "things", sqlState });
    expect(error.message).toContain('table "things": ');
    expect(error.message).toContain(message);
    expect(await view.things()).toEqual(before);
  });

  test("a constraint that is checked at the COMMIT", async () => {
    const error = await view.refusal((rows) => {
      rows.pairs.insert([1, "a"], { n: 1, note: "same" });
      rows.pairs.insert([2, "a"], { n: 1, note: "same" });
    });
    expect(error).toMatchObject({ table: "pairs", key: null, sqlState: "23505" });
    expect((await view.admin.query("select from pairs")).count).toBe(0);
    await view.write(); // The connection is of use, the checkpoint where it was.
  });

  test("the key is named where one row is to blame, and none where it is one of several", async () => {
    expect(
      await view.refusal((r) => {
        r.things.insert("x", { big: -1 });
      }),
    ).toMatchObject({ key });
    const several = await view.refusal((r) => {
      r.things.patch("x", { big: 1 });
      r.things.patch("y", { big: 1 });
    });
    expect(several).toMatchObject({ key: null });
    expect(several.message).toBe('table "things": one of 2 rows is not there');
  });

  test("what the rows hold is not told: a message may end in a log", async () => {
    const error = await view.refusal((r) => {
      r.things.insert("x", { must: "secret", needed: null });
    });
    expect(JSON.stringify([error, error.message, error.cause, error.stack])).not.toContain(
      "secret",
    );
  });
});
