import { createRequire } from "node:module";
import type * as kafkajs from "kafkajs";
import { kafkaLog } from "../../engine/kafka/kafka-log.ts";
import { partitionOf } from "../../engine/message.ts";
import { subjectOf, type Topic, type TopicKind } from "../../engine/topic.ts";
import { groupOf } from "../../engine/worker.ts";
import { poisonHeader } from "./history.ts";
import { breakingIds } from "./operator-poison.ts";
import { type Operate, type OperatedSystem, whileDown, workersAt } from "./operator-system.ts";

/** What operators, other programs and time do to topics, groups, schemas and brokers. */

const stock = createRequire(import.meta.url)("kafkajs") as typeof kafkajs;
const nothing = async () => undefined;

function clientOf({ addresses }: OperatedSystem): kafkajs.Kafka {
  const brokers = addresses.kafkaBrokers.split(",");
  return new stock.Kafka({ brokers, clientId: "operator", logLevel: stock.logLevel.NOTHING });
}

async function administer<T>(
  system: OperatedSystem,
  work: (admin: kafkajs.Admin) => Promise<T>,
): Promise<T> {
  const admin = clientOf(system).admin();
  await admin.connect();
  try {
    return await work(admin);
  } finally {
    await admin.disconnect();
  }
}

/** The topic that `args.topic` names by its kind, for example "events". */
function topicIn({ bank }: OperatedSystem, args: Args, otherwise: TopicKind): Topic {
  const kind = String(args["topic"] ?? otherwise);
  const topic = bank.allTopics.find((it) => it.kind === kind);
  if (topic !== undefined) return topic;
  throw new Error(`There is no topic of the kind "${kind}".`);
}
type Args = Parameters<Operate>[1]["args"];

/** The group of the workers that a target means, and its members. */
function groupAt(system: OperatedSystem, target: string) {
  const members = workersAt(system, target.split("/")[0] ?? target);
  const worker = system.bank.workers[members[0]?.worker ?? "account"];
  if (worker.kind === "gateway") throw new Error("The gateway is in no group.");
  return { members, group: groupOf(worker) };
}

/** Its members stop in good order meanwhile, for Kafka lets nobody touch the offsets of a group at work. */
async function withEmptyGroup(
  system: OperatedSystem,
  target: string,
  work: (admin: kafkajs.Admin, group: string) => Promise<void>,
): Promise<void> {
  const { members, group } = groupAt(system, target);
  await whileDown(members, "SIGTERM", () =>
    administer(system, async (admin) => {
      await emptied(system, admin, group);
      await work(admin, group);
    }),
  );
}

/** A member that was killed counts until its session is over. */
async function emptied({ clock }: OperatedSystem, admin: kafkajs.Admin, group: string) {
  const deadline = clock.now() + 60_000;
  for (;;) {
    const { groups } = await admin.describeGroups([group]);
    if (groups.every(({ state }) => state === "Empty" || state === "Dead")) return;
    if (clock.now() > deadline) throw new Error(`The group ${group} does not become empty.`);
    await clock.sleep(100);
  }
}

const deleteGroup: Operate = async (system, { target }) => {
  await withEmptyGroup(system, target, async (admin, group) => {
    await removeGroup(admin, group);
  });
  return nothing;
};

const groupNotFound = 69;

/** Where its members have not come back since it was deleted before, there is none. */
async function removeGroup(admin: kafkajs.Admin, group: string): Promise<void> {
  try {
    await admin.deleteGroups([group]);
  } catch (error) {
    const failed = error instanceof stock.KafkaJSDeleteGroupsError ? error.groups : undefined;
    if (failed?.every(({ errorCode }) => errorCode === groupNotFound) !== true) throw error;
  }
}

/** `args.to`: "earliest", or "latest", which skips what is not consumed yet. */
const resetGroup: Operate = async (system, { target, args }) => {
  const { name: topic } = system.bank.topics.commands;
  await withEmptyGroup(system, target, async (admin, groupId) => {
    const isEarliest = args["to"] !== "latest";
    const bounds = await admin.fetchTopicOffsets(topic);
    const partitions = bounds.map(({ partition, low, high }) => ({
      partition,
      offset: isEarliest ? low : high,
    }));
    await admin.setOffsets({ groupId, topic, partitions });
  });
  return nothing;
};

/** `args.topic`: its kind. */
const recreateTopic: Operate = async (system, { args }) => {
  const topic = topicIn(system, args, "commands");
  await administer(system, async (admin) => {
    await admin.deleteTopics({ topics: [topic.name] });
    const deadline = system.clock.now() + 30_000;
    // The name is free once the deletion has come everywhere.
    while ((await admin.listTopics()).includes(topic.name) && system.clock.now() < deadline) {
      await system.clock.sleep(100);
    }
    const configEntries = Object.entries(topic.config).map(([name, value]) => ({ name, value }));
    const { name, partitions: numPartitions } = topic;
    const replicationFactor = system.services.brokers.length;
    await admin.createTopics({
      waitForLeaders: false, // It gives up on what is there a moment later.
      topics: [{ topic: name, numPartitions, replicationFactor, configEntries }],
    });
  });
  return nothing;
};

/** `args.to`: how many there are then. */
const addPartitions: Operate = async (system, { args }) => {
  const { name: topic, partitions } = topicIn(system, args, "commands");
  const count = Number(args["to"] ?? partitions * 2);
  await administer(system, (admin) =>
    admin.createPartitions({ topicPartitions: [{ topic, count }] }),
  );
  return nothing;
};

/** The cleaner runs all the time over segments of a moment. */
const compact: Operate = async (system, { args }) => {
  const topic = topicIn(system, args, "snapshots");
  const before = await altered(system, topic, {
    "segment.ms": "200",
    // And nothing that the catalog declares: a worker that starts meanwhile would refuse to.
    "min.cleanable.dirty.ratio": "0.01",
  });
  return async () => {
    await altered(system, topic, before);
  };
};

/** Sets these, and tells what they were. */
async function altered(
  { addresses }: OperatedSystem,
  { name }: Topic,
  config: Readonly<Record<string, string>>,
): Promise<Readonly<Record<string, string>>> {
  const brokers = addresses.kafkaBrokers.split(",");
  const log = kafkaLog({ brokers, clientId: "operator", tls: null, sasl: null });
  try {
    const found = await log.describeTopic(name);
    await log.alterTopic(name, config);
    const names = Object.keys(config);
    return Object.fromEntries(names.map((it) => [it, found?.config.get(it) ?? ""]));
  } finally {
    await log.close();
  }
}

/** Another program's transaction stays open: `args.topic`, `args.partition`, until the fault ends. */
const hangTransaction: Operate = async (system, { args, at }) => {
  const { name: topic } = topicIn(system, args, "events");
  const producer = clientOf(system).producer({
    transactionalId: `another-program-${at}`,
    transactionTimeout: 600_000,
    idempotent: true,
    maxInFlightRequests: 1,
  });
  await producer.connect();
  const transaction = await producer.transaction();
  const partition = Number(args["partition"] ?? 0);
  await transaction.send({
    topic,
    acks: -1,
    messages: [{ partition, key: "another", value: "?" }],
  });
  return async () => {
    try {
      await transaction.abort();
    } finally {
      await producer.disconnect();
    }
  };
};

/** A week without a command: offsets and replies have expired, and every command that was handled. */
const idle: Operate = async (system, { target }) => {
  const { commands, replies } = system.bank.topics;
  await withEmptyGroup(system, target, async (admin, group) => {
    const [offsets] = await admin.fetchOffsets({ groupId: group, topics: [commands.name] });
    const handled = (offsets?.partitions ?? []).filter(({ offset }) => Number(offset) > 0);
    await removeGroup(admin, group);
    await deleteBelow(admin, commands.name, handled);
    const bounds = await admin.fetchTopicOffsets(replies.name);
    const all = bounds.map(({ partition, high }) => ({ partition, offset: high }));
    await deleteBelow(admin, replies.name, all);
  });
  return nothing;
};

async function deleteBelow(
  admin: kafkajs.Admin,
  topic: string,
  partitions: readonly { readonly partition: number; readonly offset: string }[],
): Promise<void> {
  await admin.fetchTopicOffsets(topic); // Loads the metadata that the next call presumes.
  await admin.deleteTopicRecords({ topic, partitions: [...partitions] });
}

/** Another team registers a schema that breaks ours, and sends commands by it. */
const registerBreakingSchema: Operate = async (system, fault) => {
  const { bank, addresses } = system;
  const { commands } = bank.topics;
  const record = commands.records.find(({ name }) => name === "DepositFunds");
  if (record === undefined) throw new Error("There is no DepositFunds");
  const subject = encodeURIComponent(subjectOf(commands, record));
  const [namespace, name] = [record.fullName.slice(0, -record.name.length - 1), record.name];
  const fields = [{ name: "amount", type: "string" }];
  const schema = JSON.stringify({ type: "record", namespace, name, fields });
  await registryCall(addresses.registryUrl, `config/${subject}`, "PUT", { compatibility: "NONE" });
  const path = `subjects/${subject}/versions`;
  const { id } = await registryCall(addresses.registryUrl, path, "POST", { schema });
  const header = Buffer.alloc(5);
  header.writeInt32BE(Number(id), 1);
  const text = Buffer.from("much");
  const value = Buffer.concat([header, Buffer.from([text.length * 2]), text]);
  const producer = clientOf(system).producer({ idempotent: true, maxInFlightRequests: 1 });
  await producer.connect();
  const messages = breakingIds(fault).map((key) => ({
    ...{ key, value, headers: { [poisonHeader]: key } },
    partition: partitionOf(key, commands.partitions),
  }));
  await producer.send({ topic: commands.name, acks: -1, messages });
  await producer.disconnect();
  return nothing;
};

async function registryCall(
  url: string,
  path: string,
  method: "PUT" | "POST",
  body: object,
): Promise<Readonly<Record<string, unknown>>> {
  const headers = { "content-type": "application/vnd.schemaregistry.v1+json" };
  const response = await fetch(`${url}/${path}`, { method, headers, body: JSON.stringify(body) });
  const text = await response.text();
  if (!response.ok) throw new Error(`The registry answered ${response.status}: ${text}`);
  return JSON.parse(text) as Readonly<Record<string, unknown>>;
}

/** Each broker in turn stops in good order and comes back. */
const rollBrokers: Operate = async ({ services }) => {
  for (const broker of services.brokers) {
    broker.hold();
    broker.signal("SIGTERM", "alone");
    await broker.untilGone();
    broker.release();
    await services.brokerAnswers(broker);
  }
  return nothing;
};

/** As a cluster has it that was upgraded from an older Kafka, until the fault ends. */
const lowerTransactionVersion: Operate = async ({ services }) => {
  await services.setTransactionVersion(0);
  return () => services.setTransactionVersion(2);
};

export const kafkaOperations = {
  "delete-group": deleteGroup,
  "reset-group": resetGroup,
  "recreate-topic": recreateTopic,
  "add-partitions": addPartitions,
  compact,
  "hang-transaction": hangTransaction,
  idle,
  "register-breaking-schema": registerBreakingSchema,
  "roll-brokers": rollBrokers,
  "lower-transaction-version": lowerTransactionVersion,
} as const;
