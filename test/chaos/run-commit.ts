import { execFileSync } from "node:child_process";

/** The commit of the project, for example "5bbfbbb"; with "+" where files were changed since; "" without git. */
export function commitOf(): string {
  try {
    const git = (...args: readonly string[]) =>
      execFileSync("git", args, { cwd: import.meta.dirname, encoding: "utf8" }).trim();
    const isChanged = git("status", "--porcelain", "--untracked-files=no") !== "";
    return `${git("rev-parse", "--short", "HEAD")}${isChanged ? "+" : ""}`;
  } catch {
    return "";
  }
}
