import { renameSync, writeFileSync } from "node:fs";

/**
 * Writes variables for shells to source (`source .foldlog/env`) and for `node --env-file`. Only its owner
 * may read it: it holds passwords.
 */
export function writeEnvFile(file: string, variables: Readonly<Record<string, string>>): void {
  const draft = `${file}.new`;
  writeFileSync(draft, envFileText(variables), { mode: 0o600 });
  renameSync(draft, file);
}

/** In single quotes nothing has a meaning but the quote itself. */
export function envFileText(variables: Readonly<Record<string, string>>): string {
  return Object.entries(variables)
    .map(([name, value]) => `export ${name}='${value.replaceAll("'", `'\\''`)}'\n`)
    .join("");
}
