import { type Database, openDatabase } from "../postgres/postgres.ts";

/** Reads are short; more connections would only wait for each other on the server. */
const maxConnections = 8;

/**
 * In force whatever the role's own are: what a client asks for is bounded in time, and changes nothing.
 * `answerTimeoutMs` is longer, for a server that says nothing at all.
 */
const settings: Readonly<Record<string, string>> = {
  default_transaction_read_only: "on",
  statement_timeout: "5s",
  lock_timeout: "2s",
  idle_in_transaction_session_timeout: "10s",
  search_path: "pg_catalog",
};

/** The database as the gateway reads it, with the role of readers. It connects when it is first used. */
export function openViewDatabase(url: string): Database {
  return openDatabase({
    url,
    applicationName: "foldlog gateway",
    maxConnections,
    settings,
    answerTimeoutMs: 8_000,
  });
}
