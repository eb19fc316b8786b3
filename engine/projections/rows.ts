import type { Message } from "../decider.ts";
import { messageOf } from "../errors.ts";
import type {
  AnyProjection,
  ColumnValue,
  ProjectedRecord,
  RowKey,
  RowValues,
  TableRows,
} from "../projection.ts";

/** Row operations of a batch of events, folded to one net change a row. Pure. */

export type KeyPart = string | number;

/** A value to store: what an author may write, or a sum that has left the safe integers. */
export type StoredValue = ColumnValue | bigint;

/**
 * What a batch does to one row. `before` is what the row must be when the batch is written; `after` is the
 * row then: gone; `fresh`, which is a new row, its columns at their defaults; or `kept`, the row that was
 * there, else a new one. `sets` is then written over the columns and `adds` added to them (null counts as 0);
 * no column is in both.
 *
 * How operations compose, `S` being an operation's values and `A` its amounts. "There" is any change whose
 * `after` is fresh or kept:
 *
 * | so far ↓ then → | insert S    | upsert S    | patch S     | add A, S         | delete          |
 * |-----------------|-------------|-------------|-------------|------------------|-----------------|
 * | nothing         | absent→fresh| any→kept    | present→kept| present→kept     | present→gone    |
 * | x→there         | error       | x→there, S  | x→there, S  | x→there, A then S| x→gone          |
 * | x→gone          | x→fresh, S  | x→fresh, S  | error       | error            | error           |
 *
 * Setting a column drops what was added to it before; adding to a column that was set sums up the two.
 *
 * The rows, and every error above, are the same as if the operations had run one by one. The table's own
 * constraints see the net change alone: what a later operation of the batch mends is no fault. So declare
 * constraints that hold after each event, as an aggregate's invariants do.
 */
export interface RowChange {
  readonly key: readonly KeyPart[];
  readonly before: "absent" | "present" | "any";
  readonly after: "gone" | "fresh" | "kept";
  readonly sets: ReadonlyMap<string, StoredValue>;
  readonly adds: ReadonlyMap<string, bigint>;
}

/** The net changes of one table, ordered by key. */
export interface TableChanges {
  /** As the projection names it, without its version. */
  readonly table: string;
  readonly rows: readonly RowChange[];
}

/** The tables that a batch changes, in the order in which the projection declares them. */
export type Changes = readonly TableChanges[];

export interface Collector {
  /**
   * Runs the projection's `apply` and folds in what it does.
   * @throws UnapplicableError naming event, table and column: what `apply` threw, a value that no column can
   *   hold, or an operation that contradicts an earlier one. Nothing of the event is then kept.
   */
  apply(event: Message & ProjectedRecord): void;
  changes(): Changes;
}

/** Gathers the row operations of a batch of events. */
export function collect(projection: AnyProjection): Collector {
  const tables = new Map<string, Map<string, RowChange>>();
  const undo: (() => void)[] = [];
  let current: string | null = null;

  const perform = (table: string, key: RowKey, operation: Operation) => {
    if (current === null) {
      throw new Error(`projection "${projection.name}" kept its rows after apply had returned`);
    }
    const rows = tables.get(table) ?? new Map<string, RowChange>();
    tables.set(table, rows);
    const parts = keyParts(key);
    const id = JSON.stringify(parts);
    const earlier = rows.get(id);
    rows.set(id, compose(earlier, parts, operation));
    undo.push(() => (earlier === undefined ? rows.delete(id) : rows.set(id, earlier)));
  };

  const rows = Object.fromEntries(
    Object.keys(projection.tables).map((table) => [table, tableRows(table, perform)]),
  );

  return {
    apply(event) {
      const name = JSON.stringify(event.key);
      current = name;
      try {
        projection.apply(event, rows);
      } catch (error) {
        for (const step of undo.reverse()) step();
        throw blame(error, `event ${name}, ${event.type}, projection "${projection.name}"`);
      } finally {
        undo.length = 0;
        current = null;
      }
    },

    changes: () =>
      Object.keys(projection.tables).flatMap((table) => {
        const changed = [...(tables.get(table)?.values() ?? [])];
        return changed.length === 0
          ? []
          : [{ table, rows: changed.sort((a, b) => compareKeys(a.key, b.key)) }];
      }),
  };
}

type Operation =
  | {
      readonly kind: "insert" | "upsert" | "patch";
      readonly values: ReadonlyMap<string, ColumnValue>;
    }
  | {
      readonly kind: "add";
      readonly amounts: ReadonlyMap<string, bigint>;
      readonly values: ReadonlyMap<string, ColumnValue>;
    }
  | { readonly kind: "delete" };

type Perform = (table: string, key: RowKey, operation: Operation) => void;

/** A fault found while an operation is folded; `blame` adds the event to it. */
class Fault extends Error {}

function tableRows(table: string, perform: Perform): TableRows {
  const checked = (key: RowKey, operation: () => Operation) => {
    try {
      perform(table, key, operation());
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      throw new UnapplicableError(`table "${table}": ${error.message}`, { table, key: asKey(key) });
    }
  };
  const write = (kind: "insert" | "upsert" | "patch") => (key: RowKey, values: RowValues) => {
    checked(key, () => ({ kind, values: columnValues(values) }));
  };
  return {
    insert: write("insert"),
    upsert: write("upsert"),
    patch: write("patch"),
    add(key, amounts, values = {}) {
      checked(key, () => addition(amounts, values));
    },
    delete(key) {
      checked(key, () => ({ kind: "delete" }));
    },
  };
}

function addition(amounts: Readonly<Record<string, number>>, values: RowValues): Operation {
  const sums = new Map<string, bigint>();
  for (const [column, amount] of Object.entries(amounts)) {
    checkColumn(column);
    if (!Number.isSafeInteger(amount)) {
      throw new Fault(`column "${column}": only safe integers can be added, not ${String(amount)}`);
    }
    if (Object.hasOwn(values, column)) {
      throw new Fault(`column "${column}" cannot be both added to and set by one operation`);
    }
    sums.set(column, BigInt(amount));
  }
  return { kind: "add", amounts: sums, values: columnValues(values) };
}

const none: ReadonlyMap<string, never> = new Map<string, never>();

/** One more operation on a row: the table of `RowChange`, row by row. */
function compose(
  earlier: RowChange | undefined,
  key: readonly KeyPart[],
  operation: Operation,
): RowChange {
  const { kind } = operation;
  if (earlier === undefined) {
    switch (kind) {
      case "insert":
        return { key, before: "absent", after: "fresh", sets: operation.values, adds: none };
      case "upsert":
        return { key, before: "any", after: "kept", sets: operation.values, adds: none };
      case "patch":
        return { key, before: "present", after: "kept", sets: operation.values, adds: none };
      case "add": {
        const { amounts: adds, values: sets } = operation;
        return { key, before: "present", after: "kept", sets, adds };
      }
      case "delete":
        return { key, before: "present", after: "gone", sets: none, adds: none };
    }
  }

  if (earlier.after === "gone") {
    if (kind !== "insert" && kind !== "upsert") {
      throw new Fault(`${kind} of row ${JSON.stringify(key)}, which this batch has deleted`);
    }
    return { ...earlier, after: "fresh", sets: operation.values, adds: none };
  }

  switch (kind) {
    case "insert":
      throw new Fault(`insert of row ${JSON.stringify(key)}, which is there already`);
    case "upsert":
    case "patch":
      return set(earlier, operation.values);
    case "add":
      return set(add(earlier, operation.amounts), operation.values);
    case "delete":
      return { ...earlier, after: "gone", sets: none, adds: none };
  }
}

function set(change: RowChange, values: ReadonlyMap<string, ColumnValue>): RowChange {
  if (values.size === 0) return change;
  const adds = new Map(change.adds);
  for (const column of values.keys()) adds.delete(column);
  return { ...change, sets: new Map([...change.sets, ...values]), adds };
}

function add(change: RowChange, amounts: ReadonlyMap<string, bigint>): RowChange {
  const sets = new Map(change.sets);
  const adds = new Map(change.adds);
  for (const [column, amount] of amounts) {
    const value = sets.get(column);
    if (value === undefined) {
      adds.set(column, (adds.get(column) ?? 0n) + amount);
    } else {
      const sum = summed(value, amount);
      if (sum === null) {
        throw new Fault(`column "${column}" is not an integer, nothing can be added to it`);
      }
      sets.set(column, sum);
    }
  }
  return { ...change, sets, adds };
}

/**
 * A stored integer, or null for 0, and an amount: a bigint, since sums may leave the safe integers. `null`
 * where the stored value is no integer.
 */
export function summed(value: StoredValue, amount: bigint): bigint | null {
  if (value === null) return amount;
  if (typeof value === "bigint") return value + amount;
  if (typeof value === "number" && Number.isInteger(value)) return BigInt(value) + amount;
  return null;
}

function asKey(key: RowKey): readonly KeyPart[] {
  return typeof key === "object" ? key : [key];
}

function keyParts(key: RowKey): readonly KeyPart[] {
  const parts = asKey(key);
  if (parts.length === 0) throw new Fault("a row needs a key");
  return parts.map((part) => {
    if (typeof part === "string") return storableText("its key", part);
    if (Number.isSafeInteger(part)) return part === 0 ? 0 : part; // −0 is the same key as 0.
    throw new Fault(`a key is made of strings and safe integers, not ${String(part)}`);
  });
}

const columnName = /^[a-z][a-z0-9_]{0,62}$/;

function checkColumn(column: string): void {
  if (columnName.test(column)) return;
  throw new Fault(
    `${JSON.stringify(column)} cannot be a column name: only a-z, 0-9 and _, a letter first, at most 63`,
  );
}

function columnValues(values: RowValues): ReadonlyMap<string, ColumnValue> {
  const checked = new Map<string, ColumnValue>();
  for (const [column, value] of Object.entries(values)) {
    checkColumn(column);
    checked.set(column, storable(column, value));
  }
  return checked;
}

/**
 * The value as it can be stored, or a fault: what reaches a database must not come back as another value.
 * Takes `unknown`, since `apply` may hand on data that its types are wrong about.
 */
function storable(column: string, value: unknown): ColumnValue {
  if (value === null || typeof value === "boolean") return value;
  if (typeof value === "string") return storableText(`column "${column}"`, value);
  if (typeof value === "number") return storableNumber(column, value);
  if (value instanceof Date) return storableInstant(column, value);
  throw new Fault(
    `column "${column}" is ${value === undefined ? "undefined" : `a ${typeof value}`}; ` +
      "it takes a string, a number, a boolean, a Date or null",
  );
}

function storableNumber(column: string, value: number): number {
  if (!Number.isFinite(value)) throw new Fault(`column "${column}": ${value} is not a number`);
  if (Number.isInteger(value) && !Number.isSafeInteger(value)) {
    throw new Fault(`column "${column}": ${value} is an integer outside ±(2^53−1)`);
  }
  return value === 0 ? 0 : value; // −0 is stored as 0.
}

function storableText(where: string, text: string): string {
  if (text.includes("\0")) throw new Fault(`${where} holds U+0000, which Postgres cannot store`);
  if (!text.isWellFormed())
    throw new Fault(`${where} holds a lone surrogate, which is not Unicode`);
  return text;
}

const firstInstant = Date.parse("0001-01-01T00:00:00.000Z");
const lastInstant = Date.parse("9999-12-31T23:59:59.999Z");

function storableInstant(column: string, instant: Date): Date {
  const ms = instant.getTime();
  if (Number.isNaN(ms)) throw new Fault(`column "${column}" is an invalid Date`);
  if (ms < firstInstant || ms > lastInstant) {
    throw new Fault(`column "${column}": the Date is outside the years 1 to 9999`);
  }
  return instant;
}

function blame(error: unknown, where: string): UnapplicableError {
  if (error instanceof UnapplicableError) {
    const { table, key } = error;
    return new UnapplicableError(`${error.message} (${where})`, { table, key });
  }
  return new UnapplicableError(`apply threw: ${messageOf(error)} (${where})`, { cause: error });
}

/** A total order of keys: numbers before strings, strings by code unit. */
export function compareKeys(a: readonly KeyPart[], b: readonly KeyPart[]): number {
  for (let i = 0; i < a.length && i < b.length; i++) {
    const order = compareParts(a[i], b[i]);
    if (order !== 0) return order;
  }
  return a.length - b.length;
}

function compareParts(a: KeyPart | undefined, b: KeyPart | undefined): number {
  if (a === undefined || b === undefined || a === b) return 0;
  if (typeof a === typeof b) return a < b ? -1 : 1;
  return typeof a === "number" ? -1 : 1;
}

/** What a view cannot take: a fault in a projection's `apply` or tables, or an event that it did not expect. */
export class UnapplicableError extends Error {
  override readonly name = "UnapplicableError";
  /** The table as its projection names it; `null` where no table is to blame. */
  readonly table: string | null;
  /** The row's key; `null` where several rows were written at once and the database did not name one. */
  readonly key: readonly KeyPart[] | null;
  /** What Postgres answered; `null` where the engine found the fault itself. */
  readonly sqlState: string | null;

  constructor(
    message: string,
    where: {
      readonly table?: string | null;
      readonly key?: readonly KeyPart[] | null;
      readonly sqlState?: string | null;
      readonly cause?: unknown;
    },
  ) {
    super(message, where.cause === undefined ? undefined : { cause: where.cause });
    this.table = where.table ?? null;
    this.key = where.key ?? null;
    this.sqlState = where.sqlState ?? null;
  }
}
