import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { type Draw, drawCommands } from "./chaos/load-commands.ts";
import { openHistory } from "./chaos/load-history.ts";
import { meaningOf } from "./chaos/load-http.ts";
import { catalogue, plansOf } from "./chaos/main-plans.ts";
import { type Round, totalLine } from "./chaos/main-rounds.ts";
import { drawPlan } from "./chaos/main-swarm.ts";
import { parsePlan } from "./chaos/plan.ts";
import { metricsIn } from "./chaos/run-rest.ts";
import { verdictOf } from "./chaos/run.ts";
import { announcementOf } from "./chaos/samples.ts";
import { topics } from "../topics/catalog.ts";

/** What a chaos run decides without touching anything: what is sent, what befalls the bank, what it is worth. */

const nothing = { duplicates: 0, expectedVersions: 0, poison: 0, oversize: 0, wrongPartition: 0 };

function draws(count: number, mix: Partial<typeof nothing> = {}, seed = 5): Draw[] {
  const all = drawCommands({
    load: { accounts: 10, mix: { ...nothing, ...mix } },
    ...{ seed, run: "r", now: () => 1_000, versionOf: () => 7 },
  });
  return Array.from({ length: count }, () => all.next().value);
}

const commandsIn = (all: readonly Draw[]) =>
  all.flatMap((draw) => (draw.kind === "command" ? [draw.command] : []));

describe("the load", () => {
  test("is the same for the same seed, and another for another", () => {
    expect(draws(200)).toEqual(draws(200));
    expect(draws(200)).not.toEqual(draws(200, {}, 6));
  });

  test("opens every account before it uses any, and never uses a command id twice", () => {
    const commands = commandsIn(draws(2_000));
    expect(commands.slice(0, 10).map(({ type }) => type)).toEqual(Array(10).fill("OpenAccount"));
    expect(new Set(commands.map(({ commandId }) => commandId)).size).toBe(commands.length);
  });

  test("goes on with a new account where one was closed", () => {
    const commands = commandsIn(draws(20_000));
    const closed = commands.filter(({ type }) => type === "CloseAccount");
    expect(closed.length).toBeGreaterThan(5);
    for (const { accountId } of closed) {
      const after = commands.slice(commands.findLastIndex((it) => it.accountId === accountId));
      expect(after[0]?.type).toBe("CloseAccount");
      expect(after[1]?.type).toBe("OpenAccount");
    }
  });

  test("mixes in what the plan says, about as often", () => {
    const all = draws(10_000, { duplicates: 0.1, poison: 0.05, wrongPartition: 0.05 });
    const share = (is: (draw: Draw) => boolean) => all.filter(is).length / all.length;
    expect(share(({ kind }) => kind === "again")).toBeCloseTo(0.1, 1);
    expect(share(({ kind }) => kind === "poison")).toBeCloseTo(0.05, 1);
    const wrong = commandsIn(all).filter(({ how }) => how === "wrong partition").length;
    expect(wrong / all.length).toBeCloseTo(0.05, 1);
  });

  test("sends a command again word for word", () => {
    const all = draws(1_000, { duplicates: 0.2 });
    const commands = commandsIn(all);
    const again = all.flatMap((draw) => (draw.kind === "again" ? [draw.command] : []));
    expect(again.length).toBeGreaterThan(100);
    const known = new Set(commands.map((it) => JSON.stringify(it)));
    expect(again.filter((it) => !known.has(JSON.stringify(it)))).toEqual([]);
  });

  test("expects versions that are so, and others that are stale", () => {
    const expected = commandsIn(draws(1_000, { expectedVersions: 1 })).slice(10);
    const right = expected.filter(({ expectedVersion }) => expectedVersion === 7).length;
    expect(right / expected.length).toBeCloseTo(0.5, 1);
  });
});

describe("a history", () => {
  test("names clients that are idle again, and keeps the order of what was written", () => {
    const folder = mkdtempSync(join(tmpdir(), "foldlog-history-"));
    const file = join(folder, "history.jsonl");
    const history = openHistory(file, "account", "client-");
    const [one, two] = [history.borrowProcess(), history.borrowProcess()];
    expect(one).not.toBe(two);
    history.returnProcess(one);
    expect(history.borrowProcess()).toBe(one);
    const about = { process: two, aggregateId: "a", f: "command", commandId: "c" } as const;
    history.write({ ...about, type: "invoke", expectedVersion: null });
    history.write({ ...about, type: "info" });
    history.close();
    const lines = readFileSync(file, "utf8").trimEnd().split("\n");
    rmSync(folder, { recursive: true });
    const entries = lines.map((line) => JSON.parse(line) as { t: number; type: string });
    expect(entries.map(({ type }) => type)).toEqual(["invoke", "info"]);
    expect(entries[0]?.t).toBeLessThanOrEqual(entries[1]?.t ?? 0);
  });
});

describe("an answer over HTTP", () => {
  const told = (status: number, body: Readonly<Record<string, unknown>>) =>
    meaningOf({ status, body }, "a");

  test("is unknown where the command is pending, or nobody can tell", () => {
    expect(told(202, { outcome: "pending" })).toBe("unknown");
    expect(told(503, { code: "NOT_ACKNOWLEDGED" })).toBe("unknown");
    expect(meaningOf("unknown", "a")).toBe("unknown");
  });

  test("says that nothing was sent only where the gateway says so", () => {
    expect(told(503, { code: "NOT_READY" })).toBe("never sent");
    expect(told(429, { code: "TOO_MANY_IN_FLIGHT" })).toBe("never sent");
    expect(told(500, { code: "INTERNAL" })).toBe("unknown");
  });

  test("has its outcome, version and reason where the bank has answered", () => {
    const body = { outcome: "rejected", version: 3, reason: "NotOpen", duplicate: false };
    expect(told(409, { code: "REJECTED", ...body })).toMatchObject({
      result: { outcome: "rejected", version: 3, reason: "NotOpen", commandOffset: "" },
      token: null,
    });
  });
});

describe("a swarm", () => {
  test("draws the same plan for the same seed, and each is one that a file may hold", () => {
    for (let seed = 0; seed < 300; seed++) {
      const plan = drawPlan(seed, { rate: 500, brokers: seed % 2 === 0 ? 1 : 3 });
      expect(parsePlan(JSON.parse(JSON.stringify(plan)))).toEqual(plan);
      expect(plan).toEqual(drawPlan(seed, { rate: 500, brokers: plan.brokers }));
      expect(plan.faults.length).toBeGreaterThanOrEqual(2);
      expect(plan.faults.every(({ at }) => at < plan.load.for)).toBe(true);
    }
  });

  test("draws every kind of fault within a few hundred seeds", () => {
    const plans = Array.from({ length: 300 }, (_, i) => drawPlan(i, { rate: 500, brokers: 3 }));
    const does = new Set(plans.flatMap(({ faults }) => faults.map((fault) => fault.does)));
    for (const kind of ["kill", "pause", "fail", "isolate", "disturb", "storm", "roll-brokers"]) {
      expect(does).toContain(kind);
    }
  });

  test("sums up its rounds, and names what did not hold", () => {
    const commands = { sent: 10, accepted: 9, rejected: 1, conflict: 0, failed: 0, unknown: 0 };
    const round = (verdict: Round["verdict"]): Round => ({
      ...{ seed: 1, rate: 500, brokers: 1, commit: "", startedAt: 0, endedAt: 60_000 },
      ...{ verdict, because: [], faults: [], commands, checked: 100, folder: "" },
    });
    expect(totalLine([round("held"), round("violated")])).toBe(
      "2 rounds in 2 min 0 s: 1 held, 1 violated; 20 commands, 200 checks",
    );
  });
});

describe("a verdict", () => {
  const none = { troubles: [], violations: [], restless: [] };

  test("is held only where nothing at all speaks against it", () => {
    expect(verdictOf(none)).toBe("held");
    expect(verdictOf({ ...none, restless: ["a view is behind"] })).toBe("not at rest");
  });

  test("is never held where a fault could not be done", () => {
    expect(verdictOf({ ...none, troubles: ["F1"] })).toBe("could not run");
    expect(verdictOf({ ...none, troubles: ["F1"], restless: ["…"] })).toBe("could not run");
  });

  test("is violated whatever else went wrong", () => {
    const all = { troubles: ["F1"], violations: ["I1"], restless: ["…"] };
    expect(verdictOf(all)).toBe("violated");
  });
});

test("the plans of a fault are found by its number, however the file writes it", () => {
  const plan = parsePlan({
    ...{ name: "n", about: "a", faults: [], on: ["processes"] },
    load: { rate: 1, for: 1, accounts: 1 },
  });
  const files = ["c/F01-one.json", "c/F1.json", "c/F10-ten.json", "c/IDLE-WEEK.json"];
  const all = files.map((file) => ({ file, plan }));
  const found = (id: string) => plansOf([id], all).map(({ file }) => file);
  expect(found("F1")).toEqual(["c/F01-one.json", "c/F1.json"]);
  expect(found("F10")).toEqual(["c/F10-ten.json"]);
  expect(found("IDLE-WEEK")).toEqual(["c/IDLE-WEEK.json"]);
  expect(() => found("F99")).toThrow("No plan of the catalogue is for F99");
});

test("every plan of the catalogue can be read", () => {
  expect(catalogue(null).length).toBeGreaterThan(30);
});

test("what a fault moves back on purpose is announced, and nothing else is", () => {
  const fault = (does: string) =>
    announcementOf(
      parsePlan({
        ...{ name: "n", about: "a", on: ["processes"], load: { rate: 1, for: 1, accounts: 1 } },
        faults: [{ id: "F1", at: 0, for: 0, does, target: "account" }],
      }).faults[0] as Parameters<typeof announcementOf>[0],
      topics.account,
    );
  expect(fault("reset-group")).toEqual({ what: "reset", of: "bank.account" });
  expect(fault("fail-over-postgres")).toEqual({ what: "fail-over", of: null });
  expect(fault("kill")).toBeNull();
});

test("a metric is read with its labels", () => {
  const text = `# HELP lag …\nlag{projection="balances",partition="3"} 12\nlag_other{a="b"} 1\n`;
  expect(metricsIn(text, "lag")).toEqual([
    { labels: { projection: "balances", partition: "3" }, value: 12 },
  ]);
});
