import type { Command } from "commander";
import type { Config } from "../../engine/config.ts";
import {
  checkAll,
  type CheckRow,
  registerAll,
  type RegisterOptions,
  type RegisterRow,
} from "../../engine/schemas/register.ts";
import { catalog } from "../../topics/catalog.ts";
import { registryOf } from "./connect.ts";
import { type ExitCode, exitCode, exitsWith } from "./outcome.ts";
import { plural, print, printJson } from "./output.ts";
import { type CliSettings, readSettings, settingsHelp } from "./settings.ts";

interface Options {
  readonly json?: boolean;
}

export function schemasCommand(program: Command): void {
  const schemas = program
    .command("schemas")
    .helpCommand(false)
    .summary("compare the registry with the repository, and register what is new")
    .description("Compares the schema registry with schemas/, and registers what is new.");
  schemas
    .command("check")
    .summary("show what register would do")
    .description("Shows what register would do, and whether the registry would refuse anything.")
    .option("--json", "one JSON object a schema version")
    .addHelpText("after", helpAfter("schemas check"))
    .action(exitsWith(check));
  schemas
    .command("register")
    .summary("register every schema version")
    .description(
      "Registers every schema version under its subject, with the compatibility level of its topic. " +
        "Registered ones stay as they are.",
    )
    .option("--json", "one JSON object a schema version")
    .addHelpText("after", helpAfter("schemas register"))
    .action(exitsWith(register));
}

function helpAfter(example: string): string {
  return `
SCHEMA_IDS_FILE is where this deployment keeps which registry id means which schema, so that a registry that
was wiped is noticed. npm start keeps it in .foldlog/schema-ids.json; elsewhere nothing is kept unless it is set.
${settingsHelp}

Exit codes: 4 where the registry refuses a schema, or an id means another schema than was recorded.

Example:
  npm run -s foldlog -- ${example}`;
}

function optionsOf(config: Config): RegisterOptions {
  return { registry: registryOf(config), topics: catalog, idsFile: config.registry.idsFile };
}

function settings(): CliSettings {
  return readSettings(["SCHEMA_REGISTRY_URL"]);
}

async function check({ json = false }: Options): Promise<ExitCode> {
  const { config } = settings();
  const rows = await checkAll(optionsOf(config), new AbortController().signal);
  if (json) rows.forEach(printJson);
  else for (const line of checkLines(rows)) print(line);
  const isRefused = rows.some(({ verdict }) => verdict === "would be refused");
  return isRefused ? exitCode.conflict : exitCode.ok;
}

async function register({ json = false }: Options): Promise<ExitCode> {
  const { config } = settings();
  const rows = await registerAll(optionsOf(config), new AbortController().signal);
  if (json) rows.forEach(printJson);
  else for (const line of registerLines(rows, config.registry.idsFile)) print(line);
  const isRefused = rows.some(({ outcome }) => outcome === "refused");
  return isRefused ? exitCode.conflict : exitCode.ok;
}

/** For people, the summary last. */
export function checkLines(rows: readonly CheckRow[]): readonly string[] {
  const lines = rows.flatMap(({ subject, version, verdict, level, levelNow, reasons }) => [
    `${nameOf(subject, version)}  ${verdict}${levelNow === level || levelNow === null ? "" : `; the subject's level is ${levelNow}, should be ${level}`}`,
    ...reasons.map((reason) => `    ${reason}`),
  ]);
  const would = rows.filter(({ verdict }) => verdict === "would register").length;
  const refused = rows.filter(({ verdict }) => verdict === "would be refused").length;
  const registered = rows.length - would - refused;
  const parts = [
    `${registered} registered`,
    would > 0 ? `${would} to register` : [],
    refused > 0 ? `${refused} that would be refused` : [],
  ].flat();
  const next = would > 0 ? ["To do so: npm run -s foldlog -- schemas register"] : [];
  return [...lines, `${plural(rows.length, "schema")}: ${parts.join(", ")}`, ...next];
}

/** For people, the summary last: `npm start` shows that line alone. */
export function registerLines(
  rows: readonly RegisterRow[],
  idsFile: string | null,
): readonly string[] {
  const lines = rows.flatMap(({ subject, version, id, outcome, level, levelBefore, reasons }) => [
    `${nameOf(subject, version)}  ${outcome}${id === null ? "" : `, id ${id}`}${levelBefore === null ? "" : `; the subject's level was ${levelBefore}, is ${level} now`}`,
    ...reasons.map((reason) => `    ${reason}`),
  ]);
  const fresh = rows.filter(({ outcome }) => outcome === "registered").length;
  const refused = rows.filter(({ outcome }) => outcome === "refused").length;
  const parts = [
    fresh > 0 ? `${fresh} registered` : [],
    rows.length - fresh - refused > 0 ? `${rows.length - fresh - refused} were registered` : [],
    refused > 0 ? `${refused} refused` : [],
  ].flat();
  return [
    ...lines,
    ...(idsFile === null ? [] : [`Their ids are kept in ${idsFile}`]),
    `${plural(rows.length, "schema")}: ${parts.join(", ")}`,
  ];
}

function nameOf(subject: string, version: number): string {
  return `${subject} v${version}`.padEnd(58);
}
