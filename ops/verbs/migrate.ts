import { readFileSync } from "node:fs";
import type { Command } from "commander";
import { messageOf } from "../../engine/errors.ts";
import { prepareDatabase } from "../../engine/postgres/prepare-database.ts";
import type { AnyProjection } from "../../engine/projection.ts";
import { projectorRole, readerRole } from "../../engine/projections/tables.ts";
import type { Worker } from "../../engine/worker.ts";
import { workers } from "../../processors/workers.ts";
import { type ExitCode, exitCode, exitsWith, wrongUsage } from "./outcome.ts";
import { plural, print, printJson } from "./output.ts";
import { type Environment, readSettings, settingsHelp } from "./settings.ts";

interface Options {
  readonly json?: boolean;
}

const prefix = "FOLDLOG_ROLE_PASSWORD_";

export function migrateCommand(program: Command): void {
  program
    .command("migrate")
    .summary("prepare the database: migrations, roles, tables and views")
    .description(
      "Prepares the database: migrations, roles with their rights, and the tables and views of every " +
        "projection, in one transaction. Doing it again changes nothing.",
    )
    .option("--json", "one JSON object")
    .addHelpText(
      "after",
      `
DATABASE_URL is Postgres as the role that owns the database. ${prefix}<ROLE>, or the same with _FILE,
sets the password of a role, for example ${prefix}FOLDLOG_READER; without it a role keeps the password it has.
${settingsHelp}

Example:
  npm run -s foldlog -- migrate`,
    )
    .action(exitsWith(migrate));
}

async function migrate({ json = false }: Options): Promise<ExitCode> {
  const { config, env } = readSettings(["DATABASE_URL"]);
  const projections = projectionsOf(workers);
  const roles = [readerRole, ...projections.map(({ name }) => projectorRole(name))];
  const done = await prepareDatabase({
    ownerUrl: config.databaseUrl ?? "",
    projections,
    passwords: rolePasswords(env, roles),
  });
  if (json) {
    printJson({ done });
    return exitCode.ok;
  }
  for (const line of done) print(line);
  print(done.length === 0 ? "the database is as it should be" : plural(done.length, "change"));
  return exitCode.ok;
}

/** The projections among these workers. */
export function projectionsOf(workers: Readonly<Record<string, Worker>>): readonly AnyProjection[] {
  return Object.values(workers).flatMap((worker) =>
    worker.kind === "projector" ? [worker.projection] : [],
  );
}

/**
 * Role → password, from the environment alone.
 * @throws CliError for a password of a role that there is not: a slip of the pen would leave one without
 */
export function rolePasswords(
  env: Environment,
  roles: readonly string[],
): Readonly<Record<string, string>> {
  const byVariable = new Map(roles.map((role) => [`${prefix}${role.toUpperCase()}`, role]));
  const passwords: Record<string, string> = {};
  for (const [variable, value] of Object.entries(env)) {
    if (!variable.startsWith(prefix) || value === undefined || value === "") continue;
    const isFile = variable.endsWith("_FILE") && !byVariable.has(variable);
    const role = byVariable.get(isFile ? variable.slice(0, -"_FILE".length) : variable);
    if (role === undefined) {
      const all = [...byVariable.keys()].join(", ");
      throw wrongUsage(`${variable} names no role of Foldlog's.`, `The variables are ${all}.`);
    }
    passwords[role] = isFile ? passwordIn(value, variable) : value;
  }
  return passwords;
}

function passwordIn(file: string, variable: string): string {
  try {
    return readFileSync(file, "utf8").trim();
  } catch (error) {
    throw wrongUsage(`${variable} names ${file}, which cannot be read: ${messageOf(error)}`);
  }
}
