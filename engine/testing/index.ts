/**
 * `foldlog/testing`: what the tests of an application need. No broker, no registry, no database: the engine's
 * own loops run on a log that passes the same contract as Kafka does.
 */

// One decider, one projection: given, when, then.
export { type Expectation, type Given, given } from "./given.ts";
export { type GivenEvent, tablesAfter } from "./apply.ts";

// A whole application in memory.
export { type MemoryApplication, type MemoryEvent, runInMemory } from "./memory-application.ts";

// The same, killed everywhere.
export { type CrashReport, exploreCrashes, type ExploreOptions } from "./crash-points.ts";

// The parts of it, with their faults, for tests that go further.
export { MemoryLog, type MemoryLogOptions } from "./memory-log.ts";
export type { Call, Network } from "./network.ts";
export { MemoryStoreFiles } from "./memory-store.ts";
export {
  type CommitFault,
  type MemoryRow,
  type MemoryViews,
  memoryViews,
  type MemoryViewsOptions,
} from "./memory-views.ts";
export {
  type MemoryRegistry,
  memoryRegistry,
  type MemoryRegistryOptions,
  registryWith,
} from "./memory-registry.ts";
export { type RunningProjection, type RunOf, startProjection } from "./running-projection.ts";
export { UnapplicableError } from "../projections/rows.ts";
export { jumpingClock, randomFrom } from "./jumping-clock.ts";
