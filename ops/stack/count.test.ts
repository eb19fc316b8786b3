import { expect, test } from "vitest";
import { countsOf, readCounts } from "./count.ts";

const ran = { status: "passed", assertionResults: [{}] };

test("skipped and left-open tests are counted as skipped", () => {
  const report = { numPassedTests: 5, numFailedTests: 1, numPendingTests: 2, numTodoTests: 3 };
  expect(countsOf({ ...report, testResults: [ran] })).toEqual({ passed: 5, failed: 1, skipped: 5 });
});

test("a file that fails before its first test counts as one failed", () => {
  const report = { numPassedTests: 5, numFailedTests: 0, numPendingTests: 0, numTodoTests: 0 };
  const broken = { status: "failed", assertionResults: [] };
  expect(countsOf({ ...report, testResults: [ran, broken] }).failed).toBe(1);
});

test("a run that left no report failed", () => {
  expect(readCounts("/nowhere/report.json")).toEqual({ passed: 0, failed: 1, skipped: 0 });
});
