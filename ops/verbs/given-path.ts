import { existsSync } from "node:fs";
import { resolve } from "node:path";

/** A path as its user means it: npm runs its scripts at the root of the repository, wherever the user stands. */
export function givenPath(file: string): string {
  const stands = process.env["INIT_CWD"];
  return stands === undefined || existsSync(file) ? file : resolve(stands, file);
}
