import { ConfigError, type SettingName } from "../../engine/config.ts";
import { type Finding, good, orGood, wrong } from "./doctor-finding.ts";
import { plural } from "./output.ts";
import { type CliSettings, readSettings } from "./settings.ts";

/** The settings as far as they can be read, and everything that is wrong with them. */
export interface DoctorSettings {
  readonly findings: readonly Finding[];
  /** `null` where a value cannot be read, so that nothing can be looked up by it. */
  readonly settings: CliSettings | null;
}

/** `DATABASE_URL` is not among them: what only the owner may see is told apart. */
const needed: readonly SettingName[] = [
  "KAFKA_BROKERS",
  "SCHEMA_REGISTRY_URL",
  "DATABASE_READ_URL",
];

export function settingsForDoctor(): DoctorSettings {
  try {
    const settings = readSettings(needed);
    return { findings: settingsFindings([]), settings };
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return { findings: settingsFindings(error.problems), settings: settingsWithGaps() };
  }
}

/** One that is missing leaves the others; one that is no value of its kind leaves none. */
function settingsWithGaps(): CliSettings | null {
  try {
    return readSettings([]);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return null;
  }
}

/** A finding each fault, by the name of the variable with which it begins. */
export function settingsFindings(problems: readonly string[]): readonly Finding[] {
  const faults = problems.map((found) => {
    const name = /^[A-Z_]+/.exec(found)?.[0] ?? "";
    return wrong(`settings/${name}`, {
      found: found.slice(name.length).trimStart(),
      why: "no worker and no verb that needs it starts",
      mend: `set ${name}; where all runs on one machine, npm start writes it to .foldlog/env`,
    });
  });
  return orGood(faults, good("settings", `${plural(needed.length, "needed setting")}, all there`));
}
