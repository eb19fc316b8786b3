import { openDatabase } from "../../engine/postgres/postgres.ts";
import type { History } from "./load-history.ts";
import type { Addresses } from "./system.ts";

/**
 * The last thing that clients do: once all is at rest, one of them reads every account, and must see the last of what
 * all of them were told. At most so many, so that memory stays bounded.
 */
const accountsAtMost = 5_000;

export async function readAll(
  { databaseReadUrl }: Pick<Addresses, "databaseReadUrl">,
  history: History,
): Promise<void> {
  const database = openDatabase({
    url: databaseReadUrl,
    applicationName: "chaos final reads",
    maxConnections: 1,
    answerTimeoutMs: 60_000,
  });
  try {
    const process = history.borrowProcess();
    const { rows } = await database.query(
      `select account_id from public.balances order by account_id limit ${accountsAtMost}`,
    );
    for (const row of rows) {
      const aggregateId = String(row["account_id"]);
      const about = { process, aggregateId, f: "query", token: null, view: "balances" } as const;
      history.write({ ...about, type: "invoke" });
      const sql = "select version from public.balances where account_id = $1";
      const [found] = (await database.query(sql, [aggregateId])).rows;
      history.write({ ...about, type: "ok", version: Number(found?.["version"] ?? 0) });
    }
  } finally {
    await database.close();
  }
}
