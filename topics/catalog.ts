import { aggregateTopics, type Topic } from "../engine/topic.ts";
import {
  AccountClosed,
  AccountOpened,
  AccountState,
  CloseAccount,
  DepositFunds,
  FundsDeposited,
  FundsWithdrawn,
  OpenAccount,
  WithdrawFunds,
} from "../schemas/generated.ts";
import { Position, Reply } from "../engine/generated.ts";

/** Every topic of the bank, declared once. `README.md` beside this file says why each is as it is. */
export const topics = {
  account: aggregateTopics({
    namespace: "bank",
    aggregate: "account",
    partitions: 12,
    commands: [OpenAccount, DepositFunds, WithdrawFunds, CloseAccount],
    events: [AccountOpened, FundsDeposited, FundsWithdrawn, AccountClosed],
    state: AccountState,
    reply: Reply,
    position: Position,
  }),
};

/** The same, flat: what `topics apply` creates and what `schemas register` registers. */
export const catalog: readonly Topic[] = Object.values(topics).flatMap((aggregate) => [
  aggregate.commands,
  aggregate.events,
  aggregate.snapshots,
  aggregate.replies,
  aggregate.dlq,
]);
