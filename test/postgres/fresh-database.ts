import { randomBytes } from "node:crypto";
import { inject } from "vitest";
import { type Database, openDatabase, SqlError } from "../../engine/postgres/postgres.ts";
import { prepareDatabase, type PrepareOptions } from "../../engine/postgres/prepare-database.ts";
import { projectorRole, readerRole } from "../../engine/projections/tables.ts";

/** A database of a test's own. Its roles belong to the server: see `passwordOf`. */
export interface FreshDatabase {
  /** Names made with it do not collide with another test's, for example a projection's. */
  readonly suffix: string;
  readonly ownerUrl: string;
  readonly superuserUrl: string;
  /** To log in as that role with its password; `prepare` has to have made it. */
  urlOf(role: string): string;
  prepare(
    projections: PrepareOptions["projections"],
    changes?: Partial<PrepareOptions>,
  ): Promise<readonly string[]>;
  /** Opens it as a role or by a URL; closed with `drop`. */
  open(urlOrRole: string): Database;
  drop(): Promise<void>;
}

/** The same password in every test: roles belong to the server, and tests run side by side. */
export function passwordOf(role: string): string {
  return `test-${role}`;
}

export async function freshDatabase(): Promise<FreshDatabase> {
  const server = inject("postgresUrl");
  const suffix = randomBytes(5).toString("hex");
  const name = `test_${suffix}`;
  const opened: Database[] = [];
  const roles = new Set<string>();
  const admin = openUrl(server);
  await makeOwner(admin);
  await admin.query(`create database ${name} owner foldlog_owner`);

  const superuserUrl = withDatabase(server, name);
  const ownerUrl = `${superuserUrl}?options=-c%20role%3Dfoldlog_owner`;
  const urlOf = (role: string) => {
    const url = new URL(superuserUrl);
    url.username = role;
    url.password = passwordOf(role);
    return url.href;
  };
  return {
    suffix,
    ownerUrl,
    superuserUrl,
    urlOf,
    async prepare(projections, changes = {}) {
      const own = projections.map((projection) => projectorRole(projection.name));
      for (const role of own) roles.add(role);
      const passwords = Object.fromEntries([readerRole, ...own].map((r) => [r, passwordOf(r)]));
      return prepareDatabase({ ownerUrl, projections, passwords, ...changes });
    },
    open(urlOrRole) {
      const database = openUrl(urlOrRole.includes("://") ? urlOrRole : urlOf(urlOrRole));
      opened.push(database);
      return database;
    },
    async drop() {
      await Promise.all(opened.map(async (database) => database.close()));
      await admin.query(`drop database ${name} with (force)`);
      for (const role of roles) {
        if (role.includes(suffix)) await admin.query(`drop role if exists ${role}`);
      }
      await admin.close();
    },
  };
}

function openUrl(url: string): Database {
  return openDatabase({
    url,
    applicationName: "foldlog test",
    maxConnections: 4,
    answerTimeoutMs: 60_000,
  });
}

function withDatabase(url: string, database: string): string {
  const changed = new URL(url);
  changed.pathname = `/${database}`;
  return changed.href;
}

/** As the starter makes it; another test may be making it too. */
async function makeOwner(admin: Database): Promise<void> {
  try {
    await admin.query("create role foldlog_owner login createrole");
  } catch (error) {
    const there = error instanceof SqlError && ["42710", "23505"].includes(error.sqlState);
    if (!there) throw error;
  }
}
