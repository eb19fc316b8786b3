import { requestTimeoutMs } from "../../engine/kafka/kafkajs.ts";
import type { TopicPartition } from "../../engine/log.ts";
import { type Topic } from "../../engine/topic.ts";
import { settingsOf } from "../../engine/topic-check.ts";
import type { PlannedTopic } from "../../engine/topic-plan.ts";
import type { ClusterFacts, OpenTransaction } from "./doctor-broker.ts";
import { type Finding, good, mends, orGood, warning, wrong } from "./doctor-finding.ts";
import { plural } from "./output.ts";
import type { KafkaFacts } from "./status-facts.ts";
import { refusalHints } from "./topics.ts";

/** What is wrong with the cluster, its topics, replicas and transactions. Pure. */

/** The requests whose form is fixed, and the one that came with Kafka 4.0 (KIP-890). */
const neededApis = [
  { key: 0, name: "Produce", version: 7 },
  { key: 1, name: "Fetch", version: 11 },
  { key: 26, name: "EndTxn", version: 5 },
] as const;

export function clusterFindings({ clusterId, brokers, apis }: ClusterFacts): readonly Finding[] {
  const missing = neededApis.filter(({ key, version }) => {
    const spoken = apis.get(key);
    return spoken === undefined || version < spoken.least || version > spoken.most;
  });
  const where = `cluster ${clusterId}, ${plural(brokers.size, "broker")}`;
  if (missing.length === 0) return [good("broker", `${where}, Kafka 4.0 or later by its requests`)];
  const lacks = missing.map(({ name, version }) => `${name} v${version}`).join(", ");
  return [
    wrong("broker", {
      found: `${where}; it does not speak ${lacks}`,
      why: "Foldlog's transactions are proved on Kafka 4.0 and later",
      mend: "run brokers of Kafka 4.0 or later",
    }),
  ];
}

/** Leaders and followers of the catalog's topics, and whether there are brokers enough for the replicas. */
export function replicaFindings(
  { brokers, partitions }: ClusterFacts,
  topics: readonly Topic[],
  replicationFactor: number,
): readonly Finding[] {
  const troubles: Finding[] = [];
  if (brokers.size < replicationFactor) {
    troubles.push(
      wrong("replicas", {
        found: `${plural(brokers.size, "broker")}, and FOLDLOG_REPLICATION_FACTOR is ${replicationFactor}`,
        why: "topics cannot be created with more replicas than there are brokers",
        mend: `bring the other brokers up, or set FOLDLOG_REPLICATION_FACTOR=${brokers.size}`,
      }),
    );
  }
  for (const topic of topics) {
    const own = partitions.filter((it) => it.topic === topic.name);
    const least = Number(settingsOf(topic, replicationFactor)["min.insync.replicas"]);
    const numbers = (of: typeof own) => of.map(({ partition }) => partition).join(", ");
    const leaderless = own.filter(({ leader }) => leader < 0);
    const below = own.filter(({ leader, inSync }) => leader >= 0 && inSync < least);
    const behind = own.filter((it) => it.inSync >= least && it.inSync < it.replicas);
    if (leaderless.length > 0) {
      troubles.push(
        wrong(`replicas/${topic.name}/leader`, {
          found: `partition ${numbers(leaderless)} has no leader`,
          why: "nothing can be read from it or written to it",
          mend: "bring back the brokers that have it: kafka-topics.sh --describe --unavailable-partitions",
        }),
      );
    }
    if (below.length > 0) {
      troubles.push(
        wrong(`replicas/${topic.name}/min-isr`, {
          found: `partition ${numbers(below)} has fewer than ${least} replicas in sync`,
          why: "every write to it is refused, and commands wait",
          mend: "bring back the brokers that have it: kafka-topics.sh --describe --under-min-isr-partitions",
        }),
      );
    }
    if (behind.length > 0) {
      troubles.push(
        warning(`replicas/${topic.name}`, {
          found: `partition ${numbers(behind)} has a replica that is behind`,
          why: "one more broker lost stops its writes, or loses what only the leader has",
          mend: "look at the broker that is behind: kafka-topics.sh --describe --under-replicated-partitions",
        }),
      );
    }
  }
  const whole = `${plural(partitions.length, "partition")}, each with a leader and all replicas`;
  return orGood(troubles, good("replicas", whole));
}

/** A line a topic that is missing or differs from the catalog. */
export function topicFindings(planned: readonly PlannedTopic[]): readonly Finding[] {
  const troubles = planned.flatMap((it): readonly Finding[] => {
    const { topic, action, differences } = it;
    const id = `topics/${topic.name}`;
    const found = differences
      .map(
        ({ setting, wanted, found }) => `${setting} is ${found || "not set"}, should be ${wanted}`,
      )
      .join("; ");
    switch (action) {
      case "keep":
        return [];
      case "create": {
        const why = "TOPIC_MISSING: its workers do not start";
        return [wrong(id, { found: "is missing", why, mend: mends.topics })];
      }
      case "alter":
        return [wrong(id, { found, why: `TOPIC_DRIFT: ${harmOf(it)}`, mend: mends.topics })];
      case "refuse": {
        const mend = refusalHints([it]).join(" ");
        return [wrong(id, { found, why: `TOPIC_DRIFT: ${harmOf(it)}`, mend })];
      }
    }
  });
  return orGood(troubles, good("topics", `${plural(planned.length, "topic")} as the catalog says`));
}

function harmOf({ topic, differences }: PlannedTopic): string {
  const differs = (setting: string) => differences.some((it) => it.setting === setting);
  if (differs("partitions")) return "every aggregate would be sought in the wrong partition";
  if (differs("cleanup.policy")) {
    return topic.kind === "events" || topic.kind === "snapshots"
      ? "history that is kept for ever would be deleted"
      : "records would be kept or removed otherwise than is counted on";
  }
  if (differs("replication.factor") || differs("min.insync.replicas")) {
    return "what was accepted may be lost with one broker";
  }
  return "its workers do not start";
}

export interface HeldBack extends TopicPartition {
  readonly stable: bigint;
  readonly end: bigint;
}

/** The partitions that end in an open transaction. */
export function heldBack({ bounds }: Pick<KafkaFacts, "bounds">): readonly HeldBack[] {
  return [...bounds].flatMap(([topic, all]) =>
    all.flatMap(({ stable, end }, partition) =>
      stable < end ? [{ topic, partition, stable, end }] : [],
    ),
  );
}

export interface HeldBy {
  readonly at: HeldBack;
  /** `null` where the broker does not tell. */
  readonly open: readonly OpenTransaction[] | null;
}

/** How long a transaction of ours may be open before the broker aborts it, and a little for that. */
const patienceMs = 2 * requestTimeoutMs;

/** @param atMs the time, as the records have it, in milliseconds since the epoch */
export function transactionFindings(
  held: readonly HeldBy[],
  { brokers, atMs }: { readonly brokers: string; readonly atMs: number },
): readonly Finding[] {
  const troubles = held.flatMap(({ at, open }): readonly Finding[] => {
    const { topic, partition, stable, end } = at;
    const id = `transactions/${topic}/${partition}`;
    const what = `${end - stable} offsets from ${stable} on are held back by an open transaction`;
    const why = "no reader gets beyond it: a worker that restores waits, and views stand still";
    const mend = (offset: bigint) =>
      "start the worker that wrote it, which ends it; where it is gone for good: " +
      `kafka-transactions.sh --bootstrap-server ${brokers} abort --topic ${topic} --partition ${partition} --start-offset ${offset}`;
    if (open === null) {
      const found = `${what}, for how long cannot be told`;
      return [warning(id, { found, why, mend: mend(stable) })];
    }
    const [oldest] = [...open].sort((a, b) => (a.startOffset < b.startOffset ? -1 : 1));
    if (oldest === undefined) return []; // It has ended meanwhile.
    const age = Math.max(0, atMs - oldest.lastWriteAt);
    if (age <= patienceMs) return [];
    const found = `${what}, without a write for ${Math.round(age / 1000)} s (producer id ${oldest.producerId})`;
    return [wrong(id, { found, why, mend: mend(oldest.startOffset) })];
  });
  const passing = held.length - troubles.length;
  const said = passing > 0 ? `${passing} under way, none of them stuck` : "none is open";
  return orGood(troubles, good("transactions", said));
}
