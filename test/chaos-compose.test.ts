import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { whyNotHere } from "./chaos/compose/faults.ts";
import { servicesFor } from "./chaos/compose/project.ts";
import { summaryLines } from "./chaos/compose/summary.ts";
import { requirePossible } from "./chaos/compose/system.ts";
import { deeds, shortTour, tour } from "./chaos/compose/tour.ts";
import { type Fault, parsePlan } from "./chaos/plan.ts";
import { exampleResult } from "./chaos/report-example.ts";
import { verdictSentence } from "./chaos/report-words.ts";
import type { ChaosResult } from "./chaos/result.ts";

const plain = (text: string) => text;
const paints = { good: plain, bad: plain, quiet: plain };
const summary = (result: ChaosResult) => summaryLines(result, paints).join("\n");

describe("the tour", () => {
  test("does everything to every service that it starts", () => {
    const plan = tour();
    const services = servicesFor(plan);
    for (const does of deeds) {
      const hit = plan.faults.flatMap((it) => (it.does === does ? [it.target] : []));
      const names = hit.map((target) => {
        const [kind = "", number] = target.split("/");
        return kind === "broker" ? `kafka${number === "1" ? "" : (number ?? "")}` : kind;
      });
      expect([...new Set(names)].sort(), does).toEqual([...services].sort());
    }
  });

  test("takes no two brokers at once: of three, two must be there for a command to be accepted", () => {
    const brokers = tour().faults.filter((it) => "target" in it && it.target.startsWith("broker"));
    expect(brokers).toHaveLength(12);
    brokers.slice(1).forEach((fault, i) => {
      const before = brokers[i];
      expect(fault.at - ((before?.at ?? 0) + (before?.for ?? 0))).toBeGreaterThan(10_000);
    });
  });

  test("is possible in containers, and so is its short form", () => {
    for (const plan of [tour(), shortTour()]) {
      expect(plan.faults.flatMap((fault) => whyNotHere(fault) ?? [])).toEqual([]);
      expect(plan.load.for).toBeGreaterThan(Math.max(...plan.faults.map((it) => it.at + it.for)));
    }
  });
});

test("every plan of the catalogue that names compose can be run there", () => {
  const folder = new URL("chaos/catalogue/", import.meta.url);
  const plans = readdirSync(folder)
    .filter((name) => name.endsWith(".json"))
    .map((name) => parsePlan(JSON.parse(readFileSync(new URL(name, folder), "utf8"))))
    .filter(({ on }) => on.includes("compose"));
  expect(plans.length).toBeGreaterThan(5);
  for (const plan of plans) {
    requirePossible(plan);
    expect(servicesFor(plan).length).toBeGreaterThan(3);
  }
});

describe("a plan that containers cannot do is refused before anything is started", () => {
  const plan = shortTour();

  test("with every reason at once", () => {
    const when = { at: 0, for: 1 };
    const faults: Fault[] = [
      { ...when, id: "F10", does: "fill-disk", target: "broker/1" },
      { ...when, id: "F7", does: "isolate", target: "account/1", from: "broker", direction: "in" },
    ];
    expect(() => {
      requirePossible({ ...plan, faults, on: ["processes"] });
    }).toThrow(/for processes; "fill-disk" is for processes.*; a container is cut off in both/);
  });

  test("also where it asks for a worker that docker-compose.yml does not have", () => {
    expect(() => servicesFor({ brokers: 1, workers: { transfers: 1 } })).toThrow(
      /asks for transfers; docker-compose.yml has the workers account, /,
    );
  });
});

describe("what a terminal shows at the end", () => {
  const held = exampleResult();

  test("has a row for each that was hit, with the times at which it was", () => {
    const [header = "", first = ""] = summary(held).split("\n").slice(1);
    expect(header).toMatch(/kill +pause +cut off/);
    expect(first).toMatch(/^ {2}account\/1 +0:07 2:54 +1:03/);
  });

  test("ends with the verdict, in the words of the page", () => {
    expect(summary(held).split("\n").at(-1)).toBe(`✓ Held. ${verdictSentence(held)}`);
  });

  test("shows what broke, and cannot be steered by it", () => {
    const invariants = held.invariants.map((it) => ({
      ...it,
      violated: 1,
      violations: ["account \x1b[2J is there twice"],
    }));
    const text = summary({ ...held, verdict: "violated", because: ["I1 is violated"], invariants });
    expect(text).toContain("account \\u{1b}[2J is there twice");
    expect(text).toMatch(/I1 is violated\n✗ Violated\./);
  });

  test("tells who ended by itself, and with which last words", () => {
    const ending = {
      t: 61_000,
      name: "account/2",
      how: 1,
      isWanted: false,
      said: "a\nOFFSETS_AHEAD",
    };
    expect(summary({ ...held, endings: [ending] })).toContain(
      "account/2 ended by itself at 1:01 with 1: OFFSETS_AHEAD",
    );
  });
});
