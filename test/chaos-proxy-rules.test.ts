import { describe, expect, test } from "vitest";
import { Rules } from "./chaos/processes/proxy-rules.ts";
import type { Disturbance, LinkName } from "./chaos/processes/proxies.ts";

const disturbance = (of: Partial<Disturbance>): Disturbance => ({
  ...{ id: "F4", at: 0, for: 0, does: "disturb", link: "kafka", how: "cut", share: 1, ms: 0 },
  ...of,
});
const rulesOf = (...disturbances: readonly Disturbance[]) => {
  const rules = new Rules({ sleep: async () => undefined });
  for (const [i, it] of disturbances.entries()) rules.disturb(String(i), it, 1);
  return rules;
};
const ask = (rules: Rules, link: LinkName, name: string) =>
  rules.fateOf(link, { id: 1, name, bytes: Buffer.alloc(0) })?.does ?? "passes";

describe("A request is hit", () => {
  test("by disturbances of its link, and of its API or statement where they name one", () => {
    const rules = rulesOf(
      disturbance({ api: "EndTxn" }),
      disturbance({ link: "postgres", statement: "COMMIT", how: "lose-answer" }),
      disturbance({ link: "registry", how: "lose-request" }),
    );
    expect(ask(rules, "kafka", "EndTxn")).toBe("cut");
    expect(ask(rules, "kafka", "Produce")).toBe("passes");
    expect(ask(rules, "postgres", "COMMIT")).toBe("lose-answer");
    expect(ask(rules, "postgres", "QUERY")).toBe("passes");
    expect(ask(rules, "registry", "GET")).toBe("lose-request");
    expect(ask(rules, "http", "GET")).toBe("passes");
  });

  test("by the first of several, until that is settled", () => {
    const rules = rulesOf(disturbance({}), disturbance({ how: "stall" }));
    expect(ask(rules, "kafka", "Fetch")).toBe("cut");
    expect(rules.settle("0")).toBe(1);
    expect(ask(rules, "kafka", "Fetch")).toBe("stall");
    expect(rules.settle("1")).toBe(1);
    expect(ask(rules, "kafka", "Fetch")).toBe("passes");
  });

  test("as often as its share says, and the same ones again by the same seed", () => {
    const draw = (seed: number) => {
      const rules = new Rules({ sleep: async () => undefined });
      rules.disturb("a", disturbance({ share: 0.25 }), seed);
      return Array.from({ length: 1_000 }, () => ask(rules, "kafka", "Fetch") === "cut");
    };
    expect(draw(1)).toEqual(draw(1));
    expect(draw(1)).not.toEqual(draw(2));
    const hits = draw(1).filter((it) => it).length;
    expect(hits).toBeGreaterThan(200);
    expect(hits).toBeLessThan(300);
  });

  test("never where it is none, as a password", () => {
    expect(ask(rulesOf(disturbance({ link: "postgres" })), "postgres", "")).toBe("passes");
  });

  test("once by a watch, which goes before all disturbances", () => {
    const rules = rulesOf(disturbance({}));
    const onReached = async () => undefined;
    rules.watch("w", { link: "kafka", name: "EndTxn", drops: "drop-answer", onReached });
    expect(ask(rules, "kafka", "Produce")).toBe("cut");
    expect(ask(rules, "kafka", "EndTxn")).toBe("drop-answer");
    expect(ask(rules, "kafka", "EndTxn")).toBe("cut");
    expect(rules.counts).toEqual({ Produce: { seen: 1, hit: 1 }, EndTxn: { seen: 2, hit: 2 } });
  });
});
