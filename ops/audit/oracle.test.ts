import { expect, test } from "vitest";
import { reject } from "../../engine/decider.ts";
import { type AnyDecider, accountDecider } from "../../test/bank.ts";
import type { Violation } from "./findings.ts";
import { auditHistory } from "./testing/audited-history.ts";
import { copyOf } from "./testing/history.ts";
import { makeHistory } from "./testing/make-history.ts";

/** Histories that a processor with other rules made; the oracle is asked with the right ones. */

type Decide = AnyDecider["decide"];

async function auditedWith(decide: Decide): Promise<readonly Violation[]> {
  const history = await makeHistory(1, { decider: { ...accountDecider, decide }, faults: 0 });
  const { violations } = await auditHistory(history);
  return violations.filter(({ invariant }) => invariant === "oracle");
}

test("a processor with the same rules is in agreement with the oracle", async () => {
  expect(await auditedWith((command, state) => accountDecider.decide(command, state))).toEqual([]);
});

test("an event with another text is found out, with both", async () => {
  const [found] = await auditedWith((command, state) => {
    const decision = accountDecider.decide(command, state);
    if (decision.kind === "rejected") return decision;
    const [{ type, data }] = decision.events;
    if (type !== "FundsDeposited") return decision;
    return { kind: "accepted", events: [{ type, data: { ...data, reference: "forged" } }] };
  });
  expect(found?.expected).toMatch(/^accepted: FundsDeposited \{"amountCents":\d+,"reference"/);
  expect(found?.found).toMatch(/^accepted: FundsDeposited .*"forged"/);
  expect(found?.at).toMatch(/^audited\.account\.replies\/0\/\d+$/);
});

test("a decision on a state that is behind is found out", async () => {
  // As of a zombie that has not seen the last withdrawals.
  const all = await auditedWith((command, state) =>
    accountDecider.decide(command, { ...state, balanceCents: state.balanceCents + 50 }),
  );
  const found = all.map((it) => `${it.expected.slice(0, 27)} / ${it.found.slice(0, 24)}`);
  expect(found).toContain("rejected: InsufficientFunds / accepted: FundsWithdrawn");
});

test("a no for another reason is found out", async () => {
  const [found] = await auditedWith((command, state) => {
    const decision = accountDecider.decide(command, state);
    return decision.kind === "rejected" ? reject("Whim") : decision;
  });
  expect(found?.found).toBe("rejected: Whim");
});

test("a decider that throws where the right one does not is found out", async () => {
  const [found] = await auditedWith((command, state) => {
    if (command.type === "WithdrawFunds") throw new Error("a fault");
    return accountDecider.decide(command, state);
  });
  expect(found?.found).toBe("failed: DECIDER_THREW");
});

test("what was decided before a given time is not asked about", async () => {
  const decide: Decide = (command, state) => {
    const decision = accountDecider.decide(command, state);
    return decision.kind === "rejected" ? reject("Whim") : decision;
  };
  const history = await makeHistory(1, { decider: { ...accountDecider, decide }, faults: 0 });
  const times = history.log.replies.map(({ timestamp }) => timestamp);
  const oracle = async (decidedSince: number) => {
    const { report } = await auditHistory(copyOf(history), { decidedSince });
    return report.invariants.find(({ id }) => id === "oracle");
  };
  expect((await oracle(0))?.violated).toBeGreaterThan(0);
  expect((await oracle(Math.max(...times) + 1))?.violated).toBe(0);
});
