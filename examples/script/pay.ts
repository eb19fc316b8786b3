import { client, ClientError, overHttp, view } from "../../engine/client/index.ts";
import { overKafka } from "../../engine/client/kafka.ts";
import { loadConfig } from "../../engine/config.ts";
import type { AccountRejection } from "../../processors/aggregates/account.ts";
import { workers } from "../../processors/workers.ts";
import { accountClient } from "../../schemas/client.ts";

/** Pays into an account, which it opens where there is none: `pay.ts ACCOUNT CENTS [--kafka]`. */

const [accountId = "", cents = "", flag] = process.argv.slice(2);
const api = process.env["FOLDLOG_API_URL"] ?? "http://127.0.0.1:8080";

const needed = ["KAFKA_BROKERS", "SCHEMA_REGISTRY_URL", "DATABASE_READ_URL"] as const;
const straight = () => overKafka({ workers }, loadConfig(process.env, needed));
const transport = flag === "--kafka" ? await straight() : overHttp(api);

interface Balance {
  readonly owner: string;
  readonly balance_cents: number;
}

const bank = client(transport, {
  aggregates: { account: accountClient<AccountRejection> },
  views: { balances: view<Balance> },
});
const amountCents = Number(cents);
try {
  let paid = await bank.account.depositFunds({ accountId, amountCents });
  if (paid.kind === "rejected" && paid.reason === "NotOpen") {
    await bank.account.openAccount({ accountId, owner: accountId });
    paid = await bank.account.depositFunds({ accountId, amountCents });
  }
  const balance = await bank.views.balances.get(accountId); // Never without what was just paid in.
  console.log(`${paid.kind === "rejected" ? paid.reason : paid.kind}: ${accountId} holds`, balance);
} catch (error) {
  if (!(error instanceof ClientError)) throw error;
  console.error(error.message);
  process.exitCode = 1;
} finally {
  await transport.close();
}
