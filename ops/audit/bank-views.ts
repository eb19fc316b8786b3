import { partitionOf } from "../../engine/message.ts";
import type { Session } from "../../engine/postgres/postgres.ts";
import {
  type Account,
  type Movement,
  type Movements,
  noMovements,
  withMovement,
} from "./bank-fold.ts";
import { eachRow, readViewState, type ViewState } from "./views.ts";

/** The bank's two views as they were at one moment, by partition. */

/** A row of `balances` with every column. */
export type BalanceRow = Omit<Account, "movements" | "status"> & { readonly status: string };

export interface BankViews {
  readonly balances: ViewState & {
    /** Partition → account → its row. */
    readonly rows: readonly Map<string, BalanceRow>[];
    readonly count: number;
  };
  readonly statements: ViewState & {
    readonly rows: readonly Map<string, Statement>[];
    readonly count: number;
  };
}

/** The rows of one account in `statements`, summed up. */
export interface Statement {
  readonly movements: Movements;
  readonly sumCents: bigint;
}

/** Reads both views with their checkpoints. About 300 bytes an account and view are kept. */
export async function readBankViews(
  session: Session,
  events: { readonly name: string; readonly partitions: number },
): Promise<BankViews> {
  const byPartition = <T>() =>
    Array.from({ length: events.partitions }, () => new Map<string, T>());
  const home = <T>(rows: readonly Map<string, T>[], accountId: string) =>
    rows[partitionOf(accountId, events.partitions)] as Map<string, T>;

  // A lock takes no snapshot: the one that is taken next is of a time when neither could be turned over any more.
  await session.query("lock table public.balances, public.statements in access share mode");
  const balances = byPartition<BalanceRow>();
  const balancesState = await readViewState(session, "balances", events.name);
  const balancesCount = await eachRow(
    session,
    "select account_id, owner, status, balance_cents, version, updated_at from public.balances",
    (row) => {
      const accountId = String(row["account_id"]);
      home(balances, accountId).set(accountId, {
        owner: String(row["owner"]),
        status: String(row["status"]),
        balanceCents: Number(row["balance_cents"]),
        version: Number(row["version"]),
        updatedAt: (row["updated_at"] as Date).getTime(),
      });
    },
  );

  const statements = byPartition<Statement>();
  const statementsState = await readViewState(session, "statements", events.name);
  const statementsCount = await eachRow(session, statementSql, (row) => {
    const accountId = String(row["account_id"]);
    const rows = home(statements, accountId);
    const { movements, sumCents } = rows.get(accountId) ?? { movements: noMovements, sumCents: 0n };
    const movement = movementIn(row);
    rows.set(accountId, {
      movements: withMovement(movements, movement),
      sumCents: sumCents + BigInt(movement.amountCents),
    });
  });
  return {
    balances: { ...balancesState, rows: balances, count: balancesCount },
    statements: { ...statementsState, rows: statements, count: statementsCount },
  };
}

const statementSql =
  "select account_id, version, amount_cents, reference, command_id, booked_at from public.statements";

function movementIn(row: Readonly<Record<string, unknown>>): Movement {
  const reference = row["reference"];
  return {
    version: Number(row["version"]),
    amountCents: Number(row["amount_cents"]),
    reference: typeof reference === "string" ? reference : null,
    commandId: String(row["command_id"]),
    bookedAt: (row["booked_at"] as Date).getTime(),
  };
}

/** The rows of one account as they are now, to say what is wrong with them. */
export async function readMovements(
  session: Session,
  accountId: string,
): Promise<readonly Movement[]> {
  const { rows } = await session.query(`${statementSql} where account_id = $1`, [accountId]);
  return rows.map(movementIn);
}
