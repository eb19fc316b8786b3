import { describe, expect, test } from "vitest";
import { ExpectedComparison, parseExpected } from "./expected.ts";

const header = "account_id,balance_cents,version,rejected";

describe("a file of expected accounts", () => {
  test("is read line by line, ids with commas and quotes too", () => {
    const expected = parseExpected(`${header}\ncz-1,500,3,0\r\n"a,""b""",0,1,2\n`);
    expect([...expected]).toEqual([
      ["cz-1", { balanceCents: 500, version: 3, rejected: 0 }],
      ['a,"b"', { balanceCents: 0, version: 1, rejected: 2 }],
    ]);
  });

  test.each([
    ["", /line 1 is not the header/],
    ["account_id,balance\n", /line 1 is not the header/],
    [`${header}\na,1,2\n`, /line 2 is not/],
    [`${header}\na,1,2,3\nb,1.5,2,3\n`, /line 3 is not/],
    [`${header}\n,1,2,3\n`, /line 2 is not/],
    [`${header}\na,9007199254740993,2,3\n`, /line 2 is not/],
    [`${header}\na,1,2,3\na,1,2,3\n`, /line 3 names a a second time/],
  ])("with a fault is refused with the line: %j", (text, message) => {
    expect(() => parseExpected(text)).toThrow(message);
  });
});

describe("compared with the log,", () => {
  const expected = parseExpected(`${header}\na,500,3,1\nb,0,1,0\n`);
  const agreeing = () => {
    const comparison = new ExpectedComparison(expected);
    comparison.rejected("a");
    comparison.account("a", { balanceCents: 500, version: 3 });
    comparison.account("b", { balanceCents: 0, version: 1 });
    return comparison;
  };

  test("accounts that agree are counted, and those that the file does not know", () => {
    const comparison = agreeing();
    comparison.account("c", { balanceCents: 1, version: 1 });
    comparison.rejected("c");
    expect(comparison.result()).toEqual({
      accounts: 2,
      agreeing: 2,
      others: 1,
      isWithoutRejections: false,
      differences: [],
    });
  });

  test("each column that differs is told", () => {
    const comparison = new ExpectedComparison(expected);
    comparison.account("a", { balanceCents: 501, version: 3 });
    comparison.account("b", { balanceCents: 0, version: 2 });
    expect(comparison.result()).toMatchObject({
      agreeing: 0,
      differences: [
        { accountId: "a", column: "balanceCents", expected: "500", found: "501" },
        { accountId: "a", column: "rejected", expected: "1", found: "0" },
        { accountId: "b", column: "version", expected: "1", found: "2" },
      ],
    });
  });

  test("an account that the log does not have is told", () => {
    const comparison = new ExpectedComparison(expected);
    comparison.rejected("a");
    comparison.account("a", { balanceCents: 500, version: 3 });
    expect(comparison.result().differences).toMatchObject([{ accountId: "b", column: "account" }]);
  });

  test("rejections do not count where replies have expired", () => {
    const comparison = new ExpectedComparison(expected);
    comparison.isWithoutRejections = true;
    comparison.account("a", { balanceCents: 500, version: 3 });
    comparison.account("b", { balanceCents: 0, version: 1 });
    expect(comparison.result()).toMatchObject({ agreeing: 2, isWithoutRejections: true });
  });
});
