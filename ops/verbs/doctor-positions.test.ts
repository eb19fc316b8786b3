import { describe, expect, test } from "vitest";
import { topics } from "../../topics/catalog.ts";
import {
  checkpointFindings,
  deadLetterFindings,
  memberFindings,
  offsetFindings,
} from "./doctor-positions.ts";
import type { WorkerStatus } from "./status-workers.ts";

const { commands, events, dlq } = topics.account;

const bounds = new Map(
  [commands, events].map(({ name }) => [name, [{ start: 10n, stable: 100n, end: 100n }]]),
);

const worker = (
  kind: WorkerStatus["kind"],
  position: bigint | null,
  more: Partial<WorkerStatus> = {},
): WorkerStatus => {
  const from = position ?? 10n;
  const lag = from < 100n ? 100n - from : 0n;
  return {
    name: kind === "projector" ? "balances" : "account",
    kind,
    group: "bank.account",
    groupState: "Stable",
    topic: kind === "projector" ? events.name : commands.name,
    members: 1,
    partitions: 1,
    assigned: 1,
    positions: [{ partition: 0, position, end: 100n, lag }],
    lagSum: lag,
    lagMax: lag,
    deadLetters: null,
    ...more,
  };
};

describe("a group's offsets", () => {
  const findingsOf = (position: bigint | null, more: Partial<WorkerStatus> = {}) =>
    offsetFindings([worker("command-processor", position, more)], bounds, "b:1");

  test("are good within the log, where there are none, and with some lag", () => {
    for (const position of [100n, 10n, null]) {
      expect(findingsOf(position)).toMatchObject([{ id: "offsets/account", status: "ok" }]);
    }
    expect(findingsOf(90n)[0]?.found).toBe("10 offsets behind");
  });

  test("beyond the end are OFFSETS_AHEAD, mended by deleting them", () => {
    expect(findingsOf(101n)).toMatchObject([
      {
        status: "wrong",
        found: expect.stringContaining("partition 0 at 101, end 100") as unknown,
        why: expect.stringContaining("OFFSETS_AHEAD") as unknown,
        mend: expect.stringMatching(
          /--bootstrap-server b:1 --delete-offsets --group bank\.account/,
        ) as unknown,
      },
    ]);
  });

  test("before the log's start are COMMANDS_LOST, to be accepted knowingly", () => {
    expect(findingsOf(9n)).toMatchObject([
      {
        status: "wrong",
        why: expect.stringContaining("COMMANDS_LOST") as unknown,
        mend: expect.stringContaining("--reset-offsets --to-earliest") as unknown,
      },
    ]);
  });

  test("far behind are to look at", () => {
    expect(findingsOf(50n, { lagSum: 100_001n })).toMatchObject([{ status: "warn" }]);
  });
});

describe("a view's checkpoints", () => {
  const findingsOf = (position: bigint | null, more: Partial<WorkerStatus> = {}) =>
    checkpointFindings([worker("projector", position, more)], bounds);

  test("are good within the log", () => {
    expect(findingsOf(100n)).toMatchObject([{ id: "checkpoints/balances", status: "ok" }]);
  });

  test("beyond the end say that the log was created anew", () => {
    const [finding] = findingsOf(200n);
    expect(finding).toMatchObject({
      status: "wrong",
      why: expect.stringMatching(/LOG_TRUNCATED/) as unknown,
    });
    expect(finding?.mend).toMatch(/KAFKA_BROKERS.*raise the version of balances/);
  });

  test("before the start say that the view lacks records", () => {
    const [finding] = findingsOf(5n);
    expect(finding?.why).toMatch(/OFFSET_OUT_OF_RANGE/);
  });

  test("that cannot be read are made by migrate", () => {
    const [finding] = findingsOf(null, { positions: null });
    expect(finding).toMatchObject({
      status: "wrong",
      mend: expect.stringMatching(/migrate/) as unknown,
    });
  });
});

describe("who runs what", () => {
  test("is good where every partition is somebody's", () => {
    expect(memberFindings([worker("projector", 1n)])).toMatchObject([{ status: "ok" }]);
  });

  test("is wrong where nobody runs a worker, and says how", () => {
    const idle = worker("command-processor", 100n, { members: 0, assigned: 0 });
    expect(memberFindings([idle])).toMatchObject([
      {
        id: "members/account",
        status: "wrong",
        found: "nobody runs account (group bank.account)",
        mend: "npm run -s foldlog -- run account",
      },
    ]);
  });

  test("leaves positions to those who judge them", () => {
    expect(memberFindings([worker("projector", 200n)])).toMatchObject([{ status: "ok" }]);
  });
});

test("dead letters are to look at", () => {
  const of = (count: number) => ({ deadLetters: new Map([[dlq.name, { count, isMore: false }]]) });
  expect(deadLetterFindings(of(0))).toMatchObject([{ status: "ok" }]);
  expect(deadLetterFindings(of(2))).toMatchObject([
    { status: "warn", found: "2 dead letters", mend: expect.stringMatching(/dlq list/) as unknown },
  ]);
});
