import { commandProcessor, projector } from "../engine/worker.ts";
import { topics } from "../topics/catalog.ts";
import { account } from "./aggregates/account.ts";
import { balances } from "./projections/balances.ts";
import { statements } from "./projections/statements.ts";

/** Every worker of the bank, by the name that `main.ts`, metrics and docker-compose know it by. */
export const workers = {
  account: commandProcessor(account, topics.account),
  balances: projector(balances),
  statements: projector(statements),
};
