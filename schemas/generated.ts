/**
 * Generated from the .avsc files by `npm run schemas`. Never edited: a test holds it fresh.
 */
import type { RecordType } from "../engine/topic.ts";

/** Closes an open account that holds nothing. */
export interface CloseAccount {
  /**
   * Unique for each intent of the sender; the same id again is the same command. A UUIDv7 is best.
   */
  readonly commandId: string;
  /** The aggregate id, 1 to 255 bytes of UTF-8; also the record's key. */
  readonly accountId: string;
  /**
   * When the command id was issued, for ids that are not UUIDv7. Never a new time for an old id.
   * Milliseconds since the epoch.
   */
  readonly issuedAt: number | null;
  /** The version that the account must have; 0: it must not exist; null: any. */
  readonly expectedVersion: number | null;
}

/** Puts money into an open account. */
export interface DepositFunds {
  /**
   * Unique for each intent of the sender; the same id again is the same command. A UUIDv7 is best.
   */
  readonly commandId: string;
  /** The aggregate id, 1 to 255 bytes of UTF-8; also the record's key. */
  readonly accountId: string;
  /**
   * When the command id was issued, for ids that are not UUIDv7. Never a new time for an old id.
   * Milliseconds since the epoch.
   */
  readonly issuedAt: number | null;
  /** The version that the account must have; 0: it must not exist; null: any. */
  readonly expectedVersion: number | null;
  /** In the currency's minor unit; positive. */
  readonly amountCents: number;
  /** What the sender wants to read beside the movement. */
  readonly reference: string | null;
}

/** Opens an account. */
export interface OpenAccount {
  /**
   * Unique for each intent of the sender; the same id again is the same command. A UUIDv7 is best.
   */
  readonly commandId: string;
  /** The aggregate id, 1 to 255 bytes of UTF-8; also the record's key. */
  readonly accountId: string;
  /**
   * When the command id was issued, for ids that are not UUIDv7. Never a new time for an old id.
   * Milliseconds since the epoch.
   */
  readonly issuedAt: number | null;
  /** The version that the account must have; 0: it must not exist; null: any. */
  readonly expectedVersion: number | null;
  /** Whose account it is. */
  readonly owner: string;
}

/** Takes money from an open account, never more than it holds. */
export interface WithdrawFunds {
  /**
   * Unique for each intent of the sender; the same id again is the same command. A UUIDv7 is best.
   */
  readonly commandId: string;
  /** The aggregate id, 1 to 255 bytes of UTF-8; also the record's key. */
  readonly accountId: string;
  /**
   * When the command id was issued, for ids that are not UUIDv7. Never a new time for an old id.
   * Milliseconds since the epoch.
   */
  readonly issuedAt: number | null;
  /** The version that the account must have; 0: it must not exist; null: any. */
  readonly expectedVersion: number | null;
  /** In the currency's minor unit; positive. */
  readonly amountCents: number;
  /** What the sender wants to read beside the movement. */
  readonly reference: string | null;
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

/** Every command of the account. */
export type AccountCommand =
  | { readonly type: "CloseAccount"; readonly data: CloseAccount }
  | { readonly type: "DepositFunds"; readonly data: DepositFunds }
  | { readonly type: "OpenAccount"; readonly data: OpenAccount }
  | { readonly type: "WithdrawFunds"; readonly data: WithdrawFunds };

/** Every event of the account. */
export type AccountEvent =
  | { readonly type: "AccountClosed"; readonly data: AccountClosed }
  | { readonly type: "AccountOpened"; readonly data: AccountOpened }
  | { readonly type: "FundsDeposited"; readonly data: FundsDeposited }
  | { readonly type: "FundsWithdrawn"; readonly data: FundsWithdrawn };

export const CloseAccount: RecordType = {
  name: "CloseAccount",
  fullName: "bank.account.CloseAccount",
  versions: [
    {
      version: 1,
      fingerprint: "cca92cf6919c5bc12014ccafbc2946dba7252d6620fe2df1788d8561fd122a5a",
      schema: {
        type: "record",
        name: "CloseAccount",
        namespace: "bank.account",
        kind: "command",
        doc: "Closes an open account that holds nothing.",
        fields: [
          {
            name: "commandId",
            type: "string",
            doc: "Unique for each intent of the sender; the same id again is the same command. A UUIDv7 is best.",
          },
          {
            name: "accountId",
            type: "string",
            doc: "The aggregate id, 1 to 255 bytes of UTF-8; also the record's key.",
          },
          {
            name: "issuedAt",
            type: ["null", { type: "long", logicalType: "timestamp-millis" }],
            default: null,
            doc: "When the command id was issued, for ids that are not UUIDv7. Never a new time for an old id.",
          },
          {
            name: "expectedVersion",
            type: ["null", "long"],
            default: null,
            doc: "The version that the account must have; 0: it must not exist; null: any.",
          },
        ],
      },
    },
  ],
};

export const DepositFunds: RecordType = {
  name: "DepositFunds",
  fullName: "bank.account.DepositFunds",
  versions: [
    {
      version: 1,
      fingerprint: "6f5b19777107263a85fd5796c2ea8d120b751b6eeecaae848be3676bac47f079",
      schema: {
        type: "record",
        name: "DepositFunds",
        namespace: "bank.account",
        kind: "command",
        doc: "Puts money into an open account.",
        fields: [
          {
            name: "commandId",
            type: "string",
            doc: "Unique for each intent of the sender; the same id again is the same command. A UUIDv7 is best.",
          },
          {
            name: "accountId",
            type: "string",
            doc: "The aggregate id, 1 to 255 bytes of UTF-8; also the record's key.",
          },
          {
            name: "issuedAt",
            type: ["null", { type: "long", logicalType: "timestamp-millis" }],
            default: null,
            doc: "When the command id was issued, for ids that are not UUIDv7. Never a new time for an old id.",
          },
          {
            name: "expectedVersion",
            type: ["null", "long"],
            default: null,
            doc: "The version that the account must have; 0: it must not exist; null: any.",
          },
          { name: "amountCents", type: "long", doc: "In the currency's minor unit; positive." },
          {
            name: "reference",
            type: ["null", "string"],
            default: null,
            doc: "What the sender wants to read beside the movement.",
          },
        ],
      },
    },
  ],
};

export const OpenAccount: RecordType = {
  name: "OpenAccount",
  fullName: "bank.account.OpenAccount",
  versions: [
    {
      version: 1,
      fingerprint: "f5c88cb8c2466724077c30c450f425c511c5c14a8c85e333fb398ecc7a4d35f5",
      schema: {
        type: "record",
        name: "OpenAccount",
        namespace: "bank.account",
        kind: "command",
        doc: "Opens an account.",
        fields: [
          {
            name: "commandId",
            type: "string",
            doc: "Unique for each intent of the sender; the same id again is the same command. A UUIDv7 is best.",
          },
          {
            name: "accountId",
            type: "string",
            doc: "The aggregate id, 1 to 255 bytes of UTF-8; also the record's key.",
          },
          {
            name: "issuedAt",
            type: ["null", { type: "long", logicalType: "timestamp-millis" }],
            default: null,
            doc: "When the command id was issued, for ids that are not UUIDv7. Never a new time for an old id.",
          },
          {
            name: "expectedVersion",
            type: ["null", "long"],
            default: null,
            doc: "The version that the account must have; 0: it must not exist; null: any.",
          },
          { name: "owner", type: "string", doc: "Whose account it is." },
        ],
      },
    },
  ],
};

export const WithdrawFunds: RecordType = {
  name: "WithdrawFunds",
  fullName: "bank.account.WithdrawFunds",
  versions: [
    {
      version: 1,
      fingerprint: "6290449f22ba20010b950b23bb18793ee523e2dfefb1ed0f854e178afca3a7bd",
      schema: {
        type: "record",
        name: "WithdrawFunds",
        namespace: "bank.account",
        kind: "command",
        doc: "Takes money from an open account, never more than it holds.",
        fields: [
          {
            name: "commandId",
            type: "string",
            doc: "Unique for each intent of the sender; the same id again is the same command. A UUIDv7 is best.",
          },
          {
            name: "accountId",
            type: "string",
            doc: "The aggregate id, 1 to 255 bytes of UTF-8; also the record's key.",
          },
          {
            name: "issuedAt",
            type: ["null", { type: "long", logicalType: "timestamp-millis" }],
            default: null,
            doc: "When the command id was issued, for ids that are not UUIDv7. Never a new time for an old id.",
          },
          {
            name: "expectedVersion",
            type: ["null", "long"],
            default: null,
            doc: "The version that the account must have; 0: it must not exist; null: any.",
          },
          { name: "amountCents", type: "long", doc: "In the currency's minor unit; positive." },
          {
            name: "reference",
            type: ["null", "string"],
            default: null,
            doc: "What the sender wants to read beside the movement.",
          },
        ],
      },
    },
  ],
};

export const AccountClosed: RecordType = {
  name: "AccountClosed",
  fullName: "bank.account.AccountClosed",
  versions: [
    {
      version: 1,
      fingerprint: "c958cc41938c821850653e3aa995ee14188653b88815630dded36b271dbe044b",
      schema: {
        type: "record",
        name: "AccountClosed",
        namespace: "bank.account",
        kind: "event",
        doc: "The account takes no more commands.",
        fields: [],
      },
    },
  ],
};

export const AccountOpened: RecordType = {
  name: "AccountOpened",
  fullName: "bank.account.AccountOpened",
  versions: [
    {
      version: 1,
      fingerprint: "9ba9593e9fae32a2c49f558a539461e2e3b3fe0aefbae02bc977eb3c7c236e6f",
      schema: {
        type: "record",
        name: "AccountOpened",
        namespace: "bank.account",
        kind: "event",
        doc: "The account exists and may be used.",
        fields: [{ name: "owner", type: "string" }],
      },
    },
  ],
};

export const FundsDeposited: RecordType = {
  name: "FundsDeposited",
  fullName: "bank.account.FundsDeposited",
  versions: [
    {
      version: 1,
      fingerprint: "135fa7aa9c2e928fe656ee5b294fd8b8c35c663d2a0557298da1fc953c51f2fe",
      schema: {
        type: "record",
        name: "FundsDeposited",
        namespace: "bank.account",
        kind: "event",
        doc: "Money came in.",
        fields: [
          { name: "amountCents", type: "long", doc: "In the currency's minor unit; positive." },
          {
            name: "reference",
            type: ["null", "string"],
            default: null,
            doc: "What the sender wants to read beside the movement.",
          },
        ],
      },
    },
  ],
};

export const FundsWithdrawn: RecordType = {
  name: "FundsWithdrawn",
  fullName: "bank.account.FundsWithdrawn",
  versions: [
    {
      version: 1,
      fingerprint: "05e7ff56bffd6a7741b59e7876ce9c747f3237cab32e61daa1e9f8d904cf817e",
      schema: {
        type: "record",
        name: "FundsWithdrawn",
        namespace: "bank.account",
        kind: "event",
        doc: "Money went out.",
        fields: [
          { name: "amountCents", type: "long", doc: "In the currency's minor unit; positive." },
          {
            name: "reference",
            type: ["null", "string"],
            default: null,
            doc: "What the sender wants to read beside the movement.",
          },
        ],
      },
    },
  ],
};

export const AccountState: RecordType = {
  name: "AccountState",
  fullName: "bank.account.AccountState",
  versions: [
    {
      version: 1,
      fingerprint: "ccb02271424b625e44d4b63d16da61be4020670bcc871aa19d098c25c000a363",
      schema: {
        type: "record",
        name: "AccountState",
        namespace: "bank.account",
        kind: "state",
        doc: "An account as its command processor folds it. Private to the processor.",
        fields: [
          {
            name: "status",
            type: {
              type: "enum",
              name: "AccountStatus",
              symbols: ["absent", "open", "closed"],
              default: "absent",
            },
          },
          { name: "owner", type: "string" },
          { name: "balanceCents", type: "long", doc: "Never negative." },
        ],
      },
    },
  ],
};
