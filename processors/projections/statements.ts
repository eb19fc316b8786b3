import type { Projection } from "../../engine/projection.ts";
import type { AccountEvent } from "../../schemas/generated.ts";
import { topics } from "../../topics/catalog.ts";

/** What happened on each account: one row a movement of money, in the order of the versions. */
export const statements: Projection<AccountEvent, "statements"> = {
  name: "statements",
  version: 1,
  topics: [topics.account.events],
  tables: {
    statements: `
      account_id   text        not null,
      version      bigint      not null,
      amount_cents bigint      not null check (amount_cents <> 0),
      reference    text,
      command_id   text        not null,
      booked_at    timestamptz not null,
      primary key (account_id, version)`,
  },

  apply({ type, data, aggregateId, version, time, commandId }, { statements }) {
    if (type !== "FundsDeposited" && type !== "FundsWithdrawn") return;
    statements.insert([aggregateId, version], {
      amount_cents: type === "FundsDeposited" ? data.amountCents : -data.amountCents,
      reference: data.reference,
      command_id: commandId,
      booked_at: time,
    });
  },
};
