import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type Config, loadConfig, type SettingName } from "../../engine/config.ts";
import { messageOf } from "../../engine/errors.ts";
import { folderAt } from "../stack/folder.ts";
import { folderSetting } from "../stack/settings.ts";
import { wrongUsage } from "./outcome.ts";

/** Where the settings of the command line come from: the environment, else what `npm start` wrote. */

export type Environment = Readonly<Record<string, string | undefined>>;

export interface CliSettings {
  readonly config: Config;
  /** Everything set, by whichever of the two. */
  readonly env: Environment;
  /** The folder of the local stack where it has one, whether its settings were used or not. */
  readonly localDir: string | null;
}

/** What help texts say of it. */
export const settingsHelp = `
Settings that are not set in the environment are taken from .foldlog/env, which npm start writes.`;

/**
 * Reads the settings, those in `needed` besides those with a fallback; says on `stderr` where a part of the
 * addresses is from the environment and another from the local stack, since that is rarely meant.
 * @throws ConfigError with every fault
 */
export function readSettings(needed: readonly SettingName[]): CliSettings {
  const folder = folderAt(folderSetting(process.env));
  const local = existsSync(folder.env) ? readEnvFile(folder.env) : {};
  const env = merged(process.env, local);
  const mixed = mixedOf(process.env, local, needed);
  if (mixed !== null) process.stderr.write(`Note: ${mixed}, from ${folder.env}.\n`);
  return {
    config: loadConfig(env, needed),
    env,
    localDir: existsSync(folder.env) ? folder.dir : null,
  };
}

/** The prompt's history and the like go here; `null` where there is no local stack. */
export function localFile({ localDir }: CliSettings, name: string): string | null {
  return localDir === null ? null : join(localDir, name);
}

/** A setting that describes what another one names: taken from the file only together with that one. */
const companions: Readonly<Record<string, string>> = {
  FOLDLOG_REPLICATION_FACTOR: "KAFKA_BROKERS",
  FOLDLOG_METRICS_URL: "KAFKA_BROKERS",
  FOLDLOG_METRICS_URLS: "KAFKA_BROKERS",
  SCHEMA_IDS_FILE: "SCHEMA_REGISTRY_URL",
};

/** What is set wins, be it as `NAME_FILE`; an empty variable counts as not set. */
export function merged(explicit: Environment, local: Environment): Environment {
  const isSet = (name: string) =>
    (explicit[name] ?? "") !== "" || (explicit[`${name}_FILE`] ?? "") !== "";
  const env: Record<string, string | undefined> = { ...explicit };
  for (const [name, value] of Object.entries(local)) {
    if (isSet(name)) continue;
    const leader = companions[name];
    if (leader !== undefined && isSet(leader) && explicit[leader] !== local[leader]) continue;
    env[name] = value;
  }
  return env;
}

/** Which needed addresses are taken from the file although another one that is set leads elsewhere. */
export function mixedOf(
  explicit: Environment,
  local: Environment,
  needed: readonly SettingName[],
): string | null {
  const isSet = (name: string) => (explicit[name] ?? "") !== "";
  const leadsElsewhere = needed.some((name) => isSet(name) && explicit[name] !== local[name]);
  const taken = needed.filter((name) => !isSet(name) && local[name] !== undefined);
  if (!leadsElsewhere || taken.length === 0) return null;
  return `${taken.join(" and ")} ${taken.length === 1 ? "is" : "are"} not set, and so taken`;
}

function readEnvFile(file: string): Environment {
  try {
    return parseEnvFile(readFileSync(file, "utf8"));
  } catch (error) {
    throw wrongUsage(
      `The settings in ${file} cannot be read: ${messageOf(error)}`,
      "Set the variables yourself, or let npm start write the file again.",
    );
  }
}

/** The inverse of `envFileText`. Lines of another form are an error: a value must not be lost in silence. */
export function parseEnvFile(text: string): Environment {
  const env: Record<string, string> = {};
  // A value in quotes may hold line ends.
  const assignment = /(?:export )?([A-Za-z_][A-Za-z0-9_]*)='((?:[^']|'\\'')*)'\n|(?:#[^\n]*)?\n/y;
  while (assignment.lastIndex < text.length) {
    const at = assignment.lastIndex;
    const match = assignment.exec(text);
    if (match === null) {
      const line = text.slice(0, at).split("\n").length;
      throw new Error(`line ${line} is not of the form export NAME='value'`);
    }
    const [, name, value] = match;
    if (name !== undefined && value !== undefined) env[name] = value.replaceAll("'\\''", "'");
  }
  return env;
}
