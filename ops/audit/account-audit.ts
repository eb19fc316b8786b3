import { account } from "../../processors/aggregates/account.ts";
import { topics } from "../../topics/catalog.ts";
import type { AuditedAggregate } from "./audit.ts";
import { bankCheck } from "./bank.ts";
import { type BankViews, readBankViews, readMovements } from "./bank-views.ts";
import type { AggregateTopics } from "../../engine/topic.ts";

/** The bank's account as the audit looks at it: its topics, its rules, its two views, its money. */
export function accountAudit(of: AggregateTopics = topics.account): AuditedAggregate<BankViews> {
  return {
    topics: of,
    decider: account,
    readViews: (session) => readBankViews(session, of.events),
    rowsOf: ({ balances, statements }) => ({
      balances: balances.count,
      statements: statements.count,
    }),
    check: ({ database, ...context }, snapshots) =>
      bankCheck(
        { ...context, movements: (accountId) => readMovements(database, accountId) },
        snapshots,
      ),
  };
}
