import { type Database, openDatabase } from "../../engine/postgres/postgres.ts";
import { TransientError } from "../../engine/errors.ts";
import { until } from "../until.ts";
import type { Operate } from "./operator-system.ts";

/** What befalls Postgres without the server ending: locks, lack of connections; and with it: a lost tail. */

function open(url: string, maxConnections = 1): Database {
  const [applicationName, answerTimeoutMs] = ["chaos", 60_000] as const;
  return openDatabase({ url, applicationName, maxConnections, answerTimeoutMs });
}

/** Lends a transaction until it is told to end; resolves once `sql` is done in it. */
async function holdOpen(database: Database, sql: string): Promise<() => Promise<void>> {
  const over = new AbortController();
  const ended = (signal: AbortSignal) =>
    new Promise<void>((resolve) => {
      signal.addEventListener("abort", () => {
        resolve();
      });
    });
  const begun = Promise.withResolvers<undefined>();
  const held = database
    .transaction("read write", async (session) => {
      await session.query(sql);
      begun.resolve(undefined);
      await ended(over.signal);
    })
    .catch((error: unknown) => {
      begun.reject(error);
    });
  await begun.promise;
  return async () => {
    over.abort();
    await held; // Where the server ended meanwhile, so did the lock.
  };
}

/** `args.table`: what somebody's long migration holds; every worker's checkpoints where left out. */
const lockTables: Operate = async ({ addresses }, { args }) => {
  const database = open(addresses.databaseUrl);
  const table = String(args["table"] ?? "foldlog.checkpoints");
  const lock = async () =>
    holdOpen(database, `lock table ${table} in access exclusive mode`).catch((error: unknown) => {
      if (error instanceof TransientError) return null; // Another fault has ended the server.
      throw error;
    });
  const release = await until(`Postgres to lock ${table}`, lock);
  return async () => {
    await release();
    await database.close();
  };
};

/** Opened at once at most. */
const portion = 20;
const most = 400;

/** Another program takes every connection that there is. */
const useUpConnections: Operate = async ({ addresses }) => {
  const taken: { readonly database: Database; readonly release: () => Promise<void> }[] = [];
  for (let before = -1; taken.length > before && taken.length < most;) {
    before = taken.length;
    const tries = Array.from({ length: portion }, async () => {
      const database = open(addresses.databaseUrl);
      try {
        taken.push({ database, release: await holdOpen(database, "select 1") });
      } catch {
        await database.close(); // No more are to be had.
      }
    });
    await Promise.all(tries);
  }
  return async () => {
    await Promise.all(
      taken.map(async ({ database, release }) => {
        await release();
        await database.close();
      }),
    );
  };
};

/** The standby that takes over when the fault ends has what the primary had when it began, and no more. */
const failOverPostgres: Operate = async ({ services }) => {
  await services.copyDatabase();
  return async () => {
    await services.restoreDatabase();
    services.postgres.release();
  };
};

export const postgresOperations = {
  "lock-tables": lockTables,
  "use-up-connections": useUpConnections,
  "fail-over-postgres": failOverPostgres,
} as const;
