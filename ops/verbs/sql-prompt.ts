import { readFileSync, writeFileSync } from "node:fs";
import { createInterface, type Interface } from "node:readline";
import { messageOf } from "../../engine/errors.ts";
import { type ExitCode, exitCode } from "./outcome.ts";
import { say } from "./output.ts";
import { type Answering, isAway, run } from "./sql-run.ts";
import { splitSql } from "./sql-statements.ts";

/** The prompt of `foldlog sql`. */

const prompts = { first: "foldlog=> ", further: "foldlog-> " };
const historyLines = 500;

/** Reads and runs statements until `\q` or Ctrl-D. `historyFile` keeps the lines for the next time. */
export async function prompt(answering: Answering, historyFile: string | null): Promise<ExitCode> {
  const terminal = createInterface({
    input: process.stdin,
    output: process.stdout,
    history: historyIn(historyFile),
    historySize: historyLines,
    removeHistoryDuplicates: true,
    prompt: prompts.first,
  });
  terminal.on("history", (lines: readonly string[]) => {
    keepHistory(historyFile, lines);
  });
  say("Read only. A statement ends with ;   \\d lists the views, \\q leaves.");
  await readStatements(terminal, answering);
  terminal.close();
  return exitCode.ok;
}

async function readStatements(terminal: Interface, answering: Answering): Promise<void> {
  let text = "";
  let running: AbortController | null = null;
  const ask = () => {
    terminal.setPrompt(text === "" ? prompts.first : prompts.further);
    terminal.prompt();
  };
  terminal.on("SIGINT", () => {
    if (running !== null) {
      running.abort(new Error("cancelled"));
      return;
    }
    text = "";
    terminal.write(null, { ctrl: true, name: "u" });
    process.stdout.write("^C\n");
    ask();
  });
  ask();
  for await (const line of terminal) {
    if (text === "" && isLeaving(line)) return;
    text = text === "" ? line.trimStart() : `${text}\n${line}`;
    const { statements, rest } = text.startsWith("\\")
      ? { statements: [text.trim()], rest: "" }
      : splitSql(text);
    text = rest;
    for (const statement of statements) {
      running = new AbortController();
      await answered(answering, statement, running.signal);
      running = null;
    }
    ask();
  }
  process.stdout.write("\n"); // After Ctrl-D.
}

function isLeaving(line: string): boolean {
  return /^\s*(\\q|quit|exit)\s*;?\s*$/i.test(line);
}

/** A server that is away ends one statement, and not the prompt: the next one connects again. */
async function answered(answering: Answering, statement: string, signal: AbortSignal) {
  try {
    await run(answering, statement, signal);
  } catch (error) {
    if (!isAway(error)) throw error;
    say(messageOf(error));
  }
}

/** The newest first, as readline wants it. */
function historyIn(file: string | null): string[] {
  if (file === null) return [];
  try {
    return readFileSync(file, "utf8").split("\n").filter(Boolean).reverse();
  } catch {
    return []; // The first time.
  }
}

function keepHistory(file: string | null, newestFirst: readonly string[]): void {
  if (file === null) return;
  try {
    writeFileSync(
      file,
      [...newestFirst]
        .reverse()
        .map((line) => `${line}\n`)
        .join(""),
      { mode: 0o600 },
    );
  } catch {
    // A folder that cannot be written to costs the history, not the prompt.
  }
}
