import type { Decider, Message } from "./decider.ts";
import { invariant } from "./errors.ts";
import type { AnyProjection, Projection } from "./projection.ts";
import type { AggregateTopics, Topic } from "./topic.ts";

/** What a process can run, as data: what an author declares, and nothing of how it is run. */

/** What `commandProcessor` makes. */
export interface CommandWorker {
  readonly kind: "command-processor";
  readonly decider: Decider<object, Message, Message, string>;
  readonly topics: AggregateTopics;
}

/** What `projector` makes. */
export interface ProjectionWorker {
  readonly kind: "projector";
  readonly projection: AnyProjection;
}

/** Serves HTTP in front of other workers. */
export interface GatewayWorker {
  readonly kind: "gateway";
  /** Of its OpenAPI document. */
  readonly title: string;
  readonly aggregates: readonly CommandWorker[];
  readonly projections: readonly AnyProjection[];
}

/** A worker that reads the log as a member of a group. */
export type LogWorker = CommandWorker | ProjectionWorker;

/** Anything that a process can run. */
export type Worker = LogWorker | GatewayWorker;

/** A worker that decides the commands of one aggregate. */
export function commandProcessor<
  S extends object,
  C extends Message,
  E extends Message,
  R extends string,
>(decider: Decider<S, C, E, R>, topics: AggregateTopics): CommandWorker {
  return {
    kind: "command-processor",
    decider,
    topics,
  };
}

/** A worker that keeps one view. */
export function projector<E extends Message, T extends string>(
  projection: Projection<E, T>,
): ProjectionWorker {
  return { kind: "projector", projection };
}

/** The engine's own projections: the gateway reads them, and serves them by routes of their own. */
const ownProjections: readonly string[] = ["command_status", "event_index"];

/** A worker that serves these over HTTP: the commands of the aggregates, and the views. */
export function gateway(title: string, served: Readonly<Record<string, LogWorker>>): GatewayWorker {
  const workers = Object.values(served);
  return {
    kind: "gateway",
    title,
    aggregates: workers.filter((it) => it.kind === "command-processor"),
    projections: workers
      .flatMap((it) => (it.kind === "projector" ? [it.projection] : []))
      .filter(({ name }) => !ownProjections.includes(name)),
  };
}

/** The consumer group of a worker. */
export function groupOf(worker: LogWorker): string {
  if (worker.kind === "command-processor") {
    return `${worker.topics.namespace}.${worker.topics.aggregate}`;
  }
  const { name, version, topics } = worker.projection;
  const [first] = topics;
  invariant(first !== undefined, "a projection reads at least one topic");
  return `${first.namespace}.${name}.v${version}`;
}

/** The topics that a worker reads: one, or as many as a projection names. */
export function inputsOf(worker: LogWorker): readonly Topic[] {
  return worker.kind === "command-processor" ? [worker.topics.commands] : worker.projection.topics;
}
