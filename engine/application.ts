import { openRegistry } from "./avro/registry.ts";
import type { Upcasts } from "./avro/upcast.ts";
import { type Config, ConfigError } from "./config.ts";
import { FatalError } from "./errors.ts";
import { kafkaLog } from "./kafka/kafka-log.ts";
import type { Log } from "./log.ts";
import { prepareDatabase } from "./postgres/prepare-database.ts";
import type { AnyProjection } from "./projection.ts";
import { registerAll } from "./schemas/register.ts";
import { apply, plan } from "./topic-plan.ts";
import type { AggregateTopics, Topic } from "./topic.ts";
import type { Worker } from "./worker.ts";

/** An application as one value, and what has to be there before its workers can run. */

/** Everything that follows from an application: its topics, schemas and tables are those of its workers. */
export interface Application {
  /** Every worker, by the name that logs and metrics know it by. */
  readonly workers: Readonly<Record<string, Worker>>;
  readonly upcasts?: Upcasts;
}

/** The topics of every aggregate that the application decides. */
export function aggregatesOf({ workers }: Application): readonly AggregateTopics[] {
  return Object.values(workers).flatMap((worker) =>
    worker.kind === "command-processor" ? [worker.topics] : [],
  );
}

/** The projections that the application keeps. */
export function projectionsOf({ workers }: Application): readonly AnyProjection[] {
  return Object.values(workers).flatMap((worker) =>
    worker.kind === "projector" ? [worker.projection] : [],
  );
}

/** Every topic that the application's workers write or read, each once. */
export function topicsOf(application: Application): readonly Topic[] {
  const all = [
    ...aggregatesOf(application).flatMap(({ commands, events, snapshots, replies, dlq }) => [
      commands,
      events,
      snapshots,
      replies,
      dlq,
    ]),
    ...projectionsOf(application).flatMap(({ topics }) => topics),
  ];
  return [...new Map(all.map((topic) => [topic.name, topic])).values()];
}

/** What is told, and what is set, while an application is prepared. */
export interface PrepareApplicationOptions {
  /** Told what was done, a line each, as it is done. */
  readonly onDone?: (line: string) => void;
  /** See `PrepareOptions`. */
  readonly passwords?: Readonly<Record<string, string>>;
}

/**
 * Brings the broker, the registry and the database to what the application's workers need: creates and alters
 * topics (never deletes, never repartitions), registers schemas, and prepares tables, roles and views. In this
 * order, and doing it again changes nothing; what cannot be mended in place is refused before it is touched.
 *
 * `config` needs `KAFKA_BROKERS`, `SCHEMA_REGISTRY_URL` and, where there are projections, `DATABASE_URL` as the
 * owner of the database.
 * @throws FatalError `TOPIC_DRIFT` where a topic differs in what is fixed; `SCHEMA_UNREGISTERED` where the
 *   registry refuses a schema; `SCHEMA_DRIFT`; and what `prepareDatabase` throws
 * @throws TransientError where the broker, the registry or Postgres is away
 */
export async function prepareApplication(
  application: Application,
  config: Config,
  options: PrepareApplicationOptions = {},
): Promise<void> {
  const { onDone = () => undefined, passwords = {} } = options;
  const topics = topicsOf(application);
  const log = kafkaLog(config.kafka);
  try {
    await prepareTopics(log, topics, { replicationFactor: config.replicationFactor, onDone });
  } finally {
    await log.close();
  }
  await prepareSchemas(topics, config.registry, onDone);
  const projections = projectionsOf(application);
  if (projections.length === 0) return;
  if (config.databaseUrl === null) {
    throw new ConfigError(["DATABASE_URL is not set: Postgres, as the owner of the database"]);
  }
  const done = await prepareDatabase({ ownerUrl: config.databaseUrl, projections, passwords });
  for (const line of done) onDone(line);
}

interface PrepareTopicsOptions {
  readonly replicationFactor: number;
  readonly onDone: (line: string) => void;
}

async function prepareTopics(
  log: Log,
  topics: readonly Topic[],
  { replicationFactor, onDone }: PrepareTopicsOptions,
): Promise<void> {
  const planned = await plan(log, topics, replicationFactor);
  const fixed = planned.filter(({ action }) => action === "refuse");
  if (fixed.length > 0) {
    const lines = fixed.flatMap(({ topic, differences }) =>
      differences.map(
        ({ setting, wanted, found }) =>
          `  ${topic.name}: ${setting} is ${found === "" ? "not set" : found}, should be ${wanted}`,
      ),
    );
    throw new FatalError(
      "TOPIC_DRIFT",
      `Topics differ in what cannot be changed in place:\n${lines.join("\n")}\n` +
        "A partition count is fixed for the life of a namespace; a replication factor is set by " +
        "FOLDLOG_REPLICATION_FACTOR. Nothing was changed.",
    );
  }
  await apply(log, planned, replicationFactor, ({ topic, action }) => {
    if (action === "create") onDone(`created topic ${topic.name}`);
    if (action === "alter") onDone(`set the settings of topic ${topic.name}`);
  });
}

async function prepareSchemas(
  topics: readonly Topic[],
  { url, idsFile }: Config["registry"],
  onDone: (line: string) => void,
): Promise<void> {
  const registry = openRegistry({ url, requestTimeoutMs: 5_000 });
  const rows = await registerAll({ registry, topics, idsFile }, new AbortController().signal);
  for (const { subject, version, id, outcome } of rows) {
    if (outcome === "registered") onDone(`registered schema ${subject} v${version}, id ${id}`);
  }
  const refused = rows.filter(({ outcome }) => outcome === "refused");
  if (refused.length === 0) return;
  const lines = refused.flatMap(({ subject, version, reasons }) =>
    reasons.map((reason) => `  ${subject} v${version} ${reason}`),
  );
  throw new FatalError(
    "SCHEMA_UNREGISTERED",
    `The registry refuses schemas:\n${lines.join("\n")}\n` +
      "Undo the change and write a version that goes with the earlier ones, or a new record with an upcast.",
  );
}
