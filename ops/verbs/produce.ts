import { randomInt } from "node:crypto";
import { createReadStream, statSync } from "node:fs";
import { addAbortSignal, type Readable } from "node:stream";
import type { Command } from "commander";
import { isAborted, systemClock } from "../../engine/clock.ts";
import type { Codec } from "../../engine/codec.ts";
import { invariant, messageOf } from "../../engine/errors.ts";
import type { Log } from "../../engine/log.ts";
import { type Answered, Conversation } from "../../engine/sending/conversation.ts";
import { topics } from "../../topics/catalog.ts";
import {
  type LineCommand,
  linesOf,
  readCommand,
  readCommandLine,
  type ReadLine,
} from "./command-lines.ts";
import { codecFor, withLog } from "./connect.ts";
import { durationOption, rateOption, shownDuration, wholeOption } from "./duration.ts";
import { givenPath } from "./given-path.ts";
import { type Interrupt, onInterrupt } from "./interrupt.ts";
import { load, paced, totalOf } from "./load.ts";
import { type ExitCode, exitCode, exitsWith, wrongUsage } from "./outcome.ts";
import { count, oneLine, plural, print, printJson, say, shownId } from "./output.ts";
import { bar, type Progress, startProgress } from "./progress.ts";
import { readSettings, settingsHelp } from "./settings.ts";
import { summaryLines, summaryOf, Tally } from "./tally.ts";

interface Options {
  readonly rate?: number;
  readonly for?: number;
  readonly accounts?: number;
  readonly seed?: string;
  readonly wait: boolean;
  readonly timeout: number;
  readonly strict?: boolean;
  readonly answers?: boolean;
  readonly json?: boolean;
}

const standard = { forMs: 30_000, accounts: 20 };
const aggregates = Object.values(topics);

export function produceCommand(program: Command): void {
  program
    .command("produce")
    .summary("send commands from a file, or make load, and wait for the answers")
    .description(
      "Sends commands from a file of one JSON object a line, or from standard input (-), or makes them " +
        "up (--rate), and waits for the answers.",
    )
    .argument("[file]", "a file of commands, or - for standard input")
    .option("--rate <n>", "make load instead: commands a second", rateOption)
    .option(
      "--for <time>",
      "with --rate: how long, for example 30s or 5m (default: 30s)",
      durationOption,
    )
    .option(
      "--accounts <n>",
      "with --rate: on how many accounts (default: 20)",
      wholeOption(1, 1_000_000),
    )
    .option(
      "--seed <text>",
      "with --rate: the same seed makes the same commands (default: by chance)",
    )
    .option("--no-wait", "do not wait for the answers")
    .option("--timeout <time>", "give up when nothing is heard for so long", durationOption, 30_000)
    .option("--strict", "send nothing more after a line that is refused")
    .option("--answers", "also print each answer, a line each")
    .option("--json", "the summary as one JSON object; with --answers, each answer before it")
    .addHelpText("after", helpAfter)
    .action(exitsWith(produce));
}

const helpAfter = `
A line is an object with the command's type and its fields, for example
  {"type":"DepositFunds","commandId":"7f1c","accountId":"ada","amountCents":500}
The same commandId again gets the same answer and changes nothing, so a file may be sent as often as you like.
A line that cannot be a command is reported with its number and not sent; the others are. Load opens its
accounts first; the same seed on the same bank finds them open, and is answered AlreadyOpened.
${settingsHelp}

Exit codes: 1 where a command stayed unanswered or a line was refused, 130 after Ctrl-C. The first Ctrl-C
waits for what is in flight, the second does not.

Examples:
  npm run -s foldlog -- produce commands.ndjson
  npm run -s foldlog -- produce --rate 200 --for 1m --accounts 50 --seed 7`;

async function produce(file: string | undefined, options: Options): Promise<ExitCode> {
  const { json = false, wait } = options;
  const source = sourceOf(file, options);
  const { config } = readSettings(["KAFKA_BROKERS", "SCHEMA_REGISTRY_URL"]);
  const interrupt = onInterrupt(() => {
    say("\nNo more is sent; waiting for what is in flight. Ctrl-C again does not wait.");
  });
  const tally = new Tally();
  const all = aggregates.flatMap(({ commands, replies }) => [commands, replies]);
  const ended = await withLog(config, async (log) => {
    const codec = await codecFor(config, all);
    return run({ log, codec, source, options, tally, interrupt });
  });
  interrupt.release();

  const { seed } = source;
  const summary = summaryOf(tally, { ...ended, waited: wait, seed });
  if (json) printJson(options.answers ? { kind: "summary", ...summary } : summary);
  else for (const line of summaryLines(summary)) print(line);
  const asked = source.total ?? 0;
  if (ended.sent < asked && !isAborted(interrupt.signal)) {
    say(`${count(asked)} were asked for: they were not answered fast enough to send more.`);
  }
  if (ended.gaveUp) {
    say(
      `Nothing was heard for ${shownDuration(options.timeout)}. Is a worker running? npm run -s foldlog -- status`,
    );
  }
  if (isAborted(interrupt.signal)) return exitCode.interrupted;
  return ended.unanswered > 0 || tally.refused > 0 ? exitCode.failed : exitCode.ok;
}

/** Commands in the order in which they are to be sent, a chunk at a time, and how far they are. */
interface Source {
  readonly chunks: (codec: Codec, signal: AbortSignal) => AsyncIterable<readonly NumberedLine[]>;
  /** From 0 to 1; `null` where nobody knows. */
  readonly share: () => number | null;
  /** How a refused line is named. */
  readonly name: string;
  readonly seed: string | null;
  /** How many commands there are to be; `null` where nobody knows. */
  readonly total: number | null;
}

type NumberedLine = ReadLine & { readonly number: number };

function sourceOf(file: string | undefined, options: Options): Source {
  const { rate, accounts = standard.accounts, seed } = options;
  const loadOnly = (["for", "accounts", "seed"] as const).filter((it) => options[it] !== undefined);
  if (rate === undefined) {
    if (loadOnly.length > 0) {
      throw wrongUsage(`--${loadOnly.join(" and --")} goes with --rate, which makes load.`);
    }
    if (file !== undefined) return fileSource(file);
    throw wrongUsage(
      "There is nothing to send: name a file, - for standard input, or --rate to make load.",
      "All options: foldlog produce --help",
    );
  }
  if (file !== undefined) throw wrongUsage("It is either a file or --rate, which makes load.");
  const pace = { rate, forMs: options.for ?? standard.forMs };
  const chosen = seed ?? String(randomInt(2 ** 31));
  say(`Seed ${chosen}: ${count(totalOf(pace))} commands on ${plural(accounts, "account")}.`);
  return loadSource(pace, accounts, chosen);
}

function fileSource(file: string): Source {
  const { stream, size } = opened(file);
  let bytesRead = 0;
  return {
    name: file === "-" ? "stdin" : file,
    seed: null,
    total: null,
    share: () => (size === null ? null : bytesRead / Math.max(1, size)),
    async *chunks(codec, signal) {
      addAbortSignal(signal, stream);
      try {
        for await (const chunk of linesOf(stream as AsyncIterable<Buffer>)) {
          ({ bytesRead } = chunk);
          yield chunk.lines.map((line) => ({
            number: line.number,
            ...readCommandLine({ aggregates, codec }, line),
          }));
        }
      } catch (error) {
        if (isAborted(signal)) return;
        throw unreadable(file, error);
      }
    },
  };
}

function opened(file: string): { readonly stream: Readable; readonly size: number | null } {
  if (file === "-") return { stream: process.stdin, size: null };
  const path = givenPath(file);
  try {
    const found = statSync(path);
    if (found.isDirectory()) throw new Error("it is a folder");
    return { stream: createReadStream(path), size: found.isFile() ? found.size : null };
  } catch (error) {
    throw unreadable(file, error);
  }
}

function unreadable(file: string, error: unknown): Error {
  const { code } = error as NodeJS.ErrnoException;
  const why = code === "ENOENT" ? "there is no such file" : messageOf(error);
  return wrongUsage(`${file} cannot be read: ${why}.`);
}

function loadSource(
  pace: { readonly rate: number; readonly forMs: number },
  accounts: number,
  seed: string,
): Source {
  let given = 0;
  return {
    name: "load",
    seed,
    total: totalOf(pace),
    share: () => given / totalOf(pace),
    async *chunks(codec, signal) {
      const made = load({ accounts, seed, clock: systemClock });
      for await (const commands of paced(made, pace, systemClock, signal)) {
        given += commands.length;
        yield commands.map((it) => ({
          number: 0,
          ...readCommand({ aggregates, codec }, { ...it, line: null }),
        }));
      }
    },
  };
}

interface Run {
  readonly log: Log;
  readonly codec: Codec;
  readonly source: Source;
  readonly options: Options;
  readonly tally: Tally;
  readonly interrupt: Interrupt;
}

async function run(of: Run) {
  const { log, codec, source, options, tally } = of;
  const startedAt = performance.now();
  const view: { progress: Progress | null } = { progress: null };
  const conversation = await Conversation.open<LineCommand>({
    log,
    codec,
    aggregates,
    replies: options.wait ? "awaited" : "ignored",
    silenceMs: options.timeout,
    onAnswer: (answered) => {
      tally.answer(answered.reply, answered.latencyMs);
      if (options.answers) printAnswer(answered, options.json ?? false);
    },
    onTrouble: (message) => view.progress?.say(`Sending again: ${message}`),
  });
  view.progress = startProgress(() => {
    const share = source.share();
    const pace = conversation.sent / ((performance.now() - startedAt) / 1000);
    const shown = share === null ? "" : `${bar(share)}  `;
    return `${shown}${count(conversation.sent)} sent, ${count(tally.answered)} answered, ${count(Math.round(pace))}/s`;
  });
  try {
    await sendAll(of, conversation, view.progress);
    await conversation.settled();
    const tookMs = performance.now() - startedAt;
    const { sent, unanswered, gaveUp } = conversation;
    return { sent, unanswered, gaveUp, tookMs };
  } finally {
    view.progress.end();
    await conversation.close();
  }
}

async function sendAll(
  { codec, source, options, tally, interrupt }: Run,
  conversation: Conversation<LineCommand>,
  progress: Progress,
): Promise<void> {
  const { signal } = interrupt;
  for await (const chunk of source.chunks(codec, AbortSignal.any([signal, conversation.signal]))) {
    for (const line of chunk) {
      if (isAborted(signal) || conversation.isOver) return;
      if (line.kind === "refused") {
        tally.refused += 1;
        invariant(source.seed === null, `made-up commands are whole: ${line.problems.join("; ")}`);
        progress.say(`${source.name}:${line.number}: ${oneLine(line.problems.join("; "))}`);
        if (options.strict) return;
        continue;
      }
      if (!conversation.hasRoom) await conversation.room();
      if (isAborted(signal)) return;
      conversation.send(line.outgoing);
    }
  }
}

function printAnswer({ outgoing, reply, latencyMs }: Answered<LineCommand>, json: boolean): void {
  const { commandId, type, aggregateId, line } = outgoing;
  const { outcome, version, reason, duplicate, commandOffset } = reply;
  if (json) {
    const { partition } = outgoing.record;
    const where = { partition, commandOffset, latencyMs: Number(latencyMs.toFixed(1)) };
    const what = { line, commandId, type, aggregateId, outcome, version, reason, duplicate };
    printJson({ kind: "answer", ...what, ...where });
    return;
  }
  const said = [
    outcome,
    reason ?? (version === null ? "" : `version ${version}`),
    duplicate ? "(as before)" : "",
  ];
  const name = line === null ? type : `${line} ${type}`;
  print(
    `${name} ${shownId(commandId)} on ${shownId(aggregateId)}: ${said.filter((it) => it !== "").join(" ")}`,
  );
}
