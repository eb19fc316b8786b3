import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFailed, onTestFinished, test } from "vitest";
import { parsePlan } from "./plan.ts";
import { whyNoHosts } from "./processes/hosts.ts";
import { startProcesses } from "./processes/system.ts";
import { runPlan } from "./run.ts";

/** The chaos of `npm run chaos` in short: the faults that matter most in one run, on processes of its own. */

const seed = Number(process.env["SEED"] ?? Math.floor(Math.random() * 1e6));

const plan = parsePlan({
  name: "in short",
  about:
    "A kill within a commit, a zombie, lost and stalled requests, a projector cut off, and poison.",
  seed,
  load: {
    ...{ rate: 150, for: 26_000, accounts: 100, http: 0.05 },
    mix: { duplicates: 0.03, expectedVersions: 0.05, poison: 0.02, wrongPartition: 0.01 },
  },
  workers: {
    ...{ account: 2, balances: 1, statements: 1 },
    ...{ command_status: 1, event_index: 1, gateway: 1 },
  },
  faults: [
    {
      ...{ id: "F4", at: 1_000, for: 2_000, does: "disturb" },
      ...{ link: "kafka", api: "Produce", how: "lose-answer", share: 0.3 },
    },
    {
      ...{ id: "F3", at: 3_000, for: 3_000, does: "disturb" },
      ...{ link: "kafka", api: "EndTxn", how: "stall", share: 0.3, ms: 11_000 },
    },
    { id: "F8", at: 6_000, for: 3_000, does: "isolate", target: "balances/1", from: "postgres" },
    { id: "F2", at: 8_000, for: 12_000, does: "pause", target: "account/2" },
    {
      ...{ id: "F1", at: 20_000, for: 8_000, does: "fail" },
      ...{ target: "account", point: "before:end-transaction" },
    },
  ],
  on: ["processes"],
});

test.skipIf(whyNoHosts() !== null)(
  "a bank holds every promise under kills, zombies, lost requests and poison",
  { timeout: 300_000 },
  async () => {
    const folder = mkdtempSync(join(tmpdir(), "foldlog-chaos-"));
    onTestFinished(() => {
      rmSync(folder, { recursive: true });
    });
    const steps: string[] = [];
    onTestFailed(() => {
      console.log([`SEED=${seed}`, ...steps].join("\n"));
    });
    const screen = { step: (text: string) => steps.push(text), live: () => undefined };
    const result = await runPlan(
      { plan, backEnd: "processes", folder, screen, start: startProcesses, replay: "" },
      AbortSignal.timeout(280_000),
    );
    expect(result.because).toEqual([]);
    expect(result.verdict).toBe("held");
    const shown = result.invariants.filter(({ checked }) => checked > 0).map(({ id }) => id);
    for (const id of ["I1", "I4", "I8", "I10", "I12", "oracle", "history", "order"]) {
      expect(shown).toContain(id);
    }
    expect(result.endings.map(({ how }) => how)).toEqual(["signal SIGKILL"]);
    expect(result.faults).toHaveLength(plan.faults.length);
    expect(result.commands.accepted).toBeGreaterThan(1_000);
  },
);
