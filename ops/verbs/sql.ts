import type { Command } from "commander";
import { type Database, openDatabase } from "../../engine/postgres/postgres.ts";
import { type ExitCode, exitCode, exitsWith } from "./outcome.ts";
import { localFile, readSettings, settingsHelp } from "./settings.ts";
import { prompt } from "./sql-prompt.ts";
import { type Answering, run } from "./sql-run.ts";
import { isEmptySql, splitSql } from "./sql-statements.ts";

interface Options {
  readonly command?: string;
  readonly json?: boolean;
}

export function sqlCommand(program: Command): void {
  program
    .command("sql")
    .summary("ask the views, read only")
    .description(
      "Asks the views in Postgres, as the role that only reads: at a prompt, from standard input, or -c.",
    )
    .option("-c, --command <sql>", "run this and exit; statements are separated by ;")
    .option("--json", "one JSON object a row")
    .addHelpText(
      "after",
      `
At the prompt a statement ends with ; and may take several lines. \\d lists the views with their columns, \\q
leaves, Ctrl-C cancels.
${settingsHelp}

Exit codes: 1 where a statement was refused; those after it are not run.

Examples:
  npm run -s foldlog -- sql
  npm run -s foldlog -- sql -c "select sum(balance_cents) from balances"`,
    )
    .action(exitsWith(sql));
}

async function sql({ command, json = false }: Options): Promise<ExitCode> {
  const settings = readSettings(["DATABASE_READ_URL"]);
  const database = openDatabase({
    url: settings.config.databaseReadUrl ?? "",
    applicationName: "foldlog sql",
    maxConnections: 1,
    // Whatever role the settings name.
    settings: { default_transaction_read_only: "on" },
    answerTimeoutMs: 3_600_000, // The role's own statement_timeout is shorter, where it has one.
  });
  const answering: Answering = { database, format: json ? "json" : "table" };
  try {
    if (command !== undefined) return await script(answering, command);
    if (!process.stdin.isTTY) return await script(answering, await textOf(process.stdin));
    await requireLogin(database);
    return await prompt(answering, localFile(settings, "data/sql-history"));
  } finally {
    await database.close();
  }
}

/** Before a prompt appears that could answer nothing. */
async function requireLogin(database: Database): Promise<void> {
  await database.query("select 1");
}

async function script(answering: Answering, text: string): Promise<ExitCode> {
  if (text.trimStart().startsWith("\\")) return run(answering, text.trim());
  const { statements, rest } = splitSql(text);
  for (const statement of isEmptySql(rest) ? statements : [...statements, rest]) {
    const code = await run(answering, statement);
    if (code !== exitCode.ok) return code;
  }
  return exitCode.ok;
}

async function textOf(stream: NodeJS.ReadStream): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString("utf8");
}
