import type { Command } from "commander";
import { isValidId } from "../../engine/message.ts";
import type { CommandWorker, Worker } from "../../engine/worker.ts";
import { workers } from "../../processors/workers.ts";
import { codecFor, withLog } from "./connect.ts";
import { wholeOption } from "./duration.ts";
import { type History, readHistory } from "./history.ts";
import { CliError, type ExitCode, exitCode, exitsWith, wrongUsage } from "./outcome.ts";
import { oneLine, plural, print, printJson, shownId, toJson } from "./output.ts";
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
Reads the events from the log itself, so it is never behind: where DATABASE_READ_URL leads to the event index,
at the places that it names and what has come since; else all of the aggregate's partition, which takes its time.
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
  // A database from elsewhere than the broker may be the index of another log.
  const isOneDeployment = isSet("KAFKA_BROKERS") === isSet("DATABASE_READ_URL");
  const history = await withLog(config, async (log) => {
    const codec = await codecFor(config, [worker.topics.events]);
    return readHistory(
      { log, codec, worker, indexUrl: isOneDeployment ? config.databaseReadUrl : null },
      id,
    );
  });
  if (history.events.length === 0) throw notFound(noun, id, history);
  const shown = options.last === undefined ? history.events : lastOf(history.events, options.last);
  if (options.json) {
    const { partition, version, state } = history;
    printJson({ aggregate: noun, id, partition, version, state, events: shown });
  } else for (const line of historyLines(noun, id, { ...history, shown })) print(line);
  return exitCode.ok;
}

function isSet(name: string): boolean {
  return [name, `${name}_FILE`].some((it) => (process.env[it] ?? "") !== "");
}

function lastOf<T>(items: readonly T[], n: number): readonly T[] {
  return n === 0 ? [] : items.slice(-n);
}

function notFound(noun: string, id: string, { partition, scanned }: History): CliError {
  const where =
    scanned === null
      ? `partition ${partition} has no event of it`
      : `partition ${partition}, where its events would be, holds ${plural(scanned, "event")} of others`;
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
