import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { shortTour } from "../chaos/compose/tour.ts";
import { startCompose } from "../chaos/compose/system.ts";
import type { ChaosResult } from "../chaos/result.ts";
import { runPlan } from "../chaos/run.ts";

/**
 * The shortest form of `npm run chaos:compose`: three brokers and their bank in containers, each kind of blow
 * once, and every promise checked afterwards.
 */

const minutes = 60_000;
let folder: string;
let result: ChaosResult;
const steps: string[] = [];

describe.skipIf(inject("whyNoContainers") !== null)("chaos on docker compose", () => {
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "foldlog-chaos-"));
    const screen = { step: (text: string) => steps.push(text), live: () => undefined };
    const replay = "npx vitest run test/containers/chaos.test.ts";
    result = await runPlan(
      { plan: shortTour(), backEnd: "compose", folder, replay, screen, start: startCompose },
      new AbortController().signal,
    );
  }, 20 * minutes);
  afterAll(() => {
    rmSync(folder, { recursive: true, force: true });
  });

  test("a broker and a worker killed, Postgres restarted, a broker cut off: every promise holds", () => {
    expect(result.because, steps.join("\n")).toEqual([]);
    expect(result.verdict).toBe("held");
  });

  test("what the plan says was done, and nothing else ended", () => {
    const done = result.faults.map(
      ({ fault }) => `${fault.does} ${"target" in fault && fault.target}`,
    );
    expect(done.sort()).toEqual([
      "isolate broker/2",
      "kill account/1",
      "kill broker/leader",
      "terminate postgres",
    ]);
    expect(result.endings.filter(({ isWanted }) => !isWanted)).toEqual([]);
    expect(result.endings.map(({ name }) => name)).toContain("account/1");
  });

  test("what was promised was looked at, on commands enough", () => {
    const checked = new Map(result.invariants.map((it) => [it.id, it.checked]));
    expect(checked.get("I1"), "accepted commands").toBeGreaterThan(100);
    expect(checked.get("I4"), "answers").toBeGreaterThan(200);
    expect(checked.get("I8"), "checkpoints of views").toBeGreaterThan(10);
  });
});
