import { expect, test } from "vitest";
import type { ClientEntry } from "./client-entry.ts";
import { checkOrder } from "./client-order.ts";
import { ClientHistory } from "./clients.ts";
import { Findings } from "./findings.ts";

/** Small histories of one account, as the textbooks have them. */

type Step = readonly [process: string, type: "invoke" | "ok" | "info", what: string];

const common = { aggregate: "account", aggregateId: "a" };

/** `c1` is the command of that id, `r2` a read that shows version 2. */
function entryOf([process, type, what]: Step, t: number): ClientEntry {
  const about = { ...common, t, process };
  if (what.startsWith("r")) {
    const query = { ...about, f: "query", token: null } as const;
    return type === "invoke"
      ? { ...query, type }
      : { ...query, type, version: Number(what.slice(1)) };
  }
  const command = { ...about, f: "command", commandId: what } as const;
  if (type === "invoke") return { ...command, type, expectedVersion: null };
  const result = {
    ...({ outcome: "accepted", version: 1, commandOffset: "", partition: 0 } as const),
    ...{ reason: null, duplicate: false },
  };
  return { ...command, type, ...(type === "ok" && { result }) };
}

/** What is found, where the log has the commands in this order, each with one event. */
function found(log: readonly string[], steps: readonly Step[], movedBack: readonly number[] = []) {
  const history = new ClientHistory("account");
  steps.forEach((step, t) => {
    history.take(entryOf(step, t));
  });
  const aggregate = history.aggregates.get("a");
  if (aggregate === undefined) throw new Error("The history has nothing of the account");
  log.forEach((id, offset) => {
    aggregate.writers.push(offset);
    aggregate.commands.get(id)?.logged.push({
      ...({ at: "", partition: 0, commandOffset: offset, firstOffset: offset } as const),
      ...({ outcome: "accepted", version: offset + 1, reason: null, duplicate: false } as const),
    });
  });
  const findings = new Findings();
  checkOrder({ aggregateId: "a", aggregate, partition: 0, findings, movedBack });
  return findings.of("order").map((violation) => violation.found);
}

test("commands one after the other, and reads behind them, are in order", () => {
  const steps: Step[] = [
    ["p", "invoke", "c1"],
    ["p", "ok", "c1"],
    ["q", "invoke", "r0"],
    ["q", "ok", "r0"],
    ["p", "invoke", "c2"],
    ["q", "invoke", "r2"],
    ["p", "ok", "c2"],
    ["q", "ok", "r2"],
  ];
  expect(found(["c1", "c2"], steps)).toEqual([]);
});

test("commands at the same time may stand in any order", () => {
  const steps: Step[] = [
    ["p", "invoke", "c1"],
    ["q", "invoke", "c2"],
    ["p", "ok", "c1"],
    ["q", "ok", "c2"],
  ];
  expect(found(["c1", "c2"], steps)).toEqual([]);
  expect(found(["c2", "c1"], steps)).toEqual([]);
});

test("a command behind one that was sent after its answer is a G0", () => {
  const steps: Step[] = [
    ["p", "invoke", "c1"],
    ["p", "ok", "c1"],
    ["q", "invoke", "c2"],
    ["q", "ok", "c2"],
  ];
  expect(found(["c2", "c1"], steps)).toEqual([
    expect.stringMatching(/^G0: .*command c2 at 0.* ww→ command c1 at 1/),
  ]);
});

test("one without an answer may come whenever it likes, but not before it was sent", () => {
  const late: Step[] = [
    ["p", "invoke", "c1"],
    ["p", "info", "c1"],
    ["q", "invoke", "c2"],
    ["q", "ok", "c2"],
  ];
  expect(found(["c2", "c1"], late)).toEqual([]);
  const early: Step[] = [
    ["q", "invoke", "c2"],
    ["q", "ok", "c2"],
    ["p", "invoke", "c1"],
    ["p", "info", "c1"],
  ];
  expect(found(["c1", "c2"], early)).toHaveLength(1);
});

test("a read of what is sent only later is a G1c", () => {
  const steps: Step[] = [
    ["q", "invoke", "r1"],
    ["q", "ok", "r1"],
    ["p", "invoke", "c1"],
    ["p", "ok", "c1"],
  ];
  expect(found(["c1"], steps)).toEqual([expect.stringMatching(/^G1c: .*wr→ q reads version 1/)]);
});

test("a read that is older than the client's own before is a G-single", () => {
  const steps: Step[] = [
    ["p", "invoke", "c1"],
    ["p", "ok", "c1"],
    ["q", "invoke", "r1"],
    ["q", "ok", "r1"],
    ["q", "invoke", "r0"],
    ["q", "ok", "r0"],
  ];
  expect(found(["c1"], steps)).toEqual([expect.stringMatching(/^G-single: .*session→/)]);
});

test("two clients may read an older and a newer version in any order", () => {
  const steps: Step[] = [
    ["p", "invoke", "c1"],
    ["p", "ok", "c1"],
    ["q", "invoke", "r1"],
    ["q", "ok", "r1"],
    ["s", "invoke", "r0"],
    ["s", "ok", "r0"],
  ];
  expect(found(["c1"], steps)).toEqual([]);
});

test("after a view was moved back on purpose, each client may read something older once", () => {
  const steps: Step[] = [
    ["p", "invoke", "c1"],
    ["p", "ok", "c1"],
    ["q", "invoke", "r1"],
    ["q", "ok", "r1"],
    ["q", "invoke", "r0"],
    ["q", "ok", "r0"],
    ["q", "invoke", "r1"],
    ["q", "ok", "r1"],
    ["q", "invoke", "r0"],
    ["q", "ok", "r0"],
  ];
  expect(found(["c1"], steps.slice(0, 6), [4])).toEqual([]);
  expect(found(["c1"], steps.slice(0, 6), [6])).toHaveLength(1);
  expect(found(["c1"], steps, [4])).toHaveLength(1);
});

test("an id that was sent twice is one command, from its first sending to its first answer", () => {
  const steps: Step[] = [
    ["p", "invoke", "c1"],
    ["p", "info", "c1"],
    ["q", "invoke", "c2"],
    ["q", "ok", "c2"],
    ["r", "invoke", "c1"],
    ["r", "ok", "c1"],
  ];
  // The first sending had the effect, the second its answer.
  expect(found(["c1", "c2"], steps)).toEqual([]);
  expect(found(["c2", "c1"], steps)).toEqual([]);
});
