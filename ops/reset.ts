import { existsSync } from "node:fs";
import { createInterface } from "node:readline/promises";
import { flag, helpFlag, readFlags } from "./stack/flags.ts";
import { type Folder, folderAt, isFoldlogFolder } from "./stack/folder.ts";
import { takeLock } from "./stack/lock.ts";
import { folderSetting } from "./stack/settings.ts";
import { exitCodeOf, explain, SetupError } from "./stack/setup-error.ts";
import { dueForWipe, type Extent, removeIfEmpty, wipe } from "./stack/wipe.ts";

const help = `\
npm run reset -- [options]

Wipes the data of the local stack in .foldlog/ (or FOLDLOG_DIR), after asking: every topic, schema, table
and log. Keeps the downloaded Kafka and registry.

  --all     wipes the downloads too
  --yes     does not ask, for scripts
  --help    this text
`;

process.exitCode = await main();

async function main(): Promise<number> {
  try {
    const options = { all: flag, yes: flag, help: helpFlag } as const;
    const flags = readFlags(process.argv.slice(2), options, "npm run reset -- --help");
    if (flags.help) {
      process.stdout.write(help);
      return 0;
    }
    return await reset(folderAt(folderSetting(process.env)), flags.all ? "all" : "data", flags.yes);
  } catch (error) {
    process.stderr.write(`${explain(error)}\n`);
    return exitCodeOf(error);
  }
}

async function reset(folder: Folder, extent: Extent, yes: boolean): Promise<number> {
  if (!existsSync(folder.dir)) {
    process.stdout.write(`Nothing to wipe: ${folder.dir} is not there.\n`);
    return 0;
  }
  if (!isFoldlogFolder(folder.dir)) {
    throw new SetupError(
      `${folder.dir} is not a folder of Foldlog's, so nothing in it is touched.`,
      {
        next: "Look at FOLDLOG_DIR.",
      },
    );
  }
  const release = takeLock(folder, "npm run reset");
  try {
    const due = dueForWipe(folder, extent);
    if (due.length > 0 && !yes && !(await isAgreed(due))) {
      process.stdout.write("Nothing was wiped.\n");
      return 1;
    }
    await wipe(folder, extent);
    process.stdout.write(due.length > 0 ? `Wiped ${folder.dir}.\n` : "Nothing to wipe.\n");
    removeIfEmpty(folder);
  } finally {
    release();
  }
  return 0;
}

async function isAgreed(due: readonly string[]): Promise<boolean> {
  if (!process.stdin.isTTY) {
    throw new SetupError("A wipe is asked for, and there is no terminal to confirm it on.", {
      next: "To wipe without being asked: npm run reset -- --yes",
    });
  }
  process.stdout.write(`This removes for good:\n${due.map((path) => `  ${path}\n`).join("")}`);
  const terminal = createInterface({ input: process.stdin, output: process.stdout });
  const typed = new AbortController();
  terminal.once("close", () => {
    typed.abort(); // Ctrl-D or Ctrl-C: no.
  });
  try {
    const answer = await terminal.question("Wipe it? [y/N] ", { signal: typed.signal });
    return answer.trim().toLowerCase() === "y";
  } catch {
    process.stdout.write("\n");
    return false;
  } finally {
    terminal.close();
  }
}
