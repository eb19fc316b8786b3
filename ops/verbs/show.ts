import type { Command } from "commander";
import type { Codec } from "../../engine/codec.ts";
import type { Message } from "../../engine/decider.ts";
import { headerOf, type Log, type LogRecord } from "../../engine/log.ts";
import { eventKey, headers, isValidId, parseEventKey, partitionOf } from "../../engine/message.ts";
import type { CommandWorker, Worker } from "../../engine/worker.ts";
import { workers } from "../../processors/workers.ts";
import { codecFor, withLog } from "./connect.ts";
import { wholeOption } from "./duration.ts";
import { CliError, type ExitCode, exitCode, exitsWith, wrongUsage } from "./outcome.ts";
import { count, oneLine, plural, print, printJson, shownId, toJson } from "./output.ts";
import { bar, startProgress } from "./progress.ts";
import { scan } from "./scan.ts";
import { readSettings, settingsHelp } from "./settings.ts";
import { layTable, left, right } from "./table.ts";

interface Options {
  readonly last?: number;
  readonly json?: boolean;
}

export function showCommand(program: Command): void {
  const nouns = [...aggregatesIn(workers).keys()];
  program
    .command("show")
    .summary("an aggregate: its state, its version and its events")
    .description(
      "Shows the state of an aggregate, its version, and its events with the commands that caused them.",
    )
    .argument("<aggregate>", nouns.join(" or "))
    .argument("<id>", "its id")
    .option("--last <n>", "only the last events", wholeOption(0))
    .option("--json", "one JSON object")
    .addHelpText(
      "after",
      `
Reads the events of the aggregate's partition from the log itself, so it is never behind, and takes its time
on a long one.
${settingsHelp}

Exit codes: 3 where there is no such aggregate.

Examples:
  npm run -s foldlog -- show account ada
  npm run -s foldlog -- show account ada --json | jq .state`,
    )
    .action(exitsWith(show));
}

/** Aggregate name → the worker that decides it. */
function aggregatesIn(all: Readonly<Record<string, Worker>>): ReadonlyMap<string, CommandWorker> {
  return new Map(
    Object.values(all).flatMap((worker) =>
      worker.kind === "command-processor" ? [[worker.topics.aggregate, worker] as const] : [],
    ),
  );
}

async function show(noun: string, id: string, options: Options): Promise<ExitCode> {
  const aggregates = aggregatesIn(workers);
  const worker = aggregates.get(noun);
  if (worker === undefined) {
    const all = [...aggregates.keys()].join(", ");
    throw wrongUsage(`There is no aggregate ${shownId(noun)}.`, `The aggregates are ${all}.`);
  }
  if (!isValidId(id)) throw wrongUsage("An id is 1 to 255 bytes of well-formed Unicode.");
  const { config } = readSettings(["KAFKA_BROKERS", "SCHEMA_REGISTRY_URL"]);
  const history = await withLog(config, async (log) => {
    const codec = await codecFor(config, [worker.topics.events]);
    return readHistory({ log, codec, worker }, id);
  });
  if (history.events.length === 0) throw notFound(noun, id, history);
  const shown = options.last === undefined ? history.events : lastOf(history.events, options.last);
  if (options.json) {
    const { partition, version, state } = history;
    printJson({ aggregate: noun, id, partition, version, state, events: shown });
  } else for (const line of historyLines(noun, id, { ...history, shown })) print(line);
  return exitCode.ok;
}

/** One event as it is shown. */
export interface ShownEvent {
  readonly version: number;
  readonly type: string;
  readonly time: string;
  readonly data: Readonly<Record<string, unknown>>;
  readonly commandId: string | null;
  readonly commandOffset: number | null;
  readonly offset: bigint;
}

export interface History {
  readonly partition: number;
  readonly version: number;
  readonly state: unknown;
  readonly events: readonly ShownEvent[];
  /** How many events of all aggregates were read. */
  readonly scanned: number;
}

interface Reading {
  readonly log: Log;
  readonly codec: Codec;
  readonly worker: CommandWorker;
}

/** Folds the aggregate's events as its command processor does. */
async function readHistory({ log, codec, worker }: Reading, id: string): Promise<History> {
  const { decider, topics } = worker;
  const of = { topic: topics.events.name, partition: partitionOf(id, topics.events.partitions) };
  const view = { share: 0, scanned: 0 };
  const progress = startProgress(
    () => `${bar(view.share)}  ${count(view.scanned)} events of ${of.topic}/${of.partition}`,
  );
  const reader = await log.openReader();
  const events: ShownEvent[] = [];
  let state = decider.initialState;
  try {
    for await (const { records, share } of scan({ reader, of })) {
      view.share = share;
      view.scanned += records.length;
      const own = records.filter(({ key }) => isOf(id, key));
      await codec.learn(
        own.map(({ value }) => value),
        new AbortController().signal,
      );
      for (const record of own) {
        if (record.value === null) continue; // A tombstone: erased.
        const { type, data } = codec.decode(topics.events, record.value);
        state = decider.evolve(state, { type, data } satisfies Message);
        events.push(shownEvent(record, type, data));
      }
    }
  } finally {
    progress.end();
    await reader.close();
  }
  const version = events.at(-1)?.version ?? 0;
  return { partition: of.partition, version, state, events, scanned: view.scanned };
}

function isOf(id: string, key: Buffer | null): boolean {
  if (key === null || key.length <= id.length) return false;
  const text = key.toString("utf8");
  const parsed = parseEventKey(text);
  return parsed?.aggregateId === id && text === eventKey(id, parsed.version);
}

function shownEvent(record: LogRecord, type: string, data: ShownEvent["data"]): ShownEvent {
  const commandOffset = headerOf(record, headers.commandOffset);
  return {
    version: parseEventKey(String(record.key))?.version ?? 0,
    type,
    time: new Date(record.timestamp).toISOString(),
    data,
    commandId: headerOf(record, headers.commandId),
    commandOffset: commandOffset === null ? null : Number(commandOffset),
    offset: record.offset,
  };
}

function lastOf<T>(items: readonly T[], n: number): readonly T[] {
  return n === 0 ? [] : items.slice(-n);
}

function notFound(noun: string, id: string, { partition, scanned }: History): CliError {
  const where = `partition ${partition}, where its events would be, holds ${plural(scanned, "event")} of others`;
  return new CliError(exitCode.notFound, `There is no ${noun} ${shownId(id)}: ${where}.`);
}

/** For people. */
export function historyLines(
  noun: string,
  id: string,
  { partition, version, state, events, shown }: History & { readonly shown: History["events"] },
): readonly string[] {
  const fields = Object.entries(state as object).map(([name, value]) => [name, shownValue(value)]);
  const columns = [
    right("version"),
    left("type"),
    left("time"),
    left("fields"),
    left("command"),
    right("command offset"),
    right("offset"),
  ];
  const rows = shown.map((event) => [
    String(event.version),
    event.type,
    event.time,
    fieldsOf(event.data),
    event.commandId === null ? "" : shownId(event.commandId),
    event.commandOffset === null ? "" : String(event.commandOffset),
    String(event.offset),
  ]);
  const leftOut = events.length - shown.length;
  return [
    `${noun} ${shownId(id)}, version ${version}, partition ${partition}`,
    "",
    ...layTable([left(""), left("")], fields).map((line) => `  ${line}`),
    "",
    ...(leftOut > 0 ? [`${plural(leftOut, "earlier event")} left out`] : []),
    ...(rows.length > 0 ? layTable(columns, rows) : []),
  ];
}

/** `amountCents=500 reference="rent"`; what is null is left out. */
function fieldsOf(data: Readonly<Record<string, unknown>>): string {
  return Object.entries(data)
    .filter(([, value]) => value !== null)
    .map(([name, value]) => `${name}=${shownValue(value)}`)
    .join(" ");
}

function shownValue(value: unknown): string {
  return oneLine(toJson(value));
}
