import { type Fault, parsePlan } from "./plan.ts";
import type { ChaosResult, Sample } from "./result.ts";

/** Made-up results, for the tests of the pages and for looking at them. */

/** A run that held, of `minutes` with a fault now and then, of many kinds and on many targets. */
export function exampleResult({ minutes = 4, faults = 12 } = {}): ChaosResult {
  const endMs = minutes * 60_000;
  const all = Array.from({ length: faults }, (_, i) => exampleFault(i, endMs / (faults + 1)));
  const plan = parsePlan({
    name: "every-service",
    about: "Each service is killed, paused, cut off and started again, one after the other.",
    seed: 7,
    load: { rate: 40, for: endMs, accounts: 50 },
    brokers: 3,
    faults: all,
    on: ["compose"],
  });
  const last = Math.max(0, ...all.map((fault) => fault.at + fault.for));
  return {
    plan,
    backEnd: "compose",
    commit: "5bbfbbb",
    startedAt: Date.UTC(2026, 0, 31, 12, 0, 0),
    endedAt: Date.UTC(2026, 0, 31, 12, minutes + 3, 20),
    verdict: "held",
    because: [],
    faults: plan.faults.map((fault) => ({ fault, from: fault.at, to: fault.at + fault.for })),
    samples: exampleSamples(plan.faults, Math.max(last, endMs) + 20_000),
    commands: {
      sent: 9_602,
      accepted: 8_811,
      rejected: 412,
      conflict: 240,
      failed: 121,
      unknown: 18,
    },
    invariants: [
      invariant("I1", "an accepted command has its events", 8_811),
      invariant("I3", "versions are 1..n without a gap", 8_811),
      invariant("I4", "a consumed command has one final answer", 9_584),
      invariant("I8", "a view is the fold of its events at its checkpoint", 104),
      invariant("I12", "a reader with a token never sees an older view", 0),
    ],
    endings: [],
    times: { toRestMs: 8_400, longestSilenceMs: 11_250 },
    replay: "npm run chaos:compose -- test/chaos/catalogue/every-service.json --seed 7",
  };
}

function invariant(id: string, promise: string, checked: number) {
  return { id, promise, checked, violated: 0, violations: [] };
}

function exampleFault(i: number, every: number): Fault {
  const when = { at: Math.round((i + 0.4) * every), for: Math.round(every * (0.3 + (i % 5) / 4)) };
  const workers = ["account/1", "balances/1", "account/2"];
  const worker = workers[i % workers.length] ?? "";
  const kinds: readonly Fault[] = [
    { ...when, id: "F1", does: "kill", target: worker },
    { ...when, id: "F5", does: "kill", target: "broker/leader" },
    { ...when, id: "F2", does: "pause", target: worker },
    {
      ...when,
      id: "F7",
      does: "isolate",
      target: worker,
      from: "broker/leader",
      direction: "out",
    },
    { ...when, id: "F13", does: "terminate", target: "postgres" },
    { ...when, id: "F4", does: "disturb", link: "kafka", how: "lose-answer", share: 0.2, ms: 0 },
    { ...when, id: "F14", does: "kill", target: "registry" },
    { ...when, id: "F23", does: "reset-group", target: worker, args: { to: "earliest" } },
    { ...when, id: "F1", does: "fail", target: worker, point: "before:end-transaction", times: 2 },
  ];
  return kinds[i % kinds.length] ?? { ...when, id: "F6", does: "kill", target: "broker/1" };
}

/** Brokers and workers that are away cost throughput; Postgres costs the views theirs. */
function exampleSamples(faults: readonly Fault[], endMs: number): readonly Sample[] {
  const samples: Sample[] = [];
  let [commandLag, balances, statements] = [0, 0, 0];
  for (let t = 1_000; t <= endMs; t += 1_000) {
    const now = faults.filter(({ at, for: lasts }) => t >= at && t < at + lasts);
    const isHit = (...ids: string[]) => now.some(({ id }) => ids.includes(id));
    const sent = t > endMs - 20_000 ? 0 : 40 + 6 * Math.sin(t / 7_000);
    const able = isHit("F1", "F2", "F5") ? 8 : isHit("F7", "F4") ? 25 : 110;
    const answered = Math.min(able, sent + commandLag);
    commandLag = Math.max(0, commandLag + sent - answered);
    balances = isHit("F13") ? balances + answered : Math.max(0, balances - 300);
    statements = isHit("F13", "F2") ? statements + 2 * answered : Math.max(0, statements - 150);
    const isKnown = !isHit("F13");
    samples.push({
      t,
      sentPerSecond: sent,
      answeredPerSecond: answered,
      commandLag: isHit("F5") ? null : Math.round(commandLag),
      viewLag: {
        balances: isKnown ? Math.round(balances) : null,
        statements: Math.round(statements),
      },
    });
  }
  return samples;
}
