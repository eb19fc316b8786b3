import { createInterface } from "node:readline/promises";
import { wrongUsage } from "./outcome.ts";

/**
 * Asks on the terminal, and takes only y or yes for yes; `--yes` answers beforehand.
 * @throws CliError where there is nobody to ask
 */
export async function isAgreed(question: string, yes: boolean): Promise<boolean> {
  if (yes) return true;
  if (!process.stdin.isTTY) {
    throw wrongUsage(
      "This asks before it changes anything, and there is no terminal to ask on.",
      "To agree beforehand, add --yes.",
    );
  }
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  const closed = new AbortController();
  terminal.once("close", () => {
    closed.abort(); // Ctrl-D or Ctrl-C: no.
  });
  try {
    const answer = await terminal.question(`${question} [y/N] `, { signal: closed.signal });
    return /^y(es)?$/i.test(answer.trim());
  } catch {
    process.stderr.write("\n");
    return false;
  } finally {
    terminal.close();
  }
}
