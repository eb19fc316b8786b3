import { count, oneLine, painted } from "./output.ts";
import type { Health, KafkaFacts } from "./status-facts.ts";
import type { WorkerStatus } from "./status-workers.ts";
import { type Column, layTable, left, right } from "./table.ts";

export interface Service {
  readonly name: string;
  readonly address: string;
  readonly state: "answers" | "away" | "refuses";
  /** What it says of itself, or why it says nothing. */
  readonly detail: string;
}

export interface Status {
  readonly at: string;
  readonly services: readonly Service[];
  readonly topics: readonly {
    readonly name: string;
    readonly action: string;
    readonly differences: KafkaFacts["topics"][number]["differences"];
  }[];
  readonly workers: readonly WorkerStatus[];
  readonly health: readonly Health[];
  /** The names of the services that cannot be reached. */
  readonly away: readonly string[];
  /** What is wrong, and what to do, a sentence each. */
  readonly problems: readonly string[];
}

/** The status on one screen. */

/** More partitions than this are summed up: only those that lag have a row. */
const maxRows = 16;

export function statusLines(status: Status): readonly string[] {
  const { services, topics, workers, health, problems, away } = status;
  const red = painted("red");
  const wrong = [...away.map((name) => `${name} cannot be reached`), ...problems];
  const start = away.length > 0 ? ["npm start brings everything up on this machine."] : [];
  return [
    ...layTable([left(""), left(""), left("")], services.map(serviceRow)),
    ...(topics.length > 0 ? ["", `Topics: ${topicsLine(topics)}`] : []),
    ...(workers.length > 0
      ? ["", ...workerLines(workers, health), "", ...partitionLines(workers)]
      : []),
    "",
    ...(wrong.length > 0
      ? [red("Wrong:"), ...wrong.map((line) => `  ${oneLine(line)}`), ...start]
      : ["Nothing is wrong."]),
  ];
}

function serviceRow({ name, address, state, detail }: Service): readonly string[] {
  const said = state === "answers" ? detail : painted("red")(`${state}: ${oneLine(detail)}`);
  return [name, address, said];
}

function topicsLine(topics: Status["topics"]): string {
  const of = (action: string) => topics.filter((it) => it.action === action).length;
  const parts: readonly (readonly [number, string])[] = [
    [of("keep"), "as they should be"],
    [of("create"), "missing"],
    [of("alter") + of("refuse"), "other than the catalog says"],
  ];
  return parts.flatMap(([n, what]) => (n > 0 ? [`${n} ${what}`] : [])).join(", ");
}

function workerLines(
  workers: readonly WorkerStatus[],
  health: Status["health"],
): readonly string[] {
  const columns = [
    left("worker"),
    right("members"),
    right("partitions"),
    right("lag sum"),
    right("lag max"),
    right("dead letters"),
    left("health"),
  ];
  const rows = workers.map((worker) => {
    const { name, members, assigned, partitions, positions, lagSum, lagMax, deadLetters } = worker;
    const own = health.find((it) => it.workers.includes(name));
    const isOneOfSeveral = workers.some((it) => it !== worker && it.name === name);
    return [
      isOneOfSeveral ? `${name} (${shortOf(worker.topic, workers)})` : name,
      String(members),
      `${assigned} of ${partitions}`,
      positions === null ? "?" : count(lagSum),
      positions === null ? "?" : count(lagMax),
      deadLetters === null ? "" : `${count(deadLetters.count)}${deadLetters.isMore ? "+" : ""}`,
      own === undefined ? "" : own.problems.length === 0 ? "ready" : "not ready",
    ];
  });
  return layTable(columns, rows);
}

/** A row a partition: the end of each topic, and how far each of its readers is. */
function partitionLines(workers: readonly WorkerStatus[]): readonly string[] {
  const byTopic = Map.groupBy(workers, ({ topic }) => topic);
  const columns: Column[] = [left("partition")];
  for (const [topic, readers] of byTopic) {
    columns.push(right(`${shortOf(topic, workers)} end`));
    for (const { name } of readers) columns.push(right(name), right("lag"));
  }
  const partitions = Math.max(...workers.map((it) => it.partitions));
  const all = Array.from({ length: partitions }, (_, partition) => partition);
  const shown = partitions <= maxRows ? all : all.filter((it) => isBehind(workers, it));
  const rows = shown.map((partition) => [
    String(partition),
    ...[...byTopic.values()].flatMap((readers) => [
      endOf(readers, partition),
      ...readers.flatMap((reader) => positionCells(reader, partition)),
    ]),
  ]);
  if (shown.length === 0) return ["No partition lags."];
  return layTable(columns, rows);
}

/** `events`, or `account.events` where another topic here ends so, too. */
function shortOf(topic: string, workers: readonly WorkerStatus[]): string {
  const last = (name: string) => name.split(".").at(-1) ?? name;
  const isShared = workers.some((it) => it.topic !== topic && last(it.topic) === last(topic));
  return isShared ? topic.split(".").slice(-2).join(".") : last(topic);
}

function isBehind(workers: readonly WorkerStatus[], partition: number): boolean {
  return workers.some(({ positions }) => (positions?.[partition]?.lag ?? 0n) > 0n);
}

function endOf(readers: readonly WorkerStatus[], partition: number): string {
  const [known] = readers.flatMap(({ positions }) => positions?.[partition] ?? []);
  return known === undefined ? "" : count(known.end);
}

function positionCells({ positions }: WorkerStatus, partition: number): readonly string[] {
  const found = positions?.[partition];
  if (found === undefined) return ["?", "?"];
  return [found.position === null ? "none" : count(found.position), count(found.lag)];
}
