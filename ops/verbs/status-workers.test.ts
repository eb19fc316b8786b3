import { describe, expect, test } from "vitest";
import { groupOf } from "../../engine/worker.ts";
import { logWorkers as workers } from "../../processors/workers.ts";
import { topics } from "../../topics/catalog.ts";
import type { Checkpoint, Group, KafkaFacts } from "./status-facts.ts";
import { statusLines } from "./status-lines.ts";
import { workerProblems, workerStatuses } from "./status-workers.ts";

const { commands, events, replies, dlq } = topics.account;
const partitions = [...Array(12).keys()];

const stable = (topic: string, count = 12): Group => ({
  state: "Stable",
  members: 1,
  assigned: new Map([[topic, new Set(partitions.slice(0, count))]]),
});

const bounds = (end: bigint) => partitions.map(() => ({ start: 10n, stable: end, end }));

function facts(more: Partial<KafkaFacts> = {}): KafkaFacts {
  return {
    clusterId: "c",
    topics: [],
    bounds: new Map([
      [commands.name, bounds(100n)],
      [events.name, bounds(200n)],
      [replies.name, bounds(300n)],
    ]),
    groups: new Map([
      ["bank.account", stable(commands.name)],
      ["bank.balances.v1", stable(events.name)],
      ["bank.statements.v1", stable(events.name)],
      ["bank.command_status.v1", stable(replies.name)],
      ["bank.event_index.v1", stable(events.name)],
    ]),
    committed: new Map([
      ["bank.account", partitions.map((it) => (it === 0 ? null : 100n - BigInt(it)))],
    ]),
    deadLetters: new Map([[dlq.name, { count: 3, isMore: false }]]),
    ...more,
  };
}

const checkpoint = (
  projection: string,
  nextOffset: bigint,
  version = 1,
  topic = events.name,
): Checkpoint[] =>
  partitions.map((partition) => ({
    projection,
    version,
    topic,
    partition,
    nextOffset,
  }));
const upToDate = [
  ...checkpoint("balances", 200n),
  ...checkpoint("statements", 150n),
  ...checkpoint("event_index", 190n),
  ...checkpoint("command_status", 297n, 1, replies.name),
];

const byName = (kafka: KafkaFacts, checkpoints: readonly Checkpoint[] | null = upToDate) =>
  Object.fromEntries(workerStatuses(workers, kafka, checkpoints).map((it) => [it.name, it]));

describe("a worker's status", () => {
  test("knows the groups by the names under which workers join them", () => {
    expect(Object.values(workers).map(groupOf)).toEqual([
      "bank.account",
      "bank.balances.v1",
      "bank.statements.v1",
      "bank.command_status.v1",
      "bank.event_index.v1",
    ]);
  });

  test("has a command processor's lag from its group, from the log's start where it has none", () => {
    const { account } = byName(facts());
    // 90 of partition 0, and 1 + 2 + … + 11.
    expect(account).toMatchObject({ lagSum: 156n, lagMax: 90n, deadLetters: { count: 3 } });
    expect(account?.positions?.[0]).toMatchObject({ position: null, end: 100n, lag: 90n });
  });

  test("has a view's lag from its checkpoints, of its own version alone", () => {
    const { balances, statements } = byName(facts(), [
      ...upToDate,
      ...checkpoint("statements", 1n, 2),
    ]);
    expect(balances).toMatchObject({ lagSum: 0n, deadLetters: null });
    expect(statements).toMatchObject({ lagSum: 600n, lagMax: 50n });
  });

  test("has the lag of a view over replies from the replies", () => {
    const { command_status } = byName(facts());
    expect(command_status).toMatchObject({ topic: replies.name, lagSum: 36n, lagMax: 3n });
  });

  test("has each topic of a view that reads several", () => {
    const { balances } = workers;
    const both = {
      ...balances.projection,
      topics: [topics.account.events, topics.account.replies],
    };
    const assigned = new Map([
      [events.name, new Set(partitions)],
      [replies.name, new Set(partitions.slice(0, 7))],
    ]);
    const groups = new Map([["bank.balances.v1", { state: "Stable", members: 2, assigned }]]);
    const checkpoints = [
      ...checkpoint("balances", 200n),
      ...checkpoint("balances", 290n, 1, replies.name),
    ];
    const reader = { ...balances, projection: both };
    const found = workerStatuses({ both: reader }, facts({ groups }), checkpoints);
    expect(found).toMatchObject([
      { topic: events.name, lagSum: 0n, assigned: 12 },
      { topic: replies.name, lagSum: 120n, assigned: 7 },
    ]);
    expect(found.flatMap(workerProblems)).toEqual([
      "both: 5 of 12 partitions of bank.account.replies are nobody's",
    ]);
    const status = { at: "", services: [], topics: [], health: [], away: [], problems: [] };
    const lines = statusLines({ ...status, workers: found }).join("\n");
    expect(lines).toMatch(/both \(events\) .*\n *both \(replies\) /);
  });

  test("does not guess a view's lag where its checkpoints cannot be read", () => {
    expect(byName(facts(), null)["balances"]?.positions).toBeNull();
  });
});

describe("what is wrong with a worker", () => {
  const problemsOf = (name: string, kafka: KafkaFacts, checkpoints = upToDate) => {
    const status = byName(kafka, checkpoints)[name];
    return status === undefined ? [] : workerProblems(status);
  };
  const withGroup = (group: Group) =>
    facts({ groups: new Map([...facts().groups, ["bank.balances.v1", group]]) });

  test("is nothing where it lags", () => {
    expect(problemsOf("statements", facts())).toEqual([]);
  });

  test("is that nobody runs it", () => {
    const empty = { state: "Empty", members: 0, assigned: new Map<string, Set<number>>() };
    expect(problemsOf("balances", withGroup(empty))).toEqual([
      expect.stringContaining("nobody runs balances"),
    ]);
  });

  test("is that partitions are nobody's, but not while they are being given out", () => {
    const some = stable(events.name, 9);
    expect(problemsOf("balances", withGroup(some))).toEqual([
      "balances: 3 of 12 partitions of bank.account.events are nobody's",
    ]);
    expect(problemsOf("balances", withGroup({ ...some, state: "PreparingRebalance" }))).toEqual([]);
  });

  test("is that its log was emptied", () => {
    const ahead = [...checkpoint("balances", 201n), ...checkpoint("statements", 200n)];
    expect(problemsOf("balances", facts(), ahead)).toEqual([
      expect.stringMatching(/beyond the end of bank\.account\.events on partition 0, 1/),
    ]);
  });
});

describe("the screen", () => {
  const status = {
    at: "2026-01-01T00:00:00.000Z",
    services: [
      { name: "Kafka", address: "127.0.0.1:9092", state: "answers" as const, detail: "cluster c" },
      { name: "Postgres", address: "127.0.0.1/x", state: "away" as const, detail: "no answer" },
    ],
    topics: [],
    workers: workerStatuses(workers, facts(), upToDate),
    health: [
      { url: "http://127.0.0.1:1/metrics", workers: ["account"], problems: ["it restores"] },
    ],
    away: ["Postgres"],
    problems: ["it restores"],
  };
  const lines = statusLines(status);

  test("fits: it is no longer than 30 lines", () => {
    expect(lines.length).toBeLessThanOrEqual(30);
  });

  test("has a row a partition with the end and every reader's position and lag", () => {
    expect(lines).toContainEqual(
      expect.stringMatching(/^1 +100 +99 +1 +200 +200 +0 +150 +50 +190 +10 +300 +297 +3$/),
    );
    expect(lines).toContainEqual(expect.stringMatching(/^0 +100 +none +90 /));
  });

  test("says what is away and what is wrong", () => {
    const text = lines.join("\n");
    expect(text).toMatch(/account .* not ready/);
    expect(text).toMatch(/Wrong:\n {2}Postgres cannot be reached\n {2}it restores/);
  });

  test("leaves out partitions that do not lag where there are very many", () => {
    const many = status.workers.map((worker) => ({
      ...worker,
      partitions: 48,
      positions: Array.from({ length: 48 }, (_, partition) => {
        return { partition, position: 1n, end: 1n, lag: partition === 30 ? 1n : 0n };
      }),
    }));
    expect(statusLines({ ...status, workers: many }).filter((it) => /^\d+ /.test(it))).toHaveLength(
      1,
    );
  });
});
