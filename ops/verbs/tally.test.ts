import { describe, expect, test } from "vitest";
import type { Reply } from "../../engine/generated.ts";
import { summaryLines, summaryOf, Tally } from "./tally.ts";

const reply = (outcome: Reply["outcome"], more: Partial<Reply> = {}): Reply => ({
  commandId: "c",
  commandType: "DepositFunds",
  aggregateId: "a",
  commandOffset: 0,
  firstOffset: 0,
  outcome,
  version: 1,
  reason: null,
  duplicate: false,
  payloadHash: null,
  issuedAt: null,
  ...more,
});

function tallied(): Tally {
  const tally = new Tally();
  for (let i = 0; i < 97; i++) tally.answer(reply("accepted"), 10);
  tally.answer(reply("rejected", { reason: "InsufficientFunds" }), 10);
  tally.answer(reply("rejected", { reason: "InsufficientFunds", duplicate: true }), 10);
  tally.answer(reply("failed", { reason: "EXPIRED" }), 500);
  return tally;
}

const ended = { waited: true, sent: 101, unanswered: 1, tookMs: 2_020, seed: null };

describe("a summary", () => {
  test("counts what became of the commands, and why", () => {
    expect(summaryOf(tallied(), ended)).toMatchObject({
      sent: 101,
      accepted: 97,
      rejected: 2,
      conflict: 0,
      failed: 1,
      unanswered: 1,
      duplicates: 1,
      rejections: { InsufficientFunds: 2 },
      failures: { EXPIRED: 1 },
      commandsPerSecond: 50,
    });
  });

  test("has the median and the slowest hundredth", () => {
    const { p50Ms, p99Ms } = summaryOf(tallied(), ended);
    expect(p50Ms).toBeCloseTo(10, 0);
    expect(p99Ms).toBeLessThan(500);
    const slow = new Tally();
    for (let i = 0; i < 50; i++) slow.answer(reply("accepted"), i < 49 ? 1 : 900);
    expect(summaryOf(slow, ended).p99Ms).toBeCloseTo(900, -1);
  });

  test("of nothing answered has no latency", () => {
    const summary = summaryOf(new Tally(), { ...ended, sent: 0, unanswered: 0, tookMs: 0 });
    expect(summary).toMatchObject({ p50Ms: null, p99Ms: null, commandsPerSecond: 0 });
    expect(summaryLines(summary).join("\n")).not.toContain("p50");
  });

  test("reads as a table with the reasons counted", () => {
    const lines = summaryLines(summaryOf(tallied(), ended));
    expect(lines[0]).toMatch(/^sent +101 {2}in 2\.0 s, 50 commands\/s$/);
    expect(lines).toContainEqual(expect.stringMatching(/^rejected +2 {2}2 InsufficientFunds$/));
    expect(lines).toContainEqual(expect.stringMatching(/^failed +1 {2}1 EXPIRED$/));
    expect(lines).toContainEqual(expect.stringMatching(/^unanswered +1$/));
  });

  test("says nothing of answers that were not waited for", () => {
    const lines = summaryLines(summaryOf(new Tally(), { ...ended, waited: false, unanswered: 0 }));
    expect(lines.join("\n")).not.toMatch(/accepted|rejected/);
  });
});
