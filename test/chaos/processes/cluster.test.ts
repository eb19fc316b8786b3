import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { TransientError, WriterLostError } from "../../../engine/errors.ts";
import { kafkaLog } from "../../../engine/kafka/kafka-log.ts";
import type { Log } from "../../../engine/log.ts";
import { silentChecklist } from "../../../ops/stack/checklist.ts";
import type { Child } from "../../../ops/stack/child.ts";
import { type Folder, folderAt, openFolder } from "../../../ops/stack/folder.ts";
import { ensureParts } from "../../../ops/stack/parts.ts";
import { endRunning } from "../../../ops/stack/running.ts";
import { folderSetting } from "../../../ops/stack/settings.ts";
import { outRecord } from "../../broker/stock/log.ts";
import { until } from "../../until.ts";
import { type Cluster, type ClusterBroker, prepareCluster } from "./cluster.ts";
import { leaderOf, replicasOf } from "./cluster-roles.ts";
import { type Hosts, openHosts, whyNoHosts } from "./hosts.ts";

const why = whyNoHosts();
const signal = new AbortController().signal;
const patience = { deadlineMs: 90_000 };
const upTo = 300_000;

describe.skipIf(why !== null)(`Three brokers${why === null ? "" : ` (skipped: ${why})`}`, () => {
  let hosts: Hosts;
  let folder: Folder;
  let cluster: Cluster;
  let log: Log;
  const at = { topic: "kept", partition: 0 };
  const children = new Map<number, Child>();
  const start = async (broker: ClusterBroker) => {
    children.set(broker.number, await broker.start(signal));
  };
  const kill = async (number: number) => {
    const child = children.get(number);
    if (child === undefined) throw new Error(`There is no broker ${number} to kill`);
    process.kill(child.pid, "SIGKILL");
    await child.ended;
  };
  /** Of what was opened, to be closed in the opposite order: it may be that not all of it was. */
  const closings: (() => unknown)[] = [];
  const broker = (number: number) => cluster.brokers[number - 1] as ClusterBroker;
  /** Until somebody has it: a client hears of a dead broker by asking it. */
  const send = (value: string) =>
    until(
      "a broker to take it",
      async () => {
        const producer = await log.openProducer().catch(lost);
        if (producer === null) return false;
        const offsets = await producer.send([outRecord(at, value)]).catch(lost);
        await producer.close();
        return offsets !== null;
      },
      patience,
    );
  const lost = (error: unknown) => {
    if (error instanceof WriterLostError || error instanceof TransientError) return null;
    throw error;
  };
  const leaderNow = () =>
    until("a leader", () => cluster.leaderOf(at.topic, at.partition), patience);
  const newLeader = (old: number) =>
    until(
      "another leader",
      async () => {
        const leader = await cluster.leaderOf(at.topic, at.partition);
        return leader !== old && leader;
      },
      patience,
    );

  beforeAll(async () => {
    const base = folderAt(folderSetting(process.env));
    folder = openFolder(mkdtempSync(join(base.dir, "cluster-")));
    closings.push(() => {
      rmSync(folder.dir, { recursive: true, force: true, maxRetries: 5 });
    });
    const found = { partsDir: base.parts, checklist: silentChecklist, signal, env: process.env };
    const { java, kafka } = await ensureParts(folder, found);
    hosts = await openHosts();
    closings.push(() => hosts.close());
    const options = { folder, java, jars: kafka.jars, hosts } as const;
    closings.push(() => endRunning(folder.run, 10_000));
    cluster = await prepareCluster({ ...options, brokers: 3 }, signal);
    await Promise.all(cluster.brokers.map(start));
    const brokers = cluster.bootstrap.split(",");
    log = kafkaLog({ brokers, clientId: "cluster", tls: null, sasl: null });
    closings.push(() => log.close());
    const config = { "min.insync.replicas": "2" };
    await log.createTopic({ name: at.topic, partitions: 1, replicationFactor: 3, config });
    await leaderNow();
  }, upTo);
  // Whoever is not in sync cannot be elected.
  beforeEach(async () => {
    const all = cluster.brokers.length;
    const inSync = async () => (await replicasOf(cluster.bootstrap, at))?.inSync === all;
    await until("all replicas to be in sync", inSync, patience);
  }, upTo);
  afterAll(async () => {
    for (const close of closings.reverse()) await close();
  }, upTo);

  test(
    "lose the leader of a partition, and another takes its place and its records",
    async () => {
      await send("before");
      const leader = await leaderNow();
      await kill(leader);
      expect(await newLeader(leader)).toBeGreaterThan(0);
      await send("after");
      await start(broker(leader));
      const reader = await log.openReader();
      expect((await reader.offsets(at, signal)).end).toBeGreaterThanOrEqual(2n);
      await reader.close();
    },
    upTo,
  );

  test(
    "lose the active controller, and another is elected",
    async () => {
      const controller = await until("a controller", () => cluster.controller(), patience);
      await kill(controller);
      const other = await until(
        "another controller",
        async () => {
          const now = await cluster.controller();
          return now !== controller && now;
        },
        patience,
      );
      expect(other).toBeGreaterThan(0);
      await start(broker(controller));
    },
    upTo,
  );

  test(
    "elect another leader where one is cut off from the others",
    async () => {
      const leader = await leaderNow();
      const { host } = broker(leader);
      for (const other of cluster.brokers) {
        if (other.number !== leader && other.host !== null) await host?.cut(other.host, "both");
      }
      await until(
        "the others to know",
        async () => {
          const others = cluster.brokers.filter(({ number }) => number !== leader);
          for (const { direct } of others) {
            const known = await leaderOf(`${direct.host}:${direct.port}`, at);
            if (known !== null && known !== leader) return true;
          }
          return false;
        },
        patience,
      );
      await host?.heal();
      await send("healed");
    },
    upTo,
  );
});
