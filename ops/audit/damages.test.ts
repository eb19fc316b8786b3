import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import { randomFrom } from "../../engine/testing/jumping-clock.ts";
import { type Invariant, invariants } from "./findings.ts";
import { onAnswersToClients, onKnownPoison, onReads } from "./testing/damaged-clients.ts";
import { onDeadLetters } from "./testing/damaged-dead-letters.ts";
import { onDecisions } from "./testing/damaged-decisions.ts";
import { onEvents } from "./testing/damaged-events.ts";
import { onEnds, onPositions } from "./testing/damaged-positions.ts";
import { onReplies } from "./testing/damaged-replies.ts";
import { onTransactions } from "./testing/damaged-transactions.ts";
import { onMoney, onViews } from "./testing/damaged-views.ts";
import { auditHistory } from "./testing/audited-history.ts";
import { copyOf, type History } from "./testing/history.ts";
import { makeHistory } from "./testing/make-history.ts";

const only = process.env["SEED"] === undefined ? null : Number(process.env["SEED"]);
const seeds =
  only === null
    ? Array.from({ length: Number(process.env["SEEDS"] ?? 10) }, (_, i) => i + 1)
    : [only];

const damages = [
  ...[onEvents, onReplies, onTransactions, onMoney, onViews, onDeadLetters],
  ...[onDecisions, onAnswersToClients, onReads, onKnownPoison, onPositions, onEnds],
].flat();

let histories: ReadonlyMap<number, History>;

beforeAll(async () => {
  const made = seeds.map(async (seed) => [seed, await makeHistory(seed)] as const);
  histories = new Map(await Promise.all(made));
});

describe("damage to a good history is named every time", () => {
  test.each(damages)("$breaks: $what", async ({ breaks, apply }) => {
    for (const seed of seeds) {
      const history = copyOf(histories.get(seed) as History);
      apply(history);
      const { violated } = await auditHistory(history);
      expect(violated(breaks), `SEED=${seed}`).toBeGreaterThan(0);
    }
  });
});

describe("damage anywhere", () => {
  test("is named, whatever the history and the place", async () => {
    const anyDamage = fc.constantFrom(...damages);
    const anyHistory = fc.constantFrom(...seeds);
    await fc.assert(
      fc.asyncProperty(anyDamage, anyHistory, fc.nat(), async ({ breaks, apply }, seed, place) => {
        const history = copyOf(histories.get(seed) as History, randomFrom(place));
        apply(history);
        return (await auditHistory(history)).violated(breaks) > 0;
      }),
      { numRuns: 300, ...(only !== null && { seed: only }) },
    );
  });

  test("can be done to every invariant that is checked over a log", () => {
    const all = Object.keys(invariants) as Invariant[];
    const broken = new Set(damages.map(({ breaks }) => breaks));
    // That nothing is told that is secret is checked over texts; see canaries.test.ts.
    expect(all.filter((id) => !broken.has(id))).toEqual(["I16"]);
  });
});
