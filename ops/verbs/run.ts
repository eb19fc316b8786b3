import { once } from "node:events";
import { createServer } from "node:net";
import type { Command } from "commander";
import { loadConfig, settings } from "../../engine/config.ts";
import { messageOf } from "../../engine/errors.ts";
import { runFromCommandLine } from "../../engine/process.ts";
import { upcasts } from "../../schemas/upcasts.ts";
import { workers } from "../../processors/workers.ts";
import { CliError, exitCode, wrongUsage } from "./outcome.ts";
import { readSettings, settingsHelp } from "./settings.ts";

export function runCommand(program: Command): void {
  const all = Object.keys(workers).join(", ");
  program
    .command("run")
    .summary("run workers in this process until Ctrl-C")
    .description(`Runs workers in this process until Ctrl-C or SIGTERM: one or more of ${all}.`)
    .argument("<worker...>", "the workers to run")
    .addHelpText(
      "after",
      `
A worker logs a line of JSON to stdout for each change of its state. FOLDLOG_METRICS_PORT (9464) is where
/metrics, /livez and /readyz are; FOLDLOG_STATE_DIR is where the local stores are kept.
${settingsHelp}

Settings, each a variable of the environment; a secret may be given as a file, by <name>_FILE:
${settingLines()}

Exit codes: 0 stopped in good order, 1 failed.

Example:
  FOLDLOG_METRICS_PORT=9500 npm run -s foldlog -- run balances statements`,
    )
    .action(run);
}

function settingLines(): string {
  const width = Math.max(...settings.map(({ name }) => name.length));
  return settings
    .map((setting) => {
      const fallback = "fallback" in setting && setting.fallback !== "" ? setting.fallback : null;
      const otherwise = fallback === null ? "" : ` (${fallback})`;
      return `  ${setting.name.padEnd(width)}  ${setting.meaning}${otherwise}`;
    })
    .join("\n");
}

async function run(names: readonly string[]): Promise<void> {
  const unknown = names.filter((name) => !Object.hasOwn(workers, name));
  if (unknown.length > 0) {
    const all = Object.keys(workers).join(", ");
    throw wrongUsage(`There is no worker ${unknown.join(", ")}.`, `The workers are ${all}.`);
  }
  const { env } = readSettings([]);
  // The workers read the environment themselves, as they do where no command line is around them.
  for (const [name, value] of Object.entries(env))
    if (value !== undefined) process.env[name] = value;
  await requireFree(loadConfig(env, []).metrics);
  await runFromCommandLine({ workers, upcasts, program: "foldlog run", names });
}

/** Before anything starts: the usual reason is that `npm start` runs the same workers already. */
async function requireFree({ host, port }: { host: string; port: number }): Promise<void> {
  const probe = createServer();
  try {
    probe.listen(port, host);
    await once(probe, "listening");
  } catch (error) {
    throw new CliError(
      exitCode.conflict,
      `The metrics cannot be served at ${host}:${port}: ${messageOf(error)}`,
      { next: "Set FOLDLOG_METRICS_PORT to another port, or to 0 for any.", cause: error },
    );
  }
  probe.close();
  await once(probe, "close");
}
