import type { Codec } from "../../engine/codec.ts";
import type { AggregateTopics } from "../../engine/topic.ts";
import { type AuditedPartition, coordinatesOf } from "./audited-log.ts";
import { type Account, foldEvent, type Movement, movementOf } from "./bank-fold.ts";
import type { BalanceRow, BankViews, Statement } from "./bank-views.ts";
import type { ExpectedComparison } from "./expected.ts";
import type { Findings, Invariant } from "./findings.ts";
import { type Handling, seeEvent, type SeenEvent } from "./handling.ts";
import type { Known } from "./merge.ts";
import type { DomainCheck } from "./partition-audit.ts";
import type { SeenSnapshot, Snapshots } from "./snapshots.ts";
import type { ViewCheckpoint, ViewState } from "./views.ts";

/** What the audit knows of the bank: money (I7), its views, and its snapshots (I8). */

export interface BankCheckOptions {
  readonly topics: AggregateTopics;
  readonly codec: Codec;
  readonly source: AuditedPartition;
  readonly findings: Findings;
  readonly views: BankViews;
  /** The rows of one account in `statements`, to say what is wrong with them. */
  readonly movements: (accountId: string) => Promise<readonly Movement[]>;
  readonly expected: ExpectedComparison | null;
  readonly signal: AbortSignal;
}

/** So many accounts of a partition are looked into row by row, where their statements are wrong. */
const detailedAccounts = 5;

export function bankCheck(options: BankCheckOptions, snapshots: Snapshots): DomainCheck {
  return new BankCheck(options, snapshots);
}

class BankCheck implements DomainCheck {
  private readonly options: BankCheckOptions;
  private readonly snapshots: Snapshots;
  private readonly accounts = new Map<string, Account>();
  private readonly balances: ViewAtCheckpoint;
  private readonly statements: ViewAtCheckpoint;
  private readonly wrongStatements: string[] = [];
  /** Σ deposits − Σ withdrawals so far. */
  private totalCents = 0n;

  constructor(options: BankCheckOptions, snapshots: Snapshots) {
    this.options = options;
    this.snapshots = snapshots;
    const { views, source, findings } = options;
    this.balances = new ViewAtCheckpoint(views.balances, source, findings, () => {
      this.compareBalances();
    });
    this.statements = new ViewAtCheckpoint(views.statements, source, findings, () => {
      this.compareStatements();
    });
  }

  event(event: SeenEvent): void {
    this.balances.reach(event.record.offset);
    this.statements.reach(event.record.offset);
    const { aggregateId } = event;
    this.options.findings.check("I7");
    const { account, objection } = foldEvent(this.accounts.get(aggregateId), event);
    if (objection !== null) {
      const { source } = this.options;
      const at = coordinatesOf(source.events, event.record.offset);
      this.report("I7", { at, aggregateId, commandId: event.commandId, ...objection });
    }
    this.totalCents += BigInt(movementOf(event)?.amountCents ?? 0);
    this.accounts.set(aggregateId, account);
    this.balances.follow(event);
    this.statements.follow(event);
    const snapshot = this.snapshots.byAggregate.get(aggregateId);
    if (snapshot?.version === event.version) this.compareSnapshot(aggregateId, snapshot, account);
  }

  handling({ reply: seen, commandOffset }: Handling, { from }: Known): void {
    const { expected } = this.options;
    if (expected === null) return;
    if (commandOffset < from.replies) expected.isWithoutRejections = true;
    const { reply } = seen ?? {};
    if (reply?.outcome === "rejected" && !reply.duplicate && reply.aggregateId !== null) {
      expected.rejected(reply.aggregateId);
    }
  }

  async end(): Promise<void> {
    const { source, expected } = this.options;
    this.balances.end(source.events.end);
    this.statements.end(source.events.end);
    for (const [accountId, account] of this.accounts) expected?.account(accountId, account);
    for (const accountId of this.wrongStatements.slice(0, detailedAccounts)) {
      await this.explainStatement(accountId);
    }
  }

  private compareBalances(): void {
    const { views, source } = this.options;
    const rows = views.balances.rows[source.partition] ?? new Map<string, BalanceRow>();
    let sumCents = 0n;
    for (const [accountId, row] of rows) {
      sumCents += BigInt(row.balanceCents);
      if (this.accounts.has(accountId)) continue;
      const found = `a row with the balance ${row.balanceCents}`;
      this.report("I8", { ...rowOf("balances", accountId), expected: "no row", found });
    }
    this.options.findings.check("I8", this.accounts.size);
    for (const [accountId, account] of this.accounts) {
      const row = rows.get(accountId);
      const where = rowOf("balances", accountId);
      if (row === undefined) {
        const expected = `a row with the balance ${account.balanceCents}`;
        this.report("I8", { ...where, expected, found: "none" });
        continue;
      }
      for (const column of ["owner", "status", "balanceCents", "version", "updatedAt"] as const) {
        if (row[column] === account[column]) continue;
        const shown = (value: string | number) =>
          `${columnNames[column]} ${column === "updatedAt" ? instant(value) : JSON.stringify(value)}`;
        this.report("I8", {
          ...where,
          expected: shown(account[column]),
          found: shown(row[column]),
        });
      }
    }
    rows.clear(); // It is not needed any more.
    this.compareSum("balances", sumCents);
  }

  private compareStatements(): void {
    const { views, source } = this.options;
    const rows = views.statements.rows[source.partition] ?? new Map<string, Statement>();
    let sumCents = 0n;
    for (const [accountId, statement] of rows) {
      sumCents += statement.sumCents;
      if (this.accounts.has(accountId)) continue;
      const found = `${statement.movements.count} rows`;
      this.report("I8", { ...rowOf("statements", accountId), expected: "no rows", found });
    }
    this.options.findings.check("I8", this.accounts.size);
    for (const [accountId, { movements: wanted }] of this.accounts) {
      const found = rows.get(accountId)?.movements ?? { count: 0, low: 0, high: 0 };
      const { count, low, high } = found;
      if (count === wanted.count && low === wanted.low && high === wanted.high) continue;
      this.wrongStatements.push(accountId);
      const what = count === wanted.count ? `${count} other rows` : `${count} rows`;
      const expected = `the ${wanted.count} rows of its events`;
      this.report("I8", { ...rowOf("statements", accountId), expected, found: what });
    }
    rows.clear();
    this.compareSum("statements", sumCents);
  }

  private compareSum(view: "balances" | "statements", sumCents: bigint): void {
    this.options.findings.check("I7");
    if (sumCents === this.totalCents) return;
    const { partition } = this.options.source;
    this.report("I7", {
      at: `${view}, partition ${partition}`,
      expected: `${this.totalCents} in all, what came in less what went out`,
      found: String(sumCents),
    });
  }

  private compareSnapshot(
    aggregateId: string,
    { state, at }: SeenSnapshot,
    account: Account,
  ): void {
    this.options.findings.check("I8");
    for (const field of ["status", "owner", "balanceCents"] as const) {
      if (state[field] === account[field]) continue;
      const shown = (value: unknown) => `${field} ${JSON.stringify(value)}`;
      const found = shown(state[field]);
      this.report("I8", { at, aggregateId, expected: shown(account[field]), found });
    }
  }

  /** Row by row, read anew: the view may have moved on, but rows are only added to it. */
  private async explainStatement(accountId: string): Promise<void> {
    const { topics, codec, source, views, movements } = this.options;
    const checkpoint = views.statements.checkpoints.get(source.partition)?.nextOffset ?? 0n;
    const wanted = new Map<number, Movement>();
    let version = 0;
    for await (const { records } of source.events.read("all is decided")) {
      for (const record of records) {
        const seen = seeEvent(topics.events, codec, record);
        if (!("seen" in seen) || seen.seen.aggregateId !== accountId) continue;
        if (record.offset >= checkpoint) break;
        const movement = movementOf(seen.seen);
        version = Math.max(version, seen.seen.version);
        if (movement !== null) wanted.set(movement.version, movement);
      }
    }
    const shown = (it: Movement | undefined) =>
      it === undefined
        ? "no row"
        : `${it.amountCents}, reference ${JSON.stringify(it.reference)}, command ${JSON.stringify(it.commandId)}, booked ${instant(it.bookedAt)}`;
    const rows = (await movements(accountId)).filter((row) => row.version <= version);
    const found = new Map(rows.map((row) => [row.version, row]));
    for (const at of new Set([...wanted.keys(), ...found.keys()])) {
      const [expected, is] = [shown(wanted.get(at)), shown(found.get(at))];
      if (expected === is) continue;
      const where = rowOf("statements", accountId, ` version ${at}`);
      this.report("I8", { ...where, expected, found: is });
    }
  }

  private report(
    invariant: Invariant,
    violation: {
      readonly at: string;
      readonly aggregateId?: string;
      readonly commandId?: string | null;
      readonly expected: string;
      readonly found: string;
    },
  ): void {
    this.options.findings.add({ invariant, ...violation });
  }
}

const columnNames = {
  owner: "owner",
  status: "status",
  balanceCents: "balance_cents",
  version: "version",
  updatedAt: "updated_at",
} as const;

function rowOf(table: string, accountId: string, more = "") {
  return { at: `${table}, row${more}`, aggregateId: accountId };
}

function instant(value: string | number): string {
  return new Date(value).toISOString();
}

/** A view against the events below its checkpoint: `compare` is called when just those have been folded. */
class ViewAtCheckpoint {
  private readonly checkpoint: ViewCheckpoint;
  private readonly where: string;
  private readonly findings: Findings;
  private readonly compare: () => void;
  private last: { readonly commandOffset: number | null; readonly version: number } | null = null;
  private isCompared = false;

  constructor(
    view: ViewState,
    { partition }: AuditedPartition,
    findings: Findings,
    compare: () => void,
  ) {
    const none: ViewCheckpoint = { nextOffset: 0n, commandOffset: null, aggregateVersion: null };
    this.checkpoint = view.checkpoints.get(partition) ?? none;
    this.where = `checkpoint of ${view.projection} v${view.version} on ${view.topic}/${partition}`;
    this.findings = findings;
    this.compare = compare;
  }

  /** Before the event at that offset is folded. */
  reach(offset: bigint): void {
    if (this.isCompared || offset < this.checkpoint.nextOffset) return;
    this.isCompared = true;
    this.compare();
    const { commandOffset, aggregateVersion } = this.checkpoint;
    const expected = placed(this.last?.commandOffset ?? null, this.last?.version ?? null);
    const found = placed(commandOffset, aggregateVersion);
    if (expected !== found) this.report(`${expected}, of the last event below it`, found);
  }

  follow({ commandOffset, version }: SeenEvent): void {
    if (!this.isCompared) this.last = { commandOffset, version };
  }

  end(eventsEnd: bigint): void {
    this.reach(eventsEnd);
    if (this.isCompared) return;
    const { nextOffset } = this.checkpoint;
    this.report(`at most ${eventsEnd}, where the events end`, String(nextOffset));
    this.reach(nextOffset);
  }

  private report(expected: string, found: string): void {
    this.findings.add({ invariant: "I8", at: this.where, expected, found });
  }
}

function placed(commandOffset: number | null, version: number | null): string {
  return version === null ? "no event yet" : `command offset ${commandOffset}, version ${version}`;
}
