import { expect, test } from "vitest";
import type { TableRows } from "../projection.ts";
import { type DoingLog, doingLog } from "../testing/doing-log.ts";
import { doing, doingTopics } from "../testing/doing.ts";
import { jumpingClock, randomFrom } from "../testing/jumping-clock.ts";
import { type CommitFault, memoryViews } from "../testing/memory-views.ts";
import { type RunningProjection, startProjection } from "../testing/running-projection.ts";
import { projectionLimits } from "./projector.ts";

type Rows = Readonly<Record<"things", TableRows>>;

const firstSeed = Number(process.env["SEED"] ?? Date.now() % 1_000_000);
const seeds = process.env["SEED"] === undefined ? 60 : 1;
const topicPartition = { topic: doingTopics.events.name, partition: 0 };
const projection = doing({ things: "id text primary key" });

interface Outcome {
  readonly rows: unknown;
  readonly expected: unknown;
  readonly trace: readonly string[];
}

/**
 * Workers come, go and become zombies while commits fail in every way, a failover loses the view's end, and
 * events keep coming, some of them in transactions that are aborted. Then all is healed, and one worker runs.
 */
async function survive(seed: number): Promise<Outcome> {
  const clock = jumpingClock(seed);
  const random = randomFrom(seed + 1);
  const source = await doingLog<"things">(clock);
  const expected = new Map<string, number[]>();
  const trace: string[] = [];
  let healed = false;

  const views = memoryViews(projection, {
    fault: () => {
      if (healed || random() < 0.6) return "none";
      const faults: readonly CommitFault[] = ["refused", "lost-before-commit", "lost-after-commit"];
      return faults[Math.floor(random() * faults.length)] ?? "none";
    },
    pause: async () => {
      if (!healed && random() < 0.3) await clock.sleep(random() * 2_000);
    },
  });

  const start = async (): Promise<RunningProjection> => {
    const reader = await source.log.openReader();
    const of = { projection, topicPartition, reader, codec: source.codec, views, clock };
    return startProjection(of, {
      confirm: async () => healed || random() < 0.7,
      limits: { ...projectionLimits, maxRecords: 1 + Math.floor(random() * 8), maxBytes: 500 },
    });
  };

  const workers: RunningProjection[] = [];
  for (let turn = 0; turn < 40; turn++) {
    const dice = random();
    if (dice < 0.5) await appendSome(source, expected, random);
    else if (dice < 0.6) await source.appendAborted(0, 1 + Math.floor(random() * 3));
    else if (dice < 0.75) workers.push(await start());
    else if (dice < 0.85) trace.push((await workers.shift()?.stop()) ?? "nobody");
    else if (dice < 0.9) views.loseTail(1 + Math.floor(random() * 3));
    await clock.sleep(random() * 500);
    trace.push(`${clock.now()} ${JSON.stringify(views.rows("things"))}`);
  }
  for (const worker of workers) await worker.stop();
  healed = true;
  const last = await start();
  await last.caughtUp();
  await last.stop();

  return {
    rows: views.rows("things").map(({ key, ...columns }) => [key[0], columns]),
    expected: [...expected].sort().map(([id, [n = 0, last = 0]]) => [id, { n, last }]),
    trace,
  };
}

/** A few events: each adds to a row, which the first one of its row inserts. */
async function appendSome(
  source: DoingLog<"things">,
  expected: Map<string, number[]>,
  random: () => number,
): Promise<void> {
  const events = Array.from({ length: 1 + Math.floor(random() * 12) }, () => {
    const id = `x${Math.floor(random() * 5)}`;
    const amount = Math.floor(random() * 100);
    const before = expected.get(id);
    expected.set(id, [(before?.[0] ?? 0) + amount, amount]);
    return {
      aggregateId: id,
      apply: ({ things }: Rows) => {
        if (before === undefined) things.insert(id, { n: amount, last: amount });
        else things.add(id, { n: amount }, { last: amount });
      },
    };
  });
  await source.append(0, ...events);
}

test(`a view equals the fold of its log whatever befell its workers (SEED=${firstSeed} and on)`, async () => {
  for (let seed = firstSeed; seed < firstSeed + seeds; seed++) {
    const { rows, expected } = await survive(seed);
    expect(rows, `SEED=${seed}`).toEqual(expected);
  }
});

test(`the same seed gives the same run (SEED=${firstSeed})`, async () => {
  const { trace } = await survive(firstSeed);
  expect((await survive(firstSeed)).trace).toEqual(trace);
});
