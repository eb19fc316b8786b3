import { systemClock } from "../../engine/clock.ts";
import { openPostgresViews } from "../../engine/postgres/postgres-views.ts";
import type { Database } from "../../engine/postgres/postgres.ts";
import type { AnyProjection, TableRows } from "../../engine/projection.ts";
import { collect, UnapplicableError } from "../../engine/projections/rows.ts";
import { type Checkpoint, type Views } from "../../engine/projections/views.ts";
import { does, doing, doingTopics } from "../../engine/testing/doing.ts";
import { freshDatabase, type FreshDatabase } from "./fresh-database.ts";

export type Rows = Readonly<Record<"things" | "pairs", TableRows>>;

export const topicPartition = { topic: doingTopics.events.name, partition: 0 };

/** A view with a column of every kind, as a worker opens it, and what a test does with it. */
export interface WrittenView {
  readonly database: FreshDatabase;
  readonly projection: AnyProjection;
  readonly views: Views;
  /** As the superuser. */
  readonly admin: Database;
  /** As the next write expects it. */
  checkpoint: Checkpoint | null;
  /** Commits one batch, of one event a function, and moves the checkpoint by 10. */
  write(...events: readonly ((rows: Rows) => void)[]): Promise<void>;
  /** The same, for a batch that must be refused. */
  refusal(...events: readonly ((rows: Rows) => void)[]): Promise<UnapplicableError>;
  /** What the public view `things` shows. */
  things(columns?: string): Promise<readonly unknown[]>;
  empty(): Promise<void>;
  close(): Promise<void>;
}

const tables = {
  things: `
    id       text primary key,
    small    smallint,
    middle   integer,
    big      bigint check (big is null or big >= 0),
    cents    public.cents,
    exact    numeric(12, 2),
    rough    double precision,
    yes      boolean,
    at       timestamptz,
    local    timestamp,
    day      date,
    name     varchar(20) unique,
    "order"  jsonb,
    mark     uuid,
    mood     public.mood,
    needed   text not null default 'd',
    must     text check (must <> 'not this'),
    count    bigint not null default 100`,
  pairs: `
    a    text,
    b    bigint,
    n    bigint not null,
    note text unique deferrable initially deferred,
    primary key (b, a)`,
};

export async function writtenView(): Promise<WrittenView> {
  const database = await freshDatabase();
  const admin = database.open(database.superuserUrl);
  await admin.query("create type public.mood as enum ('good', 'bad')");
  await admin.query("create domain public.cents as bigint check (value < 1000000)");
  const projection = doing(tables, { name: `p_${database.suffix}` });
  await database.prepare([projection]);

  const { signal } = new AbortController();
  const url = database.urlOf(`projector_${projection.name}`);
  const waiting = (error: Error) => {
    throw error;
  };
  const options = { url, projection, clock: systemClock, waiting };
  const views = await openPostgresViews(options, signal);

  const view: WrittenView = {
    database,
    projection,
    views,
    admin,
    checkpoint: null,
    async write(...events) {
      const collector = collect(projection);
      events.forEach((apply, index) => {
        collector.apply(does(apply, index + 1));
      });
      const expected = view.checkpoint;
      const nextOffset = (expected?.nextOffset ?? 0n) + 10n;
      const next = { nextOffset, commandOffset: 2n ** 60n, version: Number.MAX_SAFE_INTEGER };
      const changes = collector.changes();
      await views.commit({ topicPartition, expected, next, changes }, signal);
      view.checkpoint = next;
    },
    async refusal(...events) {
      try {
        await view.write(...events);
      } catch (error) {
        if (error instanceof UnapplicableError) return error;
        throw error;
      }
      throw new Error("nothing was refused");
    },
    things: async (columns = "*") =>
      (await admin.query(`select ${columns} from public.things order by id collate "C"`)).rows,
    async empty() {
      const schema = `projection_${projection.name}`;
      await admin.query(`truncate ${schema}.things_v1, ${schema}.pairs_v1, foldlog.checkpoints`);
      view.checkpoint = null;
    },
    async close() {
      await views.close();
      await database.drop();
    },
  };
  return view;
}
