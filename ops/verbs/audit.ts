import { readFileSync } from "node:fs";
import type { Command } from "commander";
import type { Config } from "../../engine/config.ts";
import { FatalError, messageOf } from "../../engine/errors.ts";
import { openDatabase } from "../../engine/postgres/postgres.ts";
import { accountAudit } from "../audit/account-audit.ts";
import { audit, type AuditReport, type Progress } from "../audit/audit.ts";
import { readSamples } from "../audit/check-samples.ts";
import type { ClientHistory } from "../audit/clients.ts";
import { type Expected, parseExpected } from "../audit/expected.ts";
import { openLogReader } from "../audit/log-reader.ts";
import { readClientHistory } from "../audit/read-clients.ts";
import { reportLines } from "../audit/report.ts";
import type { PositionSample } from "../audit/samples.ts";
import { codecFor } from "./connect.ts";
import { givenPath } from "./given-path.ts";
import { CliError, type ExitCode, exitCode, exitsWith, wrongUsage } from "./outcome.ts";
import { count, painted, plural, print, printJson } from "./output.ts";
import { bar, startProgress } from "./progress.ts";
import { readSettings, settingsHelp } from "./settings.ts";

interface Options {
  readonly json: boolean;
  readonly expected?: string;
  readonly history?: readonly string[];
  readonly samples?: readonly string[];
  readonly decidedSince?: string;
}

/** What was given beside the log and the views. */
interface Given {
  readonly expected: Expected | null;
  readonly clients: ClientHistory | null;
  readonly samples: readonly PositionSample[] | null;
  readonly decidedSince: number;
}

export function auditCommand(program: Command): void {
  program
    .command("audit")
    .summary("check that the log and the views keep their promises")
    .description(
      "Checks that the log and the views keep their promises: reads every topic by a client of its own, " +
        "folds the events by code of its own, and compares; asks the decider once more what it says of each " +
        "command. Changes nothing; the bank may go on meanwhile.",
    )
    .option(
      "--expected <file.csv>",
      "compare with account_id,balance_cents,version,rejected of each account",
    )
    .option("--history <files.jsonl...>", "compare with what clients were told")
    .option("--samples <files.jsonl...>", "check positions that were looked at while the bank ran")
    .option(
      "--decided-since <time>",
      "ask the decider of commands handled since, for example 2026-03-01T09:00Z: when its rules changed last",
    )
    .option("--json", "one JSON object", false)
    .addHelpText(
      "after",
      `
For each invariant it says how many things were held against it, and names what violates it with its place in the
log. Given with --history, I12, history and order are checked besides; with --samples, I9 and I11. Lines of a history
are described in ops/audit/client-history.ts, of samples in ops/audit/samples.ts.

DATABASE_READ_URL is Postgres as foldlog_reader. Of the log none, gzip and zstd compression are read.
${settingsHelp}

Exit codes: 0 every invariant held, 1 one is violated (or an account is not as the file has it),
5 something could not be looked at.

Example:
  npm run -s foldlog -- audit`,
    )
    .action(exitsWith(auditAccounts));
}

async function auditAccounts({ json, ...options }: Options): Promise<ExitCode> {
  const { config } = readSettings(["KAFKA_BROKERS", "SCHEMA_REGISTRY_URL", "DATABASE_READ_URL"]);
  const report = await auditWith(config, await readGiven(options));
  if (json) printJson(report);
  else {
    const paints = { good: painted("green"), bad: painted("red"), quiet: painted("dim") };
    for (const line of reportLines(report, paints)) print(line);
  }
  return report.hasHeld ? exitCode.ok : exitCode.failed;
}

async function readGiven(options: Omit<Options, "json">): Promise<Given> {
  const { expected, history, samples, decidedSince } = options;
  const since = decidedSince === undefined ? 0 : Date.parse(decidedSince);
  if (Number.isNaN(since)) {
    throw wrongUsage(
      `--decided-since ${String(decidedSince)} is no time`,
      "Give one as 2026-03-01T09:00Z.",
    );
  }
  try {
    return {
      expected: expected === undefined ? null : readExpected(expected),
      clients:
        history === undefined
          ? null
          : await readClientHistory(history.map(givenPath), accountAudit().topics.aggregate),
      samples: samples === undefined ? null : await readAllSamples(samples.map(givenPath)),
      decidedSince: since,
    };
  } catch (error) {
    if (error instanceof CliError) throw error;
    throw wrongUsage(messageOf(error));
  }
}

async function readAllSamples(files: readonly string[]): Promise<readonly PositionSample[]> {
  const all: PositionSample[] = [];
  for (const file of files) for await (const sample of readSamples(file)) all.push(sample);
  return all;
}

function readExpected(file: string): Expected {
  let text: string;
  try {
    text = readFileSync(givenPath(file), "utf8");
  } catch (error) {
    throw wrongUsage(`${file} cannot be read: ${messageOf(error)}`);
  }
  try {
    return parseExpected(text);
  } catch (error) {
    throw wrongUsage(`${file}: ${messageOf(error)}`);
  }
}

async function auditWith(config: Config, given: Given): Promise<AuditReport> {
  const { signal } = new AbortController();
  const aggregate = accountAudit();
  const log = openLogReader(config.kafka, signal);
  const database = openDatabase({
    url: config.databaseReadUrl ?? "",
    applicationName: "foldlog audit",
    maxConnections: 2,
    answerTimeoutMs: 60_000,
  });
  let now: Progress | null = null;
  const progress = startProgress(() => progressLine(now));
  try {
    const { commands, events, snapshots, replies, dlq } = aggregate.topics;
    const codec = await codecFor(config, [commands, events, snapshots, replies, dlq]);
    const onProgress = (it: Progress) => {
      now = it;
    };
    const { expected, clients, samples, decidedSince } = given;
    return await audit(
      {
        ...{ aggregate, log, codec, database, expected, decidedSince, onProgress },
        ...(clients !== null && { clients }),
        ...(samples !== null && { samples }),
      },
      signal,
    );
  } catch (error) {
    if (!(error instanceof FatalError)) throw error;
    // 1 is for a promise that is broken: what could not be looked at is none.
    throw new CliError(exitCode.unavailable, `The audit could not be done: ${error.message}`, {
      cause: error,
    });
  } finally {
    progress.end();
    log.close();
    await database.close();
  }
}

function progressLine(progress: Progress | null): string {
  if (progress === null) return "reading the views";
  const { aggregate, partition, partitions, records } = progress;
  const share = bar(partition / partitions);
  return `${share}  ${aggregate}, partition ${count(partition + 1)} of ${count(partitions)}, ${plural(records, "record")}`;
}
