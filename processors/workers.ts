import { commandStatus } from "../engine/projections/command-status.ts";
import { eventIndex } from "../engine/projections/event-index.ts";
import { commandProcessor, gateway, projector } from "../engine/worker.ts";
import { topics } from "../topics/catalog.ts";
import { account } from "./aggregates/account.ts";
import { balances } from "./projections/balances.ts";
import { statements } from "./projections/statements.ts";

const aggregates = Object.values(topics);

/** Those that read the log, by the names that consumer groups, metrics and docker-compose know them by. */
export const logWorkers = {
  account: commandProcessor(account, topics.account),
  balances: projector(balances),
  statements: projector(statements),
  // The engine's own, for GET /commands/<id> and /aggregates/….
  command_status: projector(commandStatus(aggregates)),
  event_index: projector(eventIndex(aggregates)),
};

/** Every worker of the bank, by the name that `main.ts` knows it by. */
export const workers = { ...logWorkers, gateway: gateway("The bank", logWorkers) };
