import { expect, test } from "vitest";
import type { AuditReport } from "./audit.ts";
import { type Invariant, invariants } from "./findings.ts";
import { reportLines } from "./report.ts";

const plain = { good: String, bad: String, quiet: String };

const held: AuditReport = {
  aggregate: "account",
  hasHeld: true,
  invariants: (Object.keys(invariants) as Invariant[]).map((id) => ({
    id,
    promise: invariants[id],
    checked: 20_986,
    violated: 0,
    violations: [],
  })),
  counts: {
    consumed: 20_986,
    waiting: 0,
    replies: 20_986,
    events: 20_977,
    deadLetters: 0,
    aggregates: 986,
    underWay: 0,
    expiredCommands: 0,
    expiredReplies: 0,
  },
  rows: { balances: 986, statements: 19_991 },
  expected: null,
};

test("a line an invariant, what was looked at, and the verdict", () => {
  const lines = reportLines(held, plain);
  expect(lines.filter((line) => /^\w+ +held +checked 20,986 /.test(line))).toHaveLength(18);
  expect(lines.slice(-2)).toEqual([
    "20,986 commands, 20,986 replies, 20,977 events, 0 dead letters, 986 accounts, 986 rows in balances, 19,991 rows in statements",
    "Every invariant held.",
  ]);
});

test("a violation with where, who, what was expected and what was found, on lines of their own", () => {
  const violation = {
    invariant: "I3" as const,
    at: "bank.account.events/3/17",
    aggregateId: "a\u001b[31m",
    commandId: "c-1",
    expected: "version 4",
    found: "version 6",
  };
  const report = {
    ...held,
    hasHeld: false,
    invariants: held.invariants.map((it) =>
      it.id === "I3" ? { ...it, violated: 12, violations: [violation] } : it,
    ),
  };
  const lines = reportLines(report, plain);
  const at = lines.findIndex((line) => line.startsWith("I3"));
  expect(lines.slice(at, at + 5)).toEqual([
    expect.stringMatching(/^I3 +violated 12 times  checked 20,986  the versions/),
    '     bank.account.events/3/17  aggregate "a\\u001b[31m"  command c-1',
    "       expected  version 4",
    "       found     version 6",
    "     and 11 more",
  ]);
  expect(lines.at(-1)).toBe("1 invariant is violated.");
});

test("what the file has otherwise, and that all else held", () => {
  const difference = { accountId: "a", column: "version", expected: "3", found: "2" } as const;
  const expected = {
    accounts: 2,
    agreeing: 1,
    others: 1,
    isWithoutRejections: true,
    differences: [difference],
  };
  const lines = reportLines({ ...held, hasHeld: false, expected }, plain);
  expect(lines).toContain(
    "     1 of 2 accounts as the file has them; 1 other account in the log; rejections not counted, for replies have expired",
  );
  expect(lines).toContain("     account a  version");
  expect(lines.at(-1)).toBe("Every invariant held, and the accounts are not as the file has them.");
});

test("what is under way or expired is said", () => {
  const counts = { ...held.counts, waiting: 3, underWay: 1, expiredCommands: 2, expiredReplies: 1 };
  const lines = reportLines({ ...held, counts }, plain).slice(-5, -1);
  expect(lines).toEqual([
    "3 commands not consumed yet, or while the audit ran",
    "1 handling under way, to be judged by a later audit",
    "2 commands expired, known by the reply alone",
    "1 command known by the events alone, the reply having expired",
  ]);
});
