/** A topic as the catalog declares it, and the topics that every aggregate has. Plain data. */

/** One immutable version of an Avro schema. */
export interface SchemaVersion {
  readonly version: number;
  /** SHA-256 of the schema's parsing canonical form, in hex (Avro 1.11, "Schema Fingerprints"). */
  readonly fingerprint: string;
  readonly schema: object;
}

/** A record type: today's code writes and reads its newest version, and reads every older one. */
export interface RecordType {
  /** The short name, which is the message's `type`. */
  readonly name: string;
  /** Namespace and name. */
  readonly fullName: string;
  /** Oldest first; never empty. */
  readonly versions: readonly [SchemaVersion, ...SchemaVersion[]];
}

/** What a topic is for. Each aggregate has one of each kind. */
export type TopicKind = "commands" | "events" | "snapshots" | "replies" | "dlq";

/** The registry's compatibility level for a topic's subjects; `NONE` for what only its writer reads. */
export type Compatibility = "FULL_TRANSITIVE" | "NONE";

/** One topic, whole: its name, who may say what on it, and how the broker keeps it. */
export interface Topic {
  readonly namespace: string;
  /** `<namespace>.<aggregate>.<kind>` */
  readonly name: string;
  readonly kind: TopicKind;
  readonly partitions: number;
  readonly records: readonly RecordType[];
  readonly compatibility: Compatibility;
  /** Topic settings that matter; a worker refuses a topic on which one of them differs. */
  readonly config: Readonly<Record<string, string>>;
}

/** The topics of one aggregate. All have the same partition count: an aggregate keeps its number in each. */
export interface AggregateTopics {
  readonly namespace: string;
  /** The aggregate's name, for example `account`; its id is the field `accountId` of each command. */
  readonly aggregate: string;
  readonly commands: Topic;
  readonly events: Topic;
  readonly snapshots: Topic;
  readonly replies: Topic;
  readonly dlq: Topic;
}

/** The registry subject of a record type on a topic: Confluent's TopicRecordNameStrategy. */
export function subjectOf(topic: Topic, record: RecordType): string {
  return `${topic.name}-${record.fullName}`;
}

const day = 24 * 60 * 60 * 1000;

/** The most bytes of a record that every topic but a dead-letter topic takes: Kafka's own default. */
export const maxRecordBytes = 1_048_588;

/** What an author says of an aggregate; its topics follow from it. */
export interface AggregateDeclaration {
  readonly namespace: string;
  readonly aggregate: string;
  /** Fixed for the life of the namespace. */
  readonly partitions: number;
  readonly commands: readonly RecordType[];
  readonly events: readonly RecordType[];
  readonly state: RecordType;
  /** `Reply` and `Position` of `foldlog/schemas`. */
  readonly reply: RecordType;
  readonly position: RecordType;
}

/** Declares the five topics of an aggregate, named `<namespace>.<aggregate>.<kind>`. */
export function aggregateTopics(of: AggregateDeclaration): AggregateTopics {
  const topic = (
    kind: TopicKind,
    records: readonly RecordType[],
    config: Readonly<Record<string, string>>,
    compatibility: Compatibility = "FULL_TRANSITIVE",
  ): Topic => ({
    namespace: of.namespace,
    name: `${of.namespace}.${of.aggregate}.${kind}`,
    kind,
    partitions: of.partitions,
    records,
    compatibility,
    config: { "unclean.leader.election.enable": "false", ...config },
  });

  return {
    namespace: of.namespace,
    aggregate: of.aggregate,
    commands: topic("commands", of.commands, {
      "cleanup.policy": "delete",
      "retention.ms": String(7 * day),
      "segment.ms": String(day),
      "message.timestamp.type": "LogAppendTime",
      // Clients in other languages may compress with any codec: the broker undoes it.
      "compression.type": "uncompressed",
    }),
    events: topic("events", of.events, {
      "cleanup.policy": "compact",
      // Every key is unique, so a pass of the cleaner would copy the whole log to remove nothing.
      "min.compaction.lag.ms": "9223372036854775807",
      "message.timestamp.type": "CreateTime",
    }),
    snapshots: topic(
      "snapshots",
      [of.state, of.position],
      {
        "cleanup.policy": "compact",
        "delete.retention.ms": String(7 * day),
        "message.timestamp.type": "CreateTime",
      },
      "NONE",
    ),
    replies: topic("replies", [of.reply], {
      "cleanup.policy": "delete",
      "retention.ms": String(14 * day),
      "message.timestamp.type": "LogAppendTime",
    }),
    dlq: topic("dlq", [], {
      "cleanup.policy": "delete",
      "retention.ms": String(30 * day),
      "message.timestamp.type": "LogAppendTime",
      "max.message.bytes": String(2 * maxRecordBytes),
    }),
  };
}
