import { describe, expect, test } from "vitest";
import { tokenOf } from "../../engine/gateway/token.ts";
import { checkTokens, tokenIn } from "./client-tokens.ts";
import type { ClientRead } from "./clients.ts";
import { Findings } from "./findings.ts";

const said = { topic: "events", partition: 3, commandOffset: 17, aggregateId: "a", version: 2 };
const token = (more: Partial<typeof said> = {}) => {
  const { commandOffset, ...rest } = { ...said, ...more };
  return tokenOf({ ...rest, commandOffset: BigInt(commandOffset) }, 1);
};

/** Whether a read of account "a" in partition 3, whose versions came by commands at 5, 17 and 20, is as it must be. */
function holds(version: number, of: string | null): boolean | "not asked" {
  const findings = new Findings();
  const read: ClientRead = {
    ...{ who: "r", session: "r", t: 0, answeredAt: 0, version, token: of },
  };
  const aggregate = { commands: new Map(), reads: [read], writers: [5, 17, 20] };
  checkTokens({ aggregateId: "a", aggregate, partition: 3, findings });
  return findings.checked("I12") === 0 ? "not asked" : findings.count("I12") === 0;
}

test("what the gateway says in a token is read by other code", () => {
  expect(tokenIn(token())).toEqual(said);
  for (const none of ["", "x", "e30.AAAAAA", "W10.AAAAAA"]) expect(tokenIn(none)).toBeNull();
});

describe("a read", () => {
  test("without a token may show anything", () => {
    expect(holds(0, null)).toBe("not asked");
  });

  test("with the token of a command on the account shows its version, or a later one", () => {
    expect([1, 2, 3].map((version) => holds(version, token()))).toEqual([false, true, true]);
  });

  test("with the token of another account in the partition shows all up to its command", () => {
    const of = (commandOffset: number) => token({ aggregateId: "b", version: 9, commandOffset });
    expect([0, 1, 2].map((version) => holds(version, of(16)))).toEqual([false, true, true]);
    expect([1, 2].map((version) => holds(version, of(17)))).toEqual([false, true]);
    expect([2, 3].map((version) => holds(version, of(21)))).toEqual([false, true]);
    expect(holds(0, of(4))).toBe(true);
  });

  test("with the token of another partition may show anything", () => {
    expect(holds(0, token({ aggregateId: "b", partition: 4 }))).toBe("not asked");
  });

  test("with a token that is none is found out", () => {
    expect(holds(3, "invented")).toBe(false);
  });
});
