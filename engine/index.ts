/**
 * Foldlog: event sourcing and CQRS on Apache Kafka. Everything that an application of one's own needs, and the
 * one place where the library says what is public. `foldlog/testing` has what its tests need.
 */

// What an author writes: pure values.
export { accept, type Decider, type Decision, type Message, reject } from "./decider.ts";
export type {
  AnyProjection,
  ColumnValue,
  Projected,
  ProjectedEvent,
  ProjectedRecord,
  Projection,
  ReplyMessage,
  RowKey,
  RowValues,
  TableRows,
} from "./projection.ts";
export type { Upcast, Upcasts } from "./avro/upcast.ts";

// Where it is said: topics and the records on them.
export {
  type AggregateDeclaration,
  aggregateTopics,
  type AggregateTopics,
  type Compatibility,
  maxRecordBytes,
  type RecordType,
  type SchemaVersion,
  subjectOf,
  type Topic,
  type TopicKind,
} from "./topic.ts";
export { type Outcome, Position, Reply } from "./generated.ts";

// What runs it: workers, and the life of a process.
export {
  commandProcessor,
  type CommandWorker,
  gateway,
  type GatewayWorker,
  type LogWorker,
  type ProjectionWorker,
  projector,
  type Worker,
} from "./worker.ts";
export { commandStatus } from "./projections/command-status.ts";
export { eventIndex } from "./projections/event-index.ts";
export { type RunOptions, runWorkers } from "./run-workers.ts";
export { type ProcessOptions, runFromCommandLine } from "./process.ts";
export {
  type Config,
  ConfigError,
  loadConfig,
  printable,
  type SettingName,
  settings,
} from "./config.ts";

// What has to be there first: topics, schemas, tables.
export {
  aggregatesOf,
  type Application,
  prepareApplication,
  type PrepareApplicationOptions,
  projectionsOf,
  topicsOf,
} from "./application.ts";
export { apply as applyTopics, plan as planTopics, type PlannedTopic } from "./topic-plan.ts";
export { checkTopics, type Difference } from "./topic-check.ts";
export {
  checkAll as checkSchemas,
  type CheckRow as SchemaCheck,
  registerAll as registerSchemas,
  type RegisterOptions as SchemaOptions,
  type RegisterRow as SchemaRegistration,
} from "./schemas/register.ts";
export {
  type Generated,
  generateFromCommandLine,
  generateSchemas,
  type SchemaModule,
  type SchemaProject,
  staleFiles,
} from "./schemas/generate.ts";
export { prepareDatabase, type PrepareOptions } from "./postgres/prepare-database.ts";
export type { Migration } from "./postgres/migrations.ts";

// Commands and their answers, from a program.
export { type SendOptions, type Sent, sendCommands } from "./sending/send-commands.ts";
export { headers as messageHeaders, isValidId, partitionOf, uuidV7 } from "./message.ts";

// The log, the registry and the codec themselves.
export { kafkaLog } from "./kafka/kafka-log.ts";
export type { KafkaConfig } from "./kafka/kafkajs.ts";
export {
  type GroupOptions,
  headerOf,
  type Headers,
  type Log,
  type LogOffsets,
  type LogRecord,
  type Membership,
  type OutRecord,
  type Producer,
  type Reader,
  type ReadLimits,
  type Receipt,
  type Slice,
  type TopicDescription,
  type TopicPartition,
  type TopicSpec,
  type Transaction,
  type Writer,
  type WriterOptions,
} from "./log.ts";
export { openRegistry, type Registry } from "./avro/registry.ts";
export type { RegistryOptions } from "./avro/registry-http.ts";
export { openCodec, type CodecOptions } from "./avro/avro-codec.ts";
export type { Codec, Decoded } from "./codec.ts";
export { readSchemaIds, type SchemaIds } from "./avro/schema-ids.ts";
export { type Clock, systemClock } from "./clock.ts";

// What can go wrong. `ops/README.md` has a heading for each code.
export {
  type FailureCode,
  type FatalCode,
  FatalError,
  messageOf,
  type PoisonCode,
  PoisonError,
  TransientError,
  WriterLostError,
} from "./errors.ts";
