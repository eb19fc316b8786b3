import { FatalError, messageOf, TransientError } from "../../engine/errors.ts";
import {
  type Database,
  type Session,
  SqlError,
  type SqlRow,
} from "../../engine/postgres/postgres.ts";
import { ident } from "../../engine/projections/tables.ts";
import { type ExitCode, exitCode } from "./outcome.ts";
import { count, print, printJson, say, shownId } from "./output.ts";
import { firstWord } from "./sql-statements.ts";
import {
  distinctNames,
  headLines,
  type Layout,
  layoutOf,
  positionLines,
  rowLine,
} from "./sql-table.ts";

/** Runs statements and prints what they answer. */

export interface Answering {
  readonly database: Database;
  readonly format: "table" | "json";
}

/** Rows are fetched and printed so many at a time: a result of any size fits. */
const pageRows = 1_000;

/**
 * Runs one statement, or `\d`, in a read-only transaction of its own; an aborted `signal` cancels it. What
 * Postgres refuses is said on stderr, with the place in the statement.
 * @throws TransientError, FatalError where Postgres is away or lets nobody in
 */
export async function run(
  answering: Answering,
  statement: string,
  signal?: AbortSignal,
): Promise<ExitCode> {
  if (statement.startsWith("\\")) return describe(answering, statement, signal);
  const offset = { chars: 0 };
  try {
    await answering.database.transaction(
      "snapshot",
      (session) => answer(session, statement, { format: answering.format, offset }),
      signal,
    );
    return exitCode.ok;
  } catch (error) {
    if (signal?.aborted === true && error === signal.reason) {
      say("Cancelled.");
      return exitCode.failed;
    }
    const refusal = refusalOf(error);
    if (refusal === null) throw error;
    const { message, position, hint } = refusal;
    say(message);
    const at = position === null ? null : position - offset.chars;
    for (const line of positionLines(statement, at)) say(line);
    if (hint !== null) say(`HINT: ${hint}`);
    return exitCode.failed;
  }
}

interface Form {
  readonly format: Answering["format"];
  /** By how much the statement that is sent begins before the one that was typed. */
  readonly offset: { chars: number };
}

const queries = new Set(["select", "with", "values", "table"]);

async function answer(session: Session, statement: string, form: Form): Promise<void> {
  if (!queries.has(firstWord(statement) ?? "")) {
    const { columns, rows } = await session.query(statement);
    const page = new Pages(form.format);
    if (columns.length > 0) page.show(columns, rows);
    page.end();
    return;
  }
  await declare(session, statement, "", form);
  let { columns, rows } = await fetchPage(session);
  const distinct = distinctNames(columns);
  if (distinct.some((name, i) => name !== columns[i])) {
    // Again, with names of their own.
    await session.query("close answer");
    await declare(session, statement, distinct.map((name) => ident(name)).join(", "), form);
    ({ columns, rows } = await fetchPage(session));
  }
  const pages = new Pages(form.format);
  pages.show(columns, rows);
  while (rows.length === pageRows) {
    ({ rows } = await fetchPage(session));
    pages.show(columns, rows);
  }
  pages.end();
}

async function declare(
  session: Session,
  statement: string,
  names: string,
  { offset }: Form,
): Promise<void> {
  const cursor = "declare answer no scroll cursor for ";
  // The line end closes a comment that the statement may end with.
  const [before, after] =
    names === "" ? [cursor, ""] : [`${cursor}select * from (`, `\n) as answer (${names})`];
  offset.chars = before.length;
  await session.query(`${before}${statement}${after}`);
  offset.chars = 0;
}

async function fetchPage(session: Session) {
  return session.query(`fetch ${pageRows} from answer`);
}

/** Prints a result as it comes. */
class Pages {
  private readonly format: Answering["format"];
  private layout: Layout | null = null;
  private rows = 0;

  constructor(format: Answering["format"]) {
    this.format = format;
  }

  show(columns: readonly string[], rows: readonly SqlRow[]): void {
    this.rows += rows.length;
    if (this.format === "json") {
      rows.forEach(printJson);
      return;
    }
    if (this.layout === null) {
      this.layout = layoutOf(columns, rows);
      for (const line of headLines(this.layout)) print(line);
    }
    for (const row of rows) print(rowLine(this.layout, row));
  }

  end(): void {
    if (this.format === "json" || this.layout === null) return;
    print(`(${count(this.rows)} row${this.rows === 1 ? "" : "s"})\n`);
  }
}

interface Refusal {
  readonly message: string;
  readonly position: number | null;
  readonly hint: string | null;
}

/** SQLSTATEs of trouble that is not the statement's: the connection, the server, its resources. */
const ofTheServer = /^(08|53|57P|58|XX)/;

/** SQLSTATEs of a write: no right to, or in a transaction that only reads. */
const ofWrites: readonly string[] = ["42501", "25006"];
const writeHint =
  "This prompt only reads. The views follow the events: to change them, send commands (foldlog produce).";

/** What Postgres says against a statement; `null` where the trouble is another. */
function refusalOf(error: unknown): Refusal | null {
  const isSql = error instanceof SqlError;
  const state = isSql ? error.sqlState : stateOf(error);
  if (state === null || ofTheServer.test(state)) return null;
  const said = messageOf(error).replace(/^Postgres: /, "");
  return {
    message: said.endsWith(`(${state})`) ? said : `${said} (${state})`,
    position: isSql ? error.position : null,
    hint: ofWrites.includes(state) ? writeHint : isSql ? error.hint : null,
  };
}

/** Some refusals of a statement pass for trouble that may pass, which at a prompt they are not. */
function stateOf(error: unknown): string | null {
  if (!(error instanceof TransientError)) return null;
  const { code } = (error.cause ?? {}) as { code?: unknown };
  return typeof code === "string" && /^[0-9A-Z]{5}$/.test(code) ? code : null;
}

const viewsSql = `
  select table_name as view, column_name as column, data_type as type
  from information_schema.columns
  where table_schema = 'public' and ($1::text is null or table_name = $1::text)
  order by table_name, ordinal_position`;

async function describe(
  { database, format }: Answering,
  command: string,
  signal: AbortSignal | undefined,
): Promise<ExitCode> {
  const match = /^\\d\s*([^\s;]*)\s*;?$/.exec(command);
  if (match === null) {
    say(
      `There is no ${shownId(command.split(/\s/)[0] ?? "")}: \\d lists the views, \\d NAME one of them, \\q leaves.`,
    );
    return exitCode.usage;
  }
  const name = match[1] === "" ? null : (match[1] ?? null);
  const { columns, rows } = await database.transaction(
    "snapshot",
    async (session) => session.query(viewsSql, [name]),
    signal,
  );
  if (rows.length === 0) {
    say(
      name === null
        ? "There are no views; npm run -s foldlog -- migrate makes them."
        : `There is no view ${shownId(name)}; \\d lists them.`,
    );
    return exitCode.notFound;
  }
  const pages = new Pages(format);
  pages.show(columns, rows);
  pages.end();
  return exitCode.ok;
}

/** Whether the session may go on after this. */
export function isAway(error: unknown): boolean {
  return error instanceof TransientError || error instanceof FatalError;
}
