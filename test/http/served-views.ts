import type { FastifyInstance } from "fastify";
import { type Clock, systemClock } from "../../engine/clock.ts";
import { openServer } from "../../engine/gateway/server.ts";
import { type Token, tokenOf } from "../../engine/gateway/token.ts";
import { type ViewCatalog, viewCatalog } from "../../engine/gateway/view-catalog.ts";
import { openViewDatabase } from "../../engine/gateway/view-database.ts";
import { viewRoutes } from "../../engine/gateway/view-routes.ts";
import type { Database } from "../../engine/postgres/postgres.ts";
import type { AnyProjection } from "../../engine/projection.ts";
import { readerRole } from "../../engine/projections/tables.ts";
import { doing, doingTopics } from "../../engine/testing/doing.ts";
import { freshDatabase, type FreshDatabase } from "../postgres/fresh-database.ts";

export const topic = doingTopics.events.name;
export const era = 7;

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly text: string;
  readonly body: Readonly<Record<string, unknown>>;
}

/** Views over HTTP on a database of a test's own, with the role of readers. */
export interface ServedViews {
  readonly database: FreshDatabase;
  readonly projection: AnyProjection;
  readonly catalog: ViewCatalog;
  /** Aborted by a test: the process is about to end. */
  readonly stopping: AbortController;
  readonly app: FastifyInstance;
  /** As the superuser. */
  readonly admin: Database;
  /** What the server took for faults of its own. */
  readonly faults: unknown[];
  readonly get: (url: string) => Promise<Answer>;
  /** Rows into a table of the first version. */
  readonly insert: (
    table: string,
    ...rows: readonly Readonly<Record<string, unknown>>[]
  ) => Promise<void>;
  /** Moves the checkpoint of partition 0. */
  readonly checkpoint: (
    commandOffset: bigint,
    version: number,
    of?: { readonly version: number },
  ) => Promise<void>;
  readonly token: (commandOffset: bigint, version: number, change?: Partial<Token>) => string;
  close(): Promise<void>;
}

export interface ServedOptions {
  readonly clock?: Clock;
  /** What the routes read, in place of a connection with the role of readers. */
  readonly reader?: (database: FreshDatabase) => Database;
}

export async function servedViews(
  tables: Readonly<Record<string, string>>,
  { clock = systemClock, reader = openReader }: ServedOptions = {},
): Promise<ServedViews> {
  const database = await freshDatabase();
  const admin = database.open(database.superuserUrl);
  await admin.query("create type public.mood as enum ('good', 'bad')");
  await admin.query("create domain public.cents as bigint check (value < 1000000)");
  const projection = doing(tables, { name: `p_${database.suffix}` });
  await database.prepare([projection]);

  const read = reader(database);
  const faults: unknown[] = [];
  const app = openServer({
    answered: () => undefined,
    fault: (error) => {
      faults.push(error);
    },
  });
  const catalog = viewCatalog([projection]);
  const stopping = new AbortController();
  viewRoutes(app, { catalog, database: read, clock, era, stopping: stopping.signal });
  await app.ready();

  const schema = `projection_${projection.name}`;
  return {
    database,
    projection,
    catalog,
    app,
    stopping,
    admin,
    faults,
    async get(url) {
      const { statusCode, headers, body } = await app.inject({ method: "GET", url });
      return { status: statusCode, headers, text: body, body: JSON.parse(body) as Answer["body"] };
    },
    async insert(table, ...rows) {
      const relation = `${schema}.${table}_v1`;
      const sql = `insert into ${relation} select * from json_populate_recordset(null::${relation}, $1)`;
      await admin.query(sql, [JSON.stringify(rows)]);
    },
    async checkpoint(commandOffset, version, of = { version: 1 }) {
      await admin.query(
        `insert into foldlog.checkpoints
           (projection, version, topic, partition, next_offset, command_offset, aggregate_version)
         values ($1, $2, $3, 0, 1, $4, $5)
         on conflict (projection, version, topic, partition)
         do update set command_offset = $4, aggregate_version = $5`,
        [projection.name, of.version, topic, commandOffset, version],
      );
    },
    token: (commandOffset, version, change = {}) =>
      tokenOf({ topic, partition: 0, commandOffset, aggregateId: "a-1", version, ...change }, era),
    async close() {
      await app.close();
      await read.close();
      await database.drop();
    },
  };
}

function openReader(database: FreshDatabase): Database {
  return openViewDatabase(database.urlOf(readerRole));
}
