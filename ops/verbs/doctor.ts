import type { Command } from "commander";
import { codeOf, runChecks } from "./doctor-checks.ts";
import { doctorLines } from "./doctor-lines.ts";
import { checksFor } from "./doctor-list.ts";
import { settingsForDoctor } from "./doctor-settings.ts";
import { type ExitCode, exitsWith } from "./outcome.ts";
import { toJson } from "./output.ts";
import { startProgress } from "./progress.ts";
import { settingsHelp } from "./settings.ts";

interface Options {
  readonly json?: boolean;
}

export function doctorCommand(program: Command): void {
  program
    .command("doctor")
    .summary("examine everything, and say what mends what is wrong")
    .description(
      "Examines this machine, the broker, the registry, Postgres and the workers, and says of all that is " +
        "wrong what it is, why it matters, and the command that mends it. Changes nothing.",
    )
    .option("--json", "one JSON object a finding: id, status, found, why, mend")
    .addHelpText(
      "after",
      `
✓ is good, ✗ wrong, ! works but not as it should, ? cannot be told, since who knows it is away. The checks run
side by side and each is given up after ${deadlineMs / 1000} s. Roles and rights in Postgres can be asked by any role; which
migrations were applied only with DATABASE_URL as the owner. A broker's clock cannot be asked without writing,
and is not.
${settingsHelp}

Exit codes: 0 all good, 1 something is wrong, 2 settings are missing or wrong, 5 something is away.

Example:
  npm run -s foldlog -- doctor`,
    )
    .action(exitsWith(doctor));
}

const deadlineMs = 5_000;

async function doctor({ json = false }: Options): Promise<ExitCode> {
  const { findings: ofSettings, settings } = settingsForDoctor();
  const checks = checksFor(settings, deadlineMs);
  let left = checks.map(({ id }) => id);
  const progress = startProgress(() => progressLine(checks.length, left));
  const run = await runChecks(checks, deadlineMs, (still) => {
    left = [...still];
  });
  progress.end();

  const findings = [...ofSettings, ...run.findings];
  const lines = json ? findings.map(toJson) : doctorLines(findings);
  const code = codeOf(findings);
  await written(`${lines.join("\n")}\n`);
  // Whoever still waits for an answer would hold the process for as long as that may take.
  if (run.isLeftWaiting) process.exit(code);
  return code;
}

function progressLine(all: number, left: readonly string[]): string {
  return `${all - left.length} of ${all} checks done, waiting for ${left.join(", ")}`;
}

function written(text: string): Promise<void> {
  return new Promise((resolve) => {
    process.stdout.write(text, () => {
      resolve();
    });
  });
}
