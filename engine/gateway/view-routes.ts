import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import type { Clock } from "../clock.ts";
import {
  isOneOf,
  type Database,
  type Session,
  SqlError,
  type SqlRow,
} from "../postgres/postgres.ts";
import { unavailable, whenFresh } from "./freshness.ts";
import { invalidRequest, Problem } from "./problem.ts";
import { queryOf, waitMsOf } from "./server.ts";
import { readToken, type Token } from "./token.ts";
import { type ServedView, shapeOf, type ViewCatalog } from "./view-catalog.ts";
import { cursorOf, invalidCursor } from "./view-cursor.ts";
import { listStatement, parametersOf, readKey, readListQuery, rowStatement } from "./view-query.ts";
import { shown } from "./view-value.ts";

/** The public views over HTTP: what there is, one row by its key, and lists. */

export interface ViewDeps {
  readonly catalog: ViewCatalog;
  /** As `openViewDatabase` opens it. */
  readonly database: Database;
  readonly clock: Clock;
  /** The number of the cluster that the log lives in; see `tokenOf`. */
  readonly era: number;
  /** Aborted when this process is about to end. */
  readonly stopping: AbortSignal;
}

/**
 * `GET /views`, `GET /views/{view}` and `GET /views/{view}/{key}[/{key2}…]`. Each throws the `Problem` that it
 * is refused with; 503 `VIEWS_UNAVAILABLE` has what went wrong as its `cause`.
 */
export function viewRoutes(app: FastifyInstance, deps: ViewDeps): void {
  app.get("/views", async (request) => {
    queryOf(request, []);
    return { views: (await allViews(deps)).map(shapeOf) };
  });

  app.get<{ Params: { view: string } }>("/views/:view", async (request, reply) => {
    const parameters = parametersOf(request.url);
    return read(deps, {
      view: request.params.view,
      signal: whileConnected(reply),
      ...patience(parameters.get("token"), parameters.get("waitMs"), deps),
      rows: async (session, view) => list(session, view, parameters),
    });
  });

  app.get<{ Params: { view: string } }>("/views/:view/*", async (request, reply) => {
    const { token, waitMs } = queryOf(request, ["token", "waitMs"]);
    const key = keyParts(request);
    return read(deps, {
      view: request.params.view,
      signal: whileConnected(reply),
      ...patience(token, waitMs, deps),
      rows: async (session, view) => row(session, view, key),
    });
  });
}

async function allViews({ database, catalog }: ViewDeps): Promise<readonly ServedView[]> {
  try {
    return await database.transaction("snapshot", async (session) => catalog.load(session));
  } catch (error) {
    throw unavailable(error);
  }
}

interface ViewRead<T> {
  readonly view: string;
  readonly token: Token | null;
  readonly waitMs: number;
  readonly signal: AbortSignal;
  readonly rows: (session: Session, view: ServedView) => Promise<T>;
}

async function read<T>(
  { catalog, database, clock, stopping }: ViewDeps,
  { view: name, rows, ...rest }: ViewRead<T>,
): Promise<T> {
  const projection = catalog.projectionOf(name);
  if (projection === undefined) {
    const detail = `There is no view ${JSON.stringify(name.slice(0, 100))}. GET /views lists those that there are.`;
    throw new Problem("NOT_FOUND", { detail });
  }
  try {
    return await whenFresh(database, clock, {
      ...rest,
      ...{ projection, stopping },
      views: [name],
      read: async (session, version) => {
        const view = await catalog.view(session, name, version);
        if (view === null) throw notYetThere(name, version);
        return rows(session, view);
      },
    });
  } catch (error) {
    if (error instanceof Problem && error.code === "VIEWS_UNAVAILABLE") catalog.forget();
    throw error;
  }
}

function notYetThere(view: string, version: number): Problem {
  const detail = `The view "${view}" comes with a later version than ${version}, which is the one shown now.`;
  return new Problem("VIEWS_UNAVAILABLE", { detail, retryAfter: 30 });
}

async function list(
  session: Session,
  view: ServedView,
  parameters: ReadonlyMap<string, string>,
): Promise<{ readonly rows: readonly object[]; readonly next: string | null }> {
  const query = readListQuery(view, parameters);
  const { sql, values } = listStatement(view, query);
  try {
    const { rows } = await session.query(sql, values);
    const page = rows.slice(0, query.limit);
    const last = rows.length > query.limit ? page.at(-1) : undefined;
    return {
      rows: page.map((it) => shownRow(view, it)),
      next: last === undefined ? null : cursorOf(last, query),
    };
  } catch (error) {
    // Filters were read as Postgres reads them; the values in a cursor are what it gave, unless it was forged.
    const isForged = query.after !== null && error instanceof SqlError;
    throw isForged && isOneOf(dataStates, error.sqlState) ? invalidCursor() : error;
  }
}

/** A value that its type does not take. */
const dataStates: readonly string[] = ["22"];

async function row(
  session: Session,
  view: ServedView,
  parts: readonly string[],
): Promise<Readonly<Record<string, unknown>>> {
  const { sql, values } = rowStatement(view, readKey(view, parts));
  const [found] = (await session.query(sql, values)).rows;
  if (found !== undefined) return shownRow(view, found);
  const key = parts.map((part) => JSON.stringify(part)).join(", ");
  const detail =
    `The view "${view.name}" has no row ${key.slice(0, 400)}. If a command has just made it, send the token of ` +
    "its answer along (?token=…): the view is then waited for.";
  throw new Problem("NOT_FOUND", { detail });
}

function shownRow(view: ServedView, row: SqlRow): Readonly<Record<string, unknown>> {
  return Object.fromEntries(view.columns.map(({ name, kind }) => [name, shown(kind, row[name])]));
}

function patience(token: string | undefined, waitMs: string | undefined, { era }: ViewDeps) {
  return {
    token: token === undefined ? null : readToken(token, era),
    waitMs: waitMsOf(waitMs),
  };
}

/** Not the router's parameter: a part of the key may hold a slash of its own, percent-encoded. */
function keyParts({ url }: Pick<FastifyRequest, "url">): readonly string[] {
  const [path = ""] = url.split("?", 1);
  try {
    return path.split("/").slice(3).map(decodeURIComponent);
  } catch {
    const message = "is not percent-encoded UTF-8; a % itself is written %25";
    throw invalidRequest([{ field: "path", message }]);
  }
}

/** Aborted when the answer has been sent, or nobody is there to take it. */
function whileConnected(reply: FastifyReply): AbortSignal {
  const connected = new AbortController();
  reply.raw.once("close", () => {
    connected.abort();
  });
  return connected.signal;
}
