import { describe, expect, test } from "vitest";
import { isValidId, issueTimeOf, uuidV7 } from "../../engine/message.ts";
import { account } from "../../processors/aggregates/account.ts";
import type { AccountCommand, AccountState } from "../../schemas/generated.ts";
import {
  dueAfter,
  load,
  type MadeCommand,
  type Pace,
  paced,
  seededRandom,
  totalOf,
} from "./load.ts";

const atNoon = { now: () => 1_760_000_000_000 };

function made(options: { seed: string; accounts: number; count: number }): MadeCommand[] {
  const commands = load({ ...options, clock: atNoon });
  return Array.from({ length: options.count }, () => commands.next().value);
}

/** What the decider answers to each, on a bank that had none of these accounts. */
function answers(commands: readonly MadeCommand[]): readonly string[] {
  const states = new Map<string, AccountState>();
  return commands.map(({ type, fields }) => {
    const id = String(fields["accountId"]);
    const state = states.get(id) ?? account.initialState;
    const command = { type, data: { reference: null, ...fields } } as unknown as AccountCommand;
    const decision = account.decide(command, state);
    if (decision.kind === "rejected") return decision.reason;
    states.set(
      id,
      decision.events.reduce((folded, event) => account.evolve(folded, event), state),
    );
    return "accepted";
  });
}

describe("load", () => {
  test("is the same for the same seed and clock, and another for another seed", () => {
    const options = { accounts: 3, count: 200 };
    expect(made({ ...options, seed: "7" })).toEqual(made({ ...options, seed: "7" }));
    expect(made({ ...options, seed: "7" })).not.toEqual(made({ ...options, seed: "8" }));
  });

  test("opens every account first, each once", () => {
    const opening = made({ seed: "7", accounts: 50, count: 51 });
    const types = opening.map(({ type }) => type);
    expect(types.slice(0, 50).every((type) => type === "OpenAccount")).toBe(true);
    expect(types[50]).not.toBe("OpenAccount");
    expect(new Set(opening.slice(0, 50).map(({ fields }) => fields["accountId"])).size).toBe(50);
  });

  test("is accepted but for the withdrawals of more than there is, which are some in ten", () => {
    const found = answers(made({ seed: "7", accounts: 10, count: 5_010 }));
    const counts: Record<string, number> = {};
    for (const it of found) counts[it] = (counts[it] ?? 0) + 1;
    expect(Object.keys(counts).sort()).toEqual(["InsufficientFunds", "accepted"]);
    expect(counts["InsufficientFunds"]).toBeGreaterThan(400);
    expect(counts["InsufficientFunds"]).toBeLessThan(600);
  });

  test("has command ids of its own that tell when they were issued", () => {
    const ids = made({ seed: "7", accounts: 2, count: 2_000 }).map(({ fields }) =>
      String(fields["commandId"]),
    );
    expect(new Set(ids).size).toBe(2_000);
    expect(ids.every((id) => isValidId(id) && issueTimeOf(id, null) === atNoon.now())).toBe(true);
  });
});

test("a UUIDv7 has its version and variant, whatever chance brings", () => {
  const random = seededRandom("uuid");
  for (const next of [random, () => 0, () => 1 - 2 ** -32]) {
    expect(uuidV7(1, next)).toMatch(/^00000000-0001-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  }
});

test("seeded chance fills its range evenly", () => {
  const random = seededRandom("even");
  const tenths = new Array<number>(10).fill(0);
  for (let i = 0; i < 10_000; i++) {
    const tenth = Math.floor(random() * 10);
    tenths[tenth] = (tenths[tenth] ?? 0) + 1;
  }
  for (const share of tenths) expect(share).toBeGreaterThan(850);
});

describe("a pace", () => {
  const pace = { rate: 20, forMs: 2_000 };

  test("makes rate times time commands", () => {
    expect(totalOf(pace)).toBe(40);
    expect(totalOf({ rate: 0.1, forMs: 1_000 })).toBe(1);
  });

  test("is due at once, then evenly, and never beyond its total", () => {
    expect([0, 49, 50, 1_000, 60_000].map((ms) => dueAfter(ms, pace))).toEqual([1, 1, 2, 21, 40]);
  });

  /** Takes commands from a pace on a clock whose sleeps last longer than asked for. */
  async function take(pace: Pace, { lateBy, msEach }: { lateBy: number; msEach: number }) {
    let now = 0;
    const clock = {
      now: () => now,
      random: () => 0.5,
      sleep: async (ms: number) => {
        now += ms * lateBy;
      },
    };
    const commands = load({ accounts: 5, seed: "pace", clock });
    let taken = 0;
    for await (const some of paced(commands, pace, clock, new AbortController().signal)) {
      taken += some.length;
      now += some.length * msEach;
    }
    return { taken, now };
  }

  test.each([1, 1.07, 1.9])("gives all that it has where timers are late by %f", async (lateBy) => {
    for (const rate of [0.5, 20, 333, 5_000]) {
      const { taken } = await take({ rate, forMs: 2_000 }, { lateBy, msEach: 0 });
      expect(taken).toBe(totalOf({ rate, forMs: 2_000 }));
    }
  });

  test("ends with its time where commands are taken too slowly", async () => {
    const { taken, now } = await take({ rate: 1_000, forMs: 2_000 }, { lateBy: 1, msEach: 10 });
    expect(now).toBeLessThan(4_000);
    expect(taken).toBeLessThan(400);
  });
});
