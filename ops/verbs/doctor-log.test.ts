import { describe, expect, test } from "vitest";
import { topics } from "../../topics/catalog.ts";
import type { PlannedTopic } from "../../engine/topic-plan.ts";
import { type ClusterFacts, uvarint } from "./doctor-broker.ts";
import {
  clusterFindings,
  heldBack,
  replicaFindings,
  topicFindings,
  transactionFindings,
} from "./doctor-log.ts";

const { events, commands } = topics.account;

const cluster = (more: Partial<ClusterFacts> = {}): ClusterFacts => ({
  clusterId: "c",
  brokers: new Map([1, 2, 3].map((id) => [id, { host: `b${id}`, port: 9092 }])),
  apis: new Map([0, 1, 26].map((key) => [key, { least: 3, most: key === 26 ? 5 : 17 }])),
  partitions: [partition({})],
  ...more,
});

const partition = (more: Partial<ClusterFacts["partitions"][number]>) => ({
  topic: events.name,
  partition: 4,
  leader: 1,
  replicas: 3,
  inSync: 3,
  ...more,
});

describe("the broker", () => {
  test("is good from Kafka 4.0 on", () => {
    expect(clusterFindings(cluster())).toMatchObject([
      { id: "broker", status: "ok", found: expect.stringContaining("3 brokers") as unknown },
    ]);
  });

  test("is wrong where it does not speak what the loops say", () => {
    const apis = new Map(cluster().apis).set(26, { least: 0, most: 3 });
    expect(clusterFindings(cluster({ apis }))).toMatchObject([
      { status: "wrong", found: expect.stringContaining("EndTxn v5") as unknown },
    ]);
    apis.delete(1);
    expect(clusterFindings(cluster({ apis }))[0]?.found).toContain("Fetch v11, EndTxn v5");
  });
});

describe("replicas", () => {
  const findingsOf = (facts: ClusterFacts, factor = 3) => replicaFindings(facts, [events], factor);

  test("that all follow are good", () => {
    expect(findingsOf(cluster())).toMatchObject([{ id: "replicas", status: "ok" }]);
  });

  test("are wrong where a partition has no leader", () => {
    const partitions = [partition({ leader: -1, inSync: 0 })];
    expect(findingsOf(cluster({ partitions }))).toMatchObject([
      { id: `replicas/${events.name}/leader`, status: "wrong", found: "partition 4 has no leader" },
    ]);
  });

  test("are wrong where fewer are in sync than a write needs, and to look at above that", () => {
    const below = cluster({ partitions: [partition({ inSync: 1 })] });
    expect(findingsOf(below)).toMatchObject([
      { status: "wrong", found: "partition 4 has fewer than 2 replicas in sync" },
    ]);
    const behind = cluster({ partitions: [partition({ inSync: 2 })] });
    expect(findingsOf(behind)).toMatchObject([{ status: "warn" }]);
  });

  test("cannot be more than there are brokers", () => {
    const brokers = new Map([[1, { host: "b", port: 1 }]]);
    expect(findingsOf(cluster({ brokers, partitions: [] }))).toMatchObject([
      { status: "wrong", mend: expect.stringContaining("FOLDLOG_REPLICATION_FACTOR=1") as unknown },
    ]);
  });
});

describe("topics", () => {
  const planned = (
    action: PlannedTopic["action"],
    ...differences: PlannedTopic["differences"]
  ): PlannedTopic => ({ topic: events, action, differences });

  test("as the catalog says are good", () => {
    expect(topicFindings([planned("keep")])).toMatchObject([{ id: "topics", status: "ok" }]);
  });

  test("that are missing or have another setting are mended by topics apply", () => {
    const policy = { setting: "cleanup.policy", wanted: "compact", found: "delete" };
    for (const it of [planned("create"), planned("alter", policy)]) {
      expect(topicFindings([it])).toMatchObject([
        {
          id: `topics/${events.name}`,
          status: "wrong",
          mend: expect.stringMatching(/topics apply/) as unknown,
        },
      ]);
    }
  });

  test("with another partition count are not to be mended in place", () => {
    const partitions = { setting: "partitions", wanted: "12", found: "6" };
    const [finding] = topicFindings([planned("refuse", partitions)]);
    expect(finding?.found).toBe("partitions is 6, should be 12");
    expect(finding?.why).toMatch(/sought in the wrong partition/);
    expect(finding?.mend).toMatch(/fixed for the life of a namespace/);
  });

  test("with fewer replicas come with the setting and the tool", () => {
    const replicas = { setting: "replication.factor", wanted: "3", found: "1" };
    const [finding] = topicFindings([planned("refuse", replicas)]);
    expect(finding?.mend).toMatch(/kafka-reassign-partitions.*FOLDLOG_REPLICATION_FACTOR=1/);
  });
});

describe("transactions", () => {
  const at = { topic: commands.name, partition: 1, stable: 5n, end: 9n };
  const opened = (lastWriteAt: number) => ({ producerId: 77n, startOffset: 5n, lastWriteAt });
  const findingsOf = (lastWriteAt: number | null) => {
    const open = lastWriteAt === null ? null : [opened(lastWriteAt)];
    return transactionFindings([{ at, open }], { brokers: "b:1", atMs: 100_000 });
  };

  test("hold back what lies between the last stable offset and the end", () => {
    const bounds = new Map([
      [
        commands.name,
        [
          { start: 0n, stable: 3n, end: 3n },
          { start: 0n, stable: 5n, end: 9n },
        ],
      ],
    ]);
    expect(heldBack({ bounds })).toEqual([at]);
    expect(transactionFindings([], { brokers: "b:1", atMs: 0 })).toMatchObject([{ status: "ok" }]);
  });

  test("are good while their producer writes", () => {
    expect(findingsOf(99_000)).toMatchObject([{ id: "transactions", status: "ok" }]);
  });

  test("hang when nothing was written for longer than one may be open", () => {
    expect(findingsOf(40_000)).toMatchObject([
      {
        id: `transactions/${commands.name}/1`,
        status: "wrong",
        found: expect.stringMatching(/^4 offsets from 5 .*for 60 s \(producer id 77\)/) as unknown,
        mend: expect.stringMatching(/abort --topic \S+ --partition 1 --start-offset 5$/) as unknown,
      },
    ]);
  });

  test("are to look at where the broker does not tell whose they are", () => {
    expect(findingsOf(null)).toMatchObject([{ status: "warn" }]);
  });

  test("that have ended meanwhile are nothing", () => {
    const found = transactionFindings([{ at, open: [] }], { brokers: "b:1", atMs: 0 });
    expect(found).toMatchObject([{ status: "ok" }]);
  });
});

test("a length takes as many bytes as it needs", () => {
  expect([...uvarint(0)]).toEqual([0]);
  expect([...uvarint(127)]).toEqual([127]);
  expect([...uvarint(250)]).toEqual([0xfa, 1]);
});
