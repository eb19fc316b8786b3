import { TransientError, WriterLostError } from "../errors.ts";
import type { TopicPartition } from "../log.ts";
import type { AnyProjection } from "../projection.ts";
import {
  compareKeys,
  type KeyPart,
  type RowChange,
  type StoredValue,
  summed,
  UnapplicableError,
} from "../projections/rows.ts";
import { checkDeclaration } from "../projections/tables.ts";
import {
  type Checkpoint,
  sameCheckpoint,
  type ViewCommit,
  type Views,
} from "../projections/views.ts";

/** A row of a view in memory: its key, and the columns that were ever written. */
export interface MemoryRow {
  readonly key: readonly KeyPart[];
  readonly [column: string]: StoredValue | readonly KeyPart[];
}

/** What goes wrong with a commit: it never happened, it did or did not and nobody was told. */
export type CommitFault = "none" | "refused" | "lost-before-commit" | "lost-after-commit";

/** What goes wrong, and when. */
export interface MemoryViewsOptions {
  /** Asked before each commit; none by default. */
  readonly fault?: (commit: ViewCommit) => CommitFault;
  /** Awaited within each commit, before it is applied: lets a simulation put other work in between. */
  readonly pause?: () => Promise<void>;
}

/** `Views` in memory, as strict as Postgres with a row's presence and with checkpoints; it checks no types. */
export interface MemoryViews extends Views {
  /** The rows of a table, ordered by key. */
  rows(table: string): readonly MemoryRow[];
  /** How many commits have happened. */
  readonly commits: number;
  /** An asynchronous failover: the last `commits` commits, at most 100, never happened. */
  loseTail(commits: number): void;
}

type Columns = Readonly<Record<string, StoredValue>>;
interface StoredRow {
  readonly key: readonly KeyPart[];
  readonly columns: Columns;
}

/** All of a view's state is in immutable maps, so that an older state is just an older map. */
interface State {
  readonly rows: ReadonlyMap<string, StoredRow>;
  readonly checkpoints: ReadonlyMap<string, Checkpoint>;
}

const maxHistory = 100;

/** Views of one version of a projection, empty at first. */
export function memoryViews(
  projection: AnyProjection,
  options: MemoryViewsOptions = {},
): MemoryViews {
  checkDeclaration(projection);
  let state: State = { rows: new Map(), checkpoints: new Map() };
  let commits = 0;
  const history: State[] = [];

  return {
    checkpoint: async (of) => state.checkpoints.get(partitionId(of)) ?? null,

    async commit(commit, signal) {
      const fault = options.fault?.(commit) ?? "none";
      await options.pause?.();
      signal.throwIfAborted();
      if (fault === "refused") throw new TransientError("the database refuses for now");
      if (fault === "lost-before-commit") throw outcomeUnknown();

      const changed = applied(state, commit);
      history.push(state);
      if (history.length > maxHistory) history.shift();
      state = changed;
      commits += 1;
      if (fault === "lost-after-commit") throw outcomeUnknown();
    },

    async expire({ table, since, before, most }) {
      const old = [...state.rows]
        .filter(
          ([id, { columns }]) =>
            id.startsWith(rowId(table, [])) && isBefore(columns[since], before),
        )
        .slice(0, most);
      const rows = new Map(state.rows);
      for (const [id] of old) rows.delete(id);
      state = { ...state, rows };
      return old.length;
    },

    close: async () => {},

    rows: (table) =>
      [...state.rows]
        .filter(([id]) => id.startsWith(rowId(table, [])))
        .map(([, row]) => ({ key: row.key, ...row.columns }))
        .sort((a, b) => compareKeys(a.key, b.key)),

    get commits() {
      return commits;
    },

    loseTail(count) {
      const kept = Math.max(0, history.length - count);
      state = history[kept] ?? state;
      history.length = kept;
    },
  };
}

function isBefore(value: StoredValue | undefined, instant: Date): boolean {
  return value instanceof Date && value < instant;
}

function outcomeUnknown(): WriterLostError {
  return new WriterLostError("indefinite", "the connection was lost at the commit");
}

function partitionId({ topic, partition }: TopicPartition): string {
  return `${topic}/${partition}`;
}

function rowId(table: string, key: readonly KeyPart[]): string {
  const parts = key.map((part) => `${JSON.stringify(part)},`);
  return `${table}:${parts.join("")}`;
}

function applied(state: State, { topicPartition, expected, next, changes }: ViewCommit): State {
  const stored = state.checkpoints.get(partitionId(topicPartition)) ?? null;
  if (!sameCheckpoint(stored, expected)) {
    throw new WriterLostError("fenced", "the stored checkpoint is not the expected one");
  }
  const rows = new Map(state.rows);
  for (const { table, rows: changed } of changes) {
    for (const change of changed) applyRow(rows, table, change);
  }
  const checkpoints = new Map(state.checkpoints).set(partitionId(topicPartition), next);
  return { rows, checkpoints };
}

function applyRow(rows: Map<string, StoredRow>, table: string, change: RowChange): void {
  const { key, before, after } = change;
  const id = rowId(table, key);
  const stored = rows.get(id);
  const refuse = (why: string) => {
    const message = `table "${table}": row ${JSON.stringify(key)} ${why}`;
    return new UnapplicableError(message, { table, key });
  };
  if (before === "present" && stored === undefined) throw refuse("is not there");
  if (before === "absent" && stored !== undefined) throw refuse("is there already");

  if (after === "gone") {
    rows.delete(id);
    return;
  }
  const columns: Record<string, StoredValue> = {
    ...(after === "kept" ? stored?.columns : {}),
    ...Object.fromEntries(change.sets),
  };
  for (const [column, amount] of change.adds) {
    const sum = summed(columns[column] ?? null, amount);
    if (sum === null) throw refuse(`has no integer in column "${column}", nothing can be added`);
    columns[column] = sum;
  }
  for (const [column, value] of Object.entries(columns)) columns[column] = plain(value);
  rows.set(id, { key, columns });
}

/** A sum within the safe integers as a number, as an author writes and reads it. */
function plain(value: StoredValue): StoredValue {
  if (typeof value !== "bigint") return value;
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}
