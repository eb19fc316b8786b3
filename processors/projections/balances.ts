import type { Projection } from "../../engine/projection.ts";
import type { AccountEvent } from "../../schemas/generated.ts";
import { topics } from "../../topics/catalog.ts";

/** What each account holds now: one row an account. */
export const balances: Projection<AccountEvent, "balances"> = {
  name: "balances",
  version: 1,
  topics: [topics.account.events],
  tables: {
    balances: `
      account_id    text        primary key,
      owner         text        not null,
      status        text        not null check (status in ('open', 'closed')),
      balance_cents bigint      not null check (balance_cents >= 0),
      version       bigint      not null,
      updated_at    timestamptz not null`,
  },

  apply({ type, data, aggregateId, version, time }, { balances }) {
    const seen = { version, updated_at: time };
    switch (type) {
      case "AccountOpened":
        balances.insert(aggregateId, {
          owner: data.owner,
          status: "open",
          balance_cents: 0,
          ...seen,
        });
        break;
      case "FundsDeposited":
        balances.add(aggregateId, { balance_cents: data.amountCents }, seen);
        break;
      case "FundsWithdrawn":
        balances.add(aggregateId, { balance_cents: -data.amountCents }, seen);
        break;
      case "AccountClosed":
        balances.patch(aggregateId, { status: "closed", ...seen });
        break;
    }
  },
};
