import { expect, test } from "vitest";
import { TransientError } from "../errors.ts";
import { doing } from "../testing/doing.ts";
import { jumpingClock } from "../testing/jumping-clock.ts";
import { expireRows, mostAtOnce } from "./expiry.ts";
import type { OldRows } from "./views.ts";

const keeping = {
  ...doing({ things: "id text primary key" }),
  keeps: { things: { since: "at", days: 14 } },
};

/** Runs until `expire` has been asked so often; it answers with the numbers given, `null` is a failure. */
async function rounds(answers: readonly (number | null)[]) {
  const clock = jumpingClock();
  const stopping = new AbortController();
  const asked: (OldRows & { readonly atMs: number })[] = [];
  const told: unknown[] = [];
  const begun = clock.now();
  await expireRows(
    {
      projection: keeping,
      clock,
      views: {
        expire: async (old) => {
          const answer = answers[asked.length];
          asked.push({ ...old, atMs: clock.now() - begun });
          if (asked.length === answers.length) stopping.abort();
          if (answer === null) throw new TransientError("away");
          return answer ?? 0;
        },
      },
      expired: (table, rows) => told.push({ table, rows }),
      postponed: ({ message }) => told.push(message),
    },
    stopping.signal,
  );
  return { asked, told, begun };
}

test("rows of fourteen days are deleted, first after a minute and then hourly", async () => {
  const { asked, told, begun } = await rounds([3, 0, 5]);
  expect(asked.map(({ atMs }) => Math.round(atMs / 60_000))).toEqual([1, 61, 121]);
  expect(asked[0]?.before.getTime()).toBe(begun + 60_000 - 14 * 24 * 60 * 60_000);
  expect(told).toEqual([
    { table: "things", rows: 3 },
    { table: "things", rows: 5 },
  ]);
});

test("many rows go in bounded bites, one after the other", async () => {
  const { asked, told } = await rounds([mostAtOnce, mostAtOnce, 7, 0]);
  expect(asked.every(({ most }) => most === mostAtOnce)).toBe(true);
  expect((asked[2]?.atMs ?? 0) - (asked[0]?.atMs ?? 0)).toBeLessThan(1_000);
  expect(told).toEqual([{ table: "things", rows: 2 * mostAtOnce + 7 }]);
});

test("a database that is away is asked again an hour later", async () => {
  const { told } = await rounds([null, 2, 0]);
  expect(told).toEqual(["away", { table: "things", rows: 2 }]);
});

test("a view that keeps everything asks for nothing", async () => {
  const nothing = async () => {
    throw new Error("nobody asked for it");
  };
  const hooks = { expired: () => undefined, postponed: () => undefined };
  const of = { projection: doing({ things: "id text primary key" }), views: { expire: nothing } };
  await expireRows({ ...of, clock: jumpingClock(), ...hooks }, new AbortController().signal);
});
