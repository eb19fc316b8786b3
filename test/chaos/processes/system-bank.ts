import { Position, Reply } from "../../../engine/generated.ts";
import { commandStatus } from "../../../engine/projections/command-status.ts";
import { eventIndex } from "../../../engine/projections/event-index.ts";
import { projectorRole } from "../../../engine/projections/tables.ts";
import { aggregateTopics, type AggregateTopics, type Topic } from "../../../engine/topic.ts";
import { commandProcessor, gateway, projector, type Worker } from "../../../engine/worker.ts";
import { account } from "../../../processors/aggregates/account.ts";
import { balances } from "../../../processors/projections/balances.ts";
import { statements } from "../../../processors/projections/statements.ts";
import { topics as catalog } from "../../../topics/catalog.ts";

/** The bank in a namespace: "bank" is the catalog's own, others are like it on topics of their own. */
export interface NamedBank {
  readonly namespace: string;
  readonly topics: AggregateTopics;
  readonly allTopics: readonly Topic[];
  readonly workers: Readonly<Record<WorkerName, Worker>>;
}

export const workerNames = [
  "account",
  "balances",
  "statements",
  "command_status",
  "event_index",
  "gateway",
] as const;
export type WorkerName = (typeof workerNames)[number];

export function bankNamed(namespace: string): NamedBank {
  const { commands, events, snapshots } = catalog.account;
  const [state] = snapshots.records;
  if (state === undefined) throw new Error("The account's snapshots hold no state");
  const topics = aggregateTopics({
    namespace,
    aggregate: catalog.account.aggregate,
    partitions: commands.partitions,
    commands: commands.records,
    events: events.records,
    state,
    reply: Reply,
    position: Position,
  });
  const logWorkers = {
    account: commandProcessor(account, topics),
    balances: projector({ ...balances, topics: [topics.events] }),
    statements: projector({ ...statements, topics: [topics.events] }),
    command_status: projector(commandStatus([topics])),
    event_index: projector(eventIndex([topics])),
  };
  return {
    namespace,
    topics,
    allTopics: [topics.commands, topics.events, topics.snapshots, topics.replies, topics.dlq],
    workers: { ...logWorkers, gateway: gateway("The bank", logWorkers) },
  };
}

/** The projections of a bank. */
export function projectionsIn({ workers }: NamedBank) {
  return Object.values(workers).flatMap((worker) =>
    worker.kind === "projector" ? [worker.projection] : [],
  );
}

/** The Postgres role that a worker logs in as, for `DATABASE_URL`; `null` where it writes no view. */
export function roleOf(name: WorkerName): string | null {
  return name === "account" || name === "gateway" ? null : projectorRole(name);
}
