import { beforeAll, describe, expect, test } from "vitest";
import { onDeadLetters } from "./testing/damaged-dead-letters.ts";
import { onEvents } from "./testing/damaged-events.ts";
import { onReplies } from "./testing/damaged-replies.ts";
import { onTransactions } from "./testing/damaged-transactions.ts";
import { onMoney, onViews } from "./testing/damaged-views.ts";
import { auditHistory, copyOf, type History, makeHistory } from "./testing/history.ts";

const only = process.env["SEED"] === undefined ? null : Number(process.env["SEED"]);
const seeds =
  only === null
    ? Array.from({ length: Number(process.env["SEEDS"] ?? 25) }, (_, i) => i + 1)
    : [only];

const damages = [onEvents, onReplies, onTransactions, onMoney, onViews, onDeadLetters].flat();

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
      const { findings } = await auditHistory(history);
      expect(findings.count(breaks), `SEED=${seed}`).toBeGreaterThan(0);
    }
  });
});
