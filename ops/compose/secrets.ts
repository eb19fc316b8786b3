/**
 * `node dist/ops/compose/secrets.js DIR`: gives every service of docker-compose.yml the passwords that it
 * needs, each in a folder of its own below DIR, which is a volume that nobody else mounts. They are made on
 * the first run and are the same ever after, for they are kept in DIR/kept.
 */
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { projectorRole, readerRole } from "../../engine/projections/tables.ts";
import { workers } from "../../processors/workers.ts";
import { folderAt } from "../stack/folder.ts";
import { passwordOf, type Passwords, passwordsFor } from "../stack/passwords.ts";
import { projectionsOf } from "../verbs/migrate.ts";

/** What each service finds in its folder: the name of a file → its text. */
export type Secrets = Readonly<Record<string, Readonly<Record<string, string>>>>;

const superuser = "postgres";
const owner = "foldlog_owner";
const registry = "apicurio";
const projectors = projectionsOf(workers).map(({ name }) => ({ name, role: projectorRole(name) }));
const roles = [readerRole, ...projectors.map(({ role }) => role)];

/** Every role of Postgres that has a password. */
export const allRoles: readonly string[] = [superuser, owner, registry, ...roles];

/** The folders, by the service that mounts it. A projector's is its own: its role writes its tables alone. */
export function secretsOf(passwords: Passwords): Secrets {
  const password = (role: string) => passwordOf(passwords, role);
  const databaseUrl = (role: string) => ({
    "database-url": `postgresql://${role}:${password(role)}@postgres:5432/foldlog`,
  });
  return {
    postgres: Object.fromEntries([superuser, owner, registry].map((it) => [it, password(it)])),
    registry: { "registry.properties": `apicurio.datasource.password=${password(registry)}\n` },
    setup: {
      ...databaseUrl(owner),
      ...Object.fromEntries(roles.map((role) => [`${role}.password`, password(role)])),
    },
    reader: databaseUrl(readerRole),
    ...Object.fromEntries(projectors.map(({ name, role }) => [name, databaseUrl(role)])),
  };
}

/** Writes what is not there yet, each file whole or not at all. */
function write(dir: string, secrets: Secrets): void {
  for (const [service, files] of Object.entries(secrets)) {
    const folder = join(dir, service);
    // Each is a volume: one that is missing is a slip in docker-compose.yml.
    if (!existsSync(folder)) throw new Error(`No volume is mounted at ${folder}`);
    for (const [name, text] of Object.entries(files)) {
      const draft = join(folder, `${name}.new`);
      // For whichever user the service runs as: who may mount the volume may read it.
      writeFileSync(draft, text, { mode: 0o444 });
      renameSync(draft, join(folder, name));
    }
  }
}

/** A UUID in Kafka's spelling, made once: it names the cluster for good. */
function keepClusterId(dir: string): void {
  const file = join(dir, "kafka", "cluster-id");
  if (existsSync(file)) return;
  writeFileSync(`${file}.new`, randomBytes(16).toString("base64url").replace(/^-/, "A"));
  renameSync(`${file}.new`, file);
}

if (import.meta.main) {
  const [dir] = process.argv.slice(2);
  if (dir === undefined) throw new Error("Which folder?");
  const kept = join(dir, "kept");
  mkdirSync(kept, { recursive: true, mode: 0o700 });
  const passwords = passwordsFor(folderAt(kept), allRoles);
  write(dir, secretsOf(passwords));
  keepClusterId(dir);
  process.stdout.write(`${allRoles.length} passwords are in place\n`);
}
