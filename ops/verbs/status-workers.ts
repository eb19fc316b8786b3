import { groupOf, inputsOf, type LogWorker } from "../../engine/worker.ts";
import type { Checkpoint, KafkaFacts, Workers } from "./status-facts.ts";

/** How far each worker is, from what was asked. Pure. */

export interface Position {
  readonly partition: number;
  /** The offset to read next; `null` where nothing was read yet. */
  readonly position: bigint | null;
  readonly end: bigint;
  readonly lag: bigint;
}

/** Of a worker on one of the topics that it reads; one of several topics has as many. */
export interface WorkerStatus {
  readonly name: string;
  readonly kind: LogWorker["kind"];
  readonly group: string;
  readonly groupState: string;
  readonly topic: string;
  readonly members: number;
  readonly partitions: number;
  readonly assigned: number;
  /** `null` where it cannot be told: its positions are in a place that does not answer. */
  readonly positions: readonly Position[] | null;
  readonly lagSum: bigint;
  readonly lagMax: bigint;
  readonly deadLetters: { readonly count: number; readonly isMore: boolean } | null;
}

export function workerStatuses(
  workers: Workers,
  kafka: KafkaFacts,
  checkpoints: readonly Checkpoint[] | null,
): readonly WorkerStatus[] {
  const read = Object.entries(workers).flatMap(([name, worker]) =>
    inputsOf(worker).map((input) => ({ name, worker, topic: input.name })),
  );
  return read.map(({ name, worker, topic }) => {
    const group = groupOf(worker);
    const bounds = kafka.bounds.get(topic) ?? [];
    const { state = "unknown", members = 0, assigned } = kafka.groups.get(group) ?? {};
    const positionOf = positionsOf(worker, topic, kafka, checkpoints);
    const positions =
      positionOf === null
        ? null
        : bounds.map(({ start, end }, partition) => {
            const position = positionOf(partition);
            const from = position ?? start;
            return { partition, position, end, lag: end > from ? end - from : 0n };
          });
    const lags = positions?.map(({ lag }) => lag) ?? [];
    const dlq = worker.kind === "command-processor" ? worker.topics.dlq.name : null;
    return {
      name,
      kind: worker.kind,
      group,
      groupState: state,
      topic,
      members,
      partitions: bounds.length,
      assigned: assigned?.get(topic)?.size ?? 0,
      positions,
      lagSum: lags.reduce((sum, lag) => sum + lag, 0n),
      lagMax: lags.reduce((most, lag) => (lag > most ? lag : most), 0n),
      deadLetters: dlq === null ? null : (kafka.deadLetters.get(dlq) ?? null),
    };
  });
}

/** Where a worker is on a partition: its group's offset, or its view's checkpoint. */
function positionsOf(
  worker: LogWorker,
  topic: string,
  kafka: KafkaFacts,
  checkpoints: readonly Checkpoint[] | null,
): ((partition: number) => bigint | null) | null {
  if (worker.kind === "command-processor") {
    const committed = kafka.committed.get(groupOf(worker)) ?? [];
    return (partition) => committed[partition] ?? null;
  }
  if (checkpoints === null) return null;
  const { name, version } = worker.projection;
  const own = checkpoints.filter(
    (it) => it.projection === name && it.version === version && it.topic === topic,
  );
  return (partition) => own.find((it) => it.partition === partition)?.nextOffset ?? null;
}

/** What is wrong with a worker, and what to do; empty where nothing is. */
export function workerProblems(worker: WorkerStatus): readonly string[] {
  const { name, group, groupState, members, assigned, partitions, positions } = worker;
  const problems: string[] = [];
  const isRebalancing = /Rebalance/.test(groupState);
  if (members === 0) {
    problems.push(`nobody runs ${name} (group ${group}): npm run -s foldlog -- run ${name}`);
  } else if (assigned < partitions && !isRebalancing) {
    problems.push(
      `${name}: ${partitions - assigned} of ${partitions} partitions of ${worker.topic} are nobody's`,
    );
  }
  const ahead = positions?.filter(({ position, end }) => position !== null && position > end) ?? [];
  if (ahead.length > 0) {
    const where = ahead.map(({ partition }) => partition).join(", ");
    problems.push(
      `${name} is beyond the end of ${worker.topic} on partition ${where}: the log was emptied or created anew`,
    );
  }
  return problems;
}
