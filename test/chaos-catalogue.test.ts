import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { parsePlan } from "./chaos/plan.ts";

/** The catalogue of faults: a plan a file, and a page that tells what each shows. */

const folder = join(import.meta.dirname, "chaos", "catalogue");
const page = readFileSync(join(folder, "README.md"), "utf8");
const files = ["", "long/", "beyond/"].flatMap((below) =>
  readdirSync(join(folder, below))
    .filter((name) => name.endsWith(".json"))
    .map((name) => `${below}${name}`),
);
const plans = files.map((file) => ({
  file,
  /** For example "F3" of "F03-end-transaction-stalled.json". */
  fault: faultOf(file),
  plan: parsePlan(JSON.parse(readFileSync(join(folder, file), "utf8"))),
}));

function faultOf(file: string): string {
  const name = file.replace(/^(long|beyond)\//, "").replace(/\.json$/, "");
  const number = /^F(\d\d)-/.exec(name)?.[1];
  return number === undefined ? name : `F${Number(number)}`;
}

/** The faults of the page's table, each with the files that its row names. */
const rows = new Map(
  [...page.matchAll(/^\| ([A-Z][A-Z0-9-]+) +\|(.*)\|$/gm)].map(([, fault = "", rest = ""]) => [
    fault,
    [...rest.matchAll(/\]\(([^)]+\.json)\)/g)].map(([, file = ""]) => file),
  ]),
);

const numbered = Array.from({ length: 34 }, (_, i) => `F${i + 1}`);
const named = ["WRONG-PARTITION", "RESUMED-WORKER", "IDLE-WEEK", "FOREIGN-STORE", "OLD-STORE"];
/** Not to be had on this rig; the page says why. */
const without = ["F12", "F26", "F28", "F29", "F30"];

describe("The catalogue", () => {
  test("has a plan for every fault, or says why not", () => {
    const planned = new Set(plans.map(({ fault }) => fault));
    const missing = [...numbered, ...named].filter((fault) => !planned.has(fault));
    expect(missing).toEqual(without);
    expect([...rows.keys()].sort()).toEqual([...numbered, ...named].sort());
  });

  test("tells of every plan, and of none that is not there", () => {
    const told = [...rows].flatMap(([fault, names]) => names.map((file) => ({ fault, file })));
    const there = plans.map(({ fault, file }) => ({ fault, file }));
    const byFile = (a: { file: string }, b: { file: string }) => (a.file < b.file ? -1 : 1);
    expect(told.toSorted(byFile)).toEqual(there.toSorted(byFile));
  });

  test.each(plans)(
    "$file: its faults bear its name, and its load goes on after them",
    ({ fault, plan }) => {
      expect(plan.faults.map(({ id }) => id).filter((id) => id !== fault)).toEqual([]);
      const ends = plan.faults.map(({ at, for: lasts }) => at + lasts);
      const after = plan.expects === "survives" ? 10_000 : 0;
      expect(Math.max(0, ...ends) + after).toBeLessThanOrEqual(plan.load.for);
    },
  );

  test.each(plans)("$file: nobody is hit who is not there", ({ plan }) => {
    const services = ["postgres", "registry", "broker"];
    const hit = plan.faults.flatMap((it) => [
      ...("target" in it ? [it.target] : []),
      ...("from" in it ? [it.from] : []),
    ]);
    const strangers = hit.filter((target) => {
      const [kind = "", which] = target.split("/");
      if (["leader", "controller"].includes(which ?? "")) return kind !== "broker";
      const count = services.includes(kind)
        ? kind === "broker"
          ? plan.brokers
          : 1
        : (plan.workers[kind] ?? 0);
      return Number(which ?? 1) > count;
    });
    expect(strangers).toEqual([]);
  });

  test("is run within an hour: no load of it lasts longer than a minute, but of those set apart", () => {
    const long = plans.filter(
      ({ file, plan }) => plan.load.for > 60_000 && !file.startsWith("long/"),
    );
    expect(long.map(({ file }) => file)).toEqual([]);
  });
});
