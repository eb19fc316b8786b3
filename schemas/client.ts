/**
 * Generated from the .avsc files by `npm run schemas`. Never edited: a test holds it fresh.
 */
import {
  aggregateClient,
  type AggregateReads,
  type Answer,
  type Connection,
  type SendOptions,
} from "../engine/client/index.ts";

/** The account to a client; `R` is the union of the reasons for which it says no. */
export interface AccountClient<R extends string = string> extends AggregateReads<
  AccountState,
  AccountEvent,
  R
> {
  /** Closes an open account that holds nothing. */
  closeAccount(fields: CloseAccountFields, options?: SendOptions): Promise<Answer<R>>;
  /** Puts money into an open account. */
  depositFunds(fields: DepositFundsFields, options?: SendOptions): Promise<Answer<R>>;
  /** Opens an account. */
  openAccount(fields: OpenAccountFields, options?: SendOptions): Promise<Answer<R>>;
  /** Takes money from an open account, never more than it holds. */
  withdrawFunds(fields: WithdrawFundsFields, options?: SendOptions): Promise<Answer<R>>;
}

/** For `client(…, { aggregates: { account: accountClient } })`. */
export function accountClient<R extends string = string>(connection: Connection): AccountClient<R> {
  return aggregateClient(connection, "account", {
    closeAccount: "CloseAccount",
    depositFunds: "DepositFunds",
    openAccount: "OpenAccount",
    withdrawFunds: "WithdrawFunds",
  });
}

/** Every event of the account. */
export type AccountEvent =
  | { readonly type: "AccountClosed"; readonly data: AccountClosed }
  | { readonly type: "AccountOpened"; readonly data: AccountOpened }
  | { readonly type: "FundsDeposited"; readonly data: FundsDeposited }
  | { readonly type: "FundsWithdrawn"; readonly data: FundsWithdrawn };

/** Closes an open account that holds nothing. */
export interface CloseAccountFields {
  /**
   * Unique for each intent of the sender; the same id again is the same command. A UUIDv7 is best.
   */
  readonly commandId?: string;
  /** The aggregate id, 1 to 255 bytes of UTF-8; also the record's key. */
  readonly accountId: string;
  /**
   * When the command id was issued, for ids that are not UUIDv7. Never a new time for an old id.
   * Milliseconds since the epoch.
   */
  readonly issuedAt?: number | null;
  /** The version that the account must have; 0: it must not exist; null: any. */
  readonly expectedVersion?: number | null;
}

/** Puts money into an open account. */
export interface DepositFundsFields {
  /**
   * Unique for each intent of the sender; the same id again is the same command. A UUIDv7 is best.
   */
  readonly commandId?: string;
  /** The aggregate id, 1 to 255 bytes of UTF-8; also the record's key. */
  readonly accountId: string;
  /**
   * When the command id was issued, for ids that are not UUIDv7. Never a new time for an old id.
   * Milliseconds since the epoch.
   */
  readonly issuedAt?: number | null;
  /** The version that the account must have; 0: it must not exist; null: any. */
  readonly expectedVersion?: number | null;
  /** In the currency's minor unit; positive. */
  readonly amountCents: number;
  /** What the sender wants to read beside the movement. */
  readonly reference?: string | null;
}

/** Opens an account. */
export interface OpenAccountFields {
  /**
   * Unique for each intent of the sender; the same id again is the same command. A UUIDv7 is best.
   */
  readonly commandId?: string;
  /** The aggregate id, 1 to 255 bytes of UTF-8; also the record's key. */
  readonly accountId: string;
  /**
   * When the command id was issued, for ids that are not UUIDv7. Never a new time for an old id.
   * Milliseconds since the epoch.
   */
  readonly issuedAt?: number | null;
  /** The version that the account must have; 0: it must not exist; null: any. */
  readonly expectedVersion?: number | null;
  /** Whose account it is. */
  readonly owner: string;
}

/** Takes money from an open account, never more than it holds. */
export interface WithdrawFundsFields {
  /**
   * Unique for each intent of the sender; the same id again is the same command. A UUIDv7 is best.
   */
  readonly commandId?: string;
  /** The aggregate id, 1 to 255 bytes of UTF-8; also the record's key. */
  readonly accountId: string;
  /**
   * When the command id was issued, for ids that are not UUIDv7. Never a new time for an old id.
   * Milliseconds since the epoch.
   */
  readonly issuedAt?: number | null;
  /** The version that the account must have; 0: it must not exist; null: any. */
  readonly expectedVersion?: number | null;
  /** In the currency's minor unit; positive. */
  readonly amountCents: number;
  /** What the sender wants to read beside the movement. */
  readonly reference?: string | null;
}

/** The account takes no more commands. */
export type AccountClosed = Readonly<Record<string, never>>;

/** The account exists and may be used. */
export interface AccountOpened {
  readonly owner: string;
}

/** Money came in. */
export interface FundsDeposited {
  /** In the currency's minor unit; positive. */
  readonly amountCents: number;
  /** What the sender wants to read beside the movement. */
  readonly reference: string | null;
}

/** Money went out. */
export interface FundsWithdrawn {
  /** In the currency's minor unit; positive. */
  readonly amountCents: number;
  /** What the sender wants to read beside the movement. */
  readonly reference: string | null;
}

/** An account as its command processor folds it. Private to the processor. */
export interface AccountState {
  readonly status: AccountStatus;
  readonly owner: string;
  /** Never negative. */
  readonly balanceCents: number;
}

export type AccountStatus = "absent" | "open" | "closed";
