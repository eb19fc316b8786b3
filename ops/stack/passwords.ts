import { randomBytes } from "node:crypto";
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import type { Folder } from "./folder.ts";

/** The password of each Postgres role, by its name. */
export type Passwords = Readonly<Record<string, string>>;

/**
 * The passwords of these roles: as they were made on the first run, and new ones for roles that are new.
 * The file is readable by its owner only. Made of letters, digits, "-" and "_", so they need no quoting in
 * SQL, URLs or shells.
 */
export function passwordsFor(folder: Folder, roles: readonly string[]): Passwords {
  const known = readPasswords(folder);
  const fresh = roles.filter((role) => known[role] === undefined);
  if (fresh.length === 0) return known;

  const made = fresh.map((role) => [role, randomBytes(24).toString("base64url")] as const);
  const passwords = { ...known, ...Object.fromEntries(made) };
  const file = `${folder.passwords}.new`;
  writeFileSync(file, `${JSON.stringify(passwords, null, 2)}\n`, { mode: 0o600 });
  renameSync(file, folder.passwords);
  return passwords;
}

function readPasswords(folder: Folder): Passwords {
  try {
    return JSON.parse(readFileSync(folder.passwords, "utf8")) as Passwords;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return {};
    throw error;
  }
}

/** @throws Error where the role has none: a role was left out when they were made */
export function passwordOf(passwords: Passwords, role: string): string {
  const password = passwords[role];
  if (password === undefined) throw new Error(`No password was made for the role ${role}`);
  return password;
}
