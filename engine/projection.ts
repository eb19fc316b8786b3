import type { Message } from "./decider.ts";
import type { Reply } from "./generated.ts";
import type { Topic } from "./topic.ts";

/** What an author of a view writes: tables, and a pure function from an event to row operations. */

/** A value that a column can take. Instants are `Date`, money and versions safe integers. */
export type ColumnValue = string | number | boolean | Date | null;

/** Column name → value. A column that is left out stays as it is, or takes its default. */
export type RowValues = Readonly<Record<string, ColumnValue>>;

/** The primary key of a row: its one column, or its columns in the order of the table's primary key. */
export type RowKey = string | number | readonly (string | number)[];

/**
 * Row operations on one table. Nothing is written when they are called: the engine coalesces them per key
 * over a batch of events and writes one statement a table, in the transaction that moves the checkpoint.
 */
export interface TableRows {
  /** The row must not be there yet. */
  insert(key: RowKey, values: RowValues): void;
  /** Writes these columns whether the row is there or not; the other columns of an existing row stay. */
  upsert(key: RowKey, values: RowValues): void;
  /** Sets these columns; the row must be there. */
  patch(key: RowKey, values: RowValues): void;
  /**
   * Adds safe integers to these integer columns, and sets `values`; the row must be there. A column that is
   * null counts as 0. Additions commute, so several partitions may add to one row.
   */
  add(key: RowKey, amounts: Readonly<Record<string, number>>, values?: RowValues): void;
  /** The row must be there. */
  delete(key: RowKey): void;
}

/** Where a record stands in the log, and since when. */
export interface ProjectedRecord {
  readonly topic: string;
  readonly partition: number;
  /** Unique within the partition, and greater for a later record. */
  readonly offset: number;
  /** The record's key: of an event `<aggregate id>/<version>`, of a reply as `Reply` is keyed. */
  readonly key: string;
  readonly time: Date;
}

/** An event as a projection sees it. */
export interface ProjectedEvent extends ProjectedRecord {
  readonly aggregateId: string;
  /** The aggregate's version after this event; its first event has version 1. */
  readonly version: number;
  readonly commandId: string;
}

/** A reply as a projection that reads a replies topic sees it; its time is that of the answer. */
export interface ReplyMessage extends Message {
  readonly type: "Reply";
  readonly data: Reply;
}

/** What `apply` is given: an event says whose it is, a reply says so in its own fields. */
export type Projected<E extends Message> = E extends ReplyMessage
  ? E & ProjectedRecord
  : E & ProjectedEvent;

/**
 * A view over events, over replies, or over both. `E` is the union of the events it reads, with `ReplyMessage`
 * where it reads a replies topic, `T` the union of its table names.
 *
 * `apply` is pure and must not depend on what other aggregates did: each row belongs to one aggregate's
 * partition (its key holds the aggregate id), or takes only `add`, or columns of its own from each topic, so
 * that a rebuild in another interleaving gives the same view. To change `tables` or `apply`, raise `version`.
 */
export interface Projection<E extends Message, T extends string> {
  readonly name: string;
  readonly version: number;
  readonly topics: readonly Topic[];
  /**
   * Table name → the inside of its `create table (…)`, with its primary key. The table is created as
   * `<name>_v<version>`; readers see it as the Postgres view `<name>`. Types that do not come with Postgres
   * are named with their schema. A constraint has to hold after each event.
   */
  readonly tables: Readonly<Record<T, string>>;
  /**
   * Table name → what to index, each as in `create index on … <text>`, for example `(owner)`. Indexes hold no
   * data of their own: they may change without a new version.
   */
  readonly indexes?: Readonly<Partial<Record<T, readonly string[]>>>;
  /**
   * Table name → how long a row is kept. A row is deleted some time after it has grown that old: such a view is
   * the fold of its log but for the rows that are gone. `apply` must not need a row to be there.
   */
  readonly keeps?: Readonly<Partial<Record<T, Keeping>>>;
  apply(event: Projected<E>, rows: Readonly<Record<T, TableRows>>): void;
}

export interface Keeping {
  /** The `timestamptz` column by which a row grows old. */
  readonly since: string;
  readonly days: number;
}

/** Any projection, where its events and tables do not matter. */
export interface AnyProjection extends Omit<Projection<Message, string>, "apply"> {
  apply(event: Message & ProjectedRecord, rows: Readonly<Record<string, TableRows>>): void;
}
