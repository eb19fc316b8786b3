import { writeFileSync } from "node:fs";
import type { Command } from "commander";
import type { Codec } from "../../engine/codec.ts";
import { deadLetterHeaders } from "../../engine/commands/dead-letter.ts";
import { messageOf } from "../../engine/errors.ts";
import type { AggregateTopics } from "../../engine/topic.ts";
import { codecFor, withLog } from "./connect.ts";
import {
  type Content,
  contentOf,
  coordinatesIn,
  type DeadLetter,
  readDeadLetter,
  readDeadLetters,
  shownCoordinates,
  shownKey,
  supersededIn,
  topicsOfWorker,
} from "./dead-letters.ts";
import { addReplay } from "./dlq-replay.ts";
import { wholeOption } from "./duration.ts";
import { hexDump } from "./hex-dump.ts";
import { CliError, type ExitCode, exitCode, exitsWith, wrongUsage } from "./outcome.ts";
import { count, oneLine, plural, print, printJson, say, shownId } from "./output.ts";
import { readSettings, settingsHelp } from "./settings.ts";
import { layTable, left } from "./table.ts";

export function dlqCommand(program: Command): void {
  const dlq = program
    .command("dlq")
    .helpCommand(false)
    .summary("list, show and replay dead letters")
    .description("Lists, shows and replays dead letters: records that no worker can ever process.");
  addList(dlq);
  addShow(dlq);
  addReplay(dlq);
}

interface ListOptions {
  readonly worker: string;
  readonly code?: string;
  readonly limit: number;
  readonly json?: boolean;
}

function addList(dlq: Command): void {
  dlq
    .command("list")
    .summary("the dead letters, newest last")
    .description("Lists the dead letters of a worker, newest last.")
    .option("--worker <name>", "whose", "account")
    .option("--code <code>", "only those with this error code, for example WRONG_PARTITION")
    .option("--limit <n>", "only the newest", wholeOption(1), 100)
    .option("--json", "one JSON object a dead letter")
    .addHelpText(
      "after",
      `${settingsHelp}

Example:
  npm run -s foldlog -- dlq list --code UNKNOWN_SCHEMA`,
    )
    .action(exitsWith(list));
}

async function list({ worker, code, limit, json = false }: ListOptions): Promise<ExitCode> {
  const topics = topicsOfWorker(worker);
  const { config } = readSettings(["KAFKA_BROKERS", "SCHEMA_REGISTRY_URL"]);
  await withLog(config, async (log) => {
    const codec = await codecFor(config, [topics.commands]);
    let newest: readonly DeadLetter[] = [];
    let found = 0;
    for await (const letters of readDeadLetters(log, topics)) {
      const wanted = letters.filter((it) => code === undefined || it.code === code);
      found += wanted.length;
      newest = newestOf([...newest, ...wanted], limit);
    }
    const rows = await described(newest, topics, codec);
    if (json) {
      for (const { letter, content } of rows) printJson(letterJson(letter, content));
      return;
    }
    if (found > newest.length)
      say(`${count(found - newest.length)} older ones left out; --limit shows more.`);
    for (const line of listLines(rows, topics)) print(line);
    if (found === 0)
      say(
        `${topics.dlq.name} holds no dead letters${code === undefined ? "" : ` with code ${code}`}.`,
      );
  });
  return exitCode.ok;
}

/** The newest, oldest of them first. */
export function newestOf(letters: readonly DeadLetter[], limit: number): readonly DeadLetter[] {
  const byTime = (a: DeadLetter, b: DeadLetter) =>
    a.record.timestamp - b.record.timestamp ||
    a.partition - b.partition ||
    (a.offset < b.offset ? -1 : 1);
  return [...letters].sort(byTime).slice(-limit);
}

interface Described {
  readonly letter: DeadLetter;
  readonly content: Content;
}

async function described(
  letters: readonly DeadLetter[],
  topics: AggregateTopics,
  codec: Codec,
): Promise<readonly Described[]> {
  await codec.learn(
    letters.map(({ record }) => record.value),
    new AbortController().signal,
  );
  return letters.map((letter) => ({ letter, content: contentOf(letter, topics, codec) }));
}

const maxMessageChars = 80;

/** For people. */
export function listLines(
  rows: readonly Described[],
  topics: Pick<AggregateTopics, "dlq">,
): readonly string[] {
  if (rows.length === 0) return [];
  const superseded = supersededIn(
    rows.map(({ letter }) => letter),
    topics,
  );
  const columns = ["at", "time", "code", "from", "key", "command", "message"].map(left);
  const cells = rows.map(({ letter, content }) => {
    const later = superseded.get(shownCoordinates(letter));
    const note = later === undefined ? "" : `(replayed, came back as ${later}) `;
    return [
      shownCoordinates(letter),
      letter.time,
      letter.code,
      letter.from === null ? "?" : `${letter.from.topic}/${shownCoordinates(letter.from)}`,
      shortened(shownKey(letter.record.key), 40),
      commandIn(content),
      note + shortened(oneLine(letter.message), maxMessageChars),
    ];
  });
  return layTable(columns, cells);
}

function commandIn(content: Content): string {
  if (content.kind === "undecodable") return "?";
  const id = content.commandId === null ? "" : ` ${shownId(content.commandId)}`;
  return shortened(`${content.type}${id}`, 60);
}

function shortened(text: string, chars: number): string {
  return text.length <= chars ? text : `${text.slice(0, chars - 1)}…`;
}

function letterJson(letter: DeadLetter, content: Content): object {
  const { partition, offset, time, code, message, from, replayOf, record } = letter;
  const key = record.key === null ? null : record.key.toString("utf8");
  const command = content.kind === "decoded" ? content : null;
  return {
    ...{ partition, offset, time, code, message, from, replayOf, key },
    type: command?.type ?? null,
    commandId: command?.commandId ?? null,
  };
}

interface ShowOptions {
  readonly worker: string;
  readonly raw?: string;
  readonly json?: boolean;
}

function addShow(dlq: Command): void {
  dlq
    .command("show")
    .summary("one dead letter with its headers and its bytes")
    .description(
      "Shows one dead letter: its headers, and its value decoded, or in hex with what is wrong with it.",
    )
    .argument("<partition/offset>", "as dlq list shows it, for example 3/17")
    .option("--worker <name>", "whose", "account")
    .option("--raw <file>", "write the original bytes to a new file; - is standard output")
    .option("--json", "one JSON object; the value and what is no text in base64")
    .addHelpText(
      "after",
      `${settingsHelp}

Exit codes: 3 where there is no such dead letter.

Examples:
  npm run -s foldlog -- dlq show 3/17
  npm run -s foldlog -- dlq show 3/17 --raw letter.bin`,
    )
    .action(exitsWith(show));
}

async function show(at: string, { worker, raw, json = false }: ShowOptions): Promise<ExitCode> {
  const coordinates = coordinatesIn(at);
  const topics = topicsOfWorker(worker);
  const { config } = readSettings(["KAFKA_BROKERS", "SCHEMA_REGISTRY_URL"]);
  await withLog(config, async (log) => {
    const letter = await readDeadLetter(log, topics, coordinates);
    if (raw !== undefined) {
      writeRaw(letter, raw);
      return;
    }
    const codec = await codecFor(config, [topics.commands]);
    const [row] = await described([letter], topics, codec);
    if (row === undefined) return;
    if (json) printJson({ ...letterJson(letter, row.content), ...wholeJson(row) });
    else for (const line of showLines(row, topics)) print(line);
  });
  return exitCode.ok;
}

function writeRaw({ record: { value } }: DeadLetter, file: string): void {
  if (value === null)
    throw wrongUsage("This dead letter has no value, so there are no bytes to write.");
  if (file === "-") {
    process.stdout.write(value);
    return;
  }
  try {
    writeFileSync(file, value, { flag: "wx" });
  } catch (error) {
    const isThere = (error as NodeJS.ErrnoException).code === "EEXIST";
    const why = isThere ? "it is there already" : messageOf(error);
    throw new CliError(
      isThere ? exitCode.conflict : exitCode.usage,
      `${file} cannot be written: ${why}.`,
    );
  }
  say(`${plural(value.length, "byte")} written to ${file}.`);
}

function wholeJson({ letter: { record }, content }: Described): object {
  const headers = record.headers.map(([name, value]) => [name, value?.toString("utf8") ?? null]);
  const { value } = record;
  return content.kind === "decoded"
    ? { headers, data: content.data, value }
    : { headers, problem: { code: content.code, message: content.message }, value };
}

const maxShownBytes = 1_024;

/** For people. */
export function showLines(
  { letter, content }: Described,
  topics: Pick<AggregateTopics, "dlq">,
): readonly string[] {
  const { record, from, replayOf } = letter;
  const own = new Set<string>(Object.values(deadLetterHeaders));
  const sent = record.headers.filter(([name]) => !own.has(name));
  const said = record.headers.filter(([name]) => own.has(name));
  const shownHeaders = (all: typeof sent) =>
    all.map(([name, value]) => [
      `  ${oneLine(name)}`,
      value === null ? "none" : oneLine(value.toString("utf8")),
    ]);
  const rows = [
    ["code", letter.code],
    ["message", oneLine(letter.message)],
    ["from", from === null ? "?" : `${from.topic}/${shownCoordinates(from)}`],
    ["time", letter.time],
    [
      "key",
      record.key === null
        ? "none"
        : `${shownKey(record.key)} (${plural(record.key.length, "byte")})`,
    ],
    ...(replayOf === null ? [] : [["replay of", oneLine(replayOf)]]),
  ];
  const at = shownCoordinates(letter);
  return [
    `${topics.dlq.name}/${at}`,
    ...layTable([left(""), left("")], rows),
    ...(sent.length > 0
      ? ["headers of the sender", ...layTable([left(""), left("")], shownHeaders(sent))]
      : []),
    "headers of the dead letter",
    ...layTable([left(""), left("")], shownHeaders(said)),
    ...valueLines(record.value, content),
    "",
    `To send it again: npm run -s foldlog -- dlq replay ${at}`,
  ];
}

function valueLines(value: Buffer | null, content: Content): readonly string[] {
  if (value === null) return ["no value"];
  const size = plural(value.length, "byte");
  if (content.kind === "decoded") {
    const fields = Object.entries(content.data).map(([name, it]) => [
      `  ${name}`,
      oneLine(JSON.stringify(it)),
    ]);
    return [`value, ${size}: ${content.type}`, ...layTable([left(""), left("")], fields)];
  }
  const more =
    value.length > maxShownBytes
      ? [`  … ${count(value.length - maxShownBytes)} more; --raw writes all`]
      : [];
  return [
    `value, ${size}, cannot be read: ${content.code}: ${oneLine(content.message)}`,
    ...hexDump(value, maxShownBytes).map((line) => `  ${line}`),
    ...more,
  ];
}
