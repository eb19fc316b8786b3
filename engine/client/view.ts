import { pathPart, type ReadOptions } from "./aggregate-client.ts";
import { badAnswer, objectsIn, problemOf } from "./answer-text.ts";
import { ClientError } from "./client-error.ts";
import {
  type Answered,
  ask,
  type Asked,
  type Connection,
  type Deadline,
  deadlineOf,
} from "./connection.ts";

/** A public view to a client. */

/** A value to compare a column with. */
export type Scalar = string | number | bigint | boolean | Date;

export interface Range {
  readonly gt?: Scalar;
  readonly gte?: Scalar;
  readonly lt?: Scalar;
  readonly lte?: Scalar;
}

/** Any row: columns as they are called. */
export type AnyRow = Readonly<Record<string, unknown>>;

export interface ListOptions<Row> extends ReadOptions {
  /** Equal to a value, or within a range: `{ status: "open", balance_cents: { gte: 100 } }`. */
  readonly where?: { readonly [C in keyof Row & string]?: Scalar | Range };
  /** A column, descending with a minus; by the key where left out. */
  readonly sort?: (keyof Row & string) | `-${keyof Row & string}`;
  /** 1 to 500 rows a page; 50 where left out. */
  readonly limit?: number;
  /** `next` of the page before. */
  readonly after?: string;
}

export interface Page<Row> {
  readonly rows: readonly Row[];
  /** `after` of the next page; `null` on the last one. */
  readonly next: string | null;
}

/**
 * A view, its rows as JSON has them: whole numbers are `number`, or `bigint` where a number cannot hold them;
 * instants are ISO 8601, `numeric` is text.
 *
 * Where no token is given, a row is never older than what this client has written to the aggregate that one part
 * of its key names; where none does, and in a list, than anything this client has written.
 */
export interface View<Row> {
  /** The row with this key, its parts in their order; `null` where there is none. */
  get(key: Scalar | readonly Scalar[], options?: ReadOptions): Promise<Row | null>;
  /** A page of rows. */
  list(options?: ListOptions<Row>): Promise<Page<Row>>;
  /** Every row, page after page as they are asked for; each page is of its own moment. */
  all(options?: Omit<ListOptions<Row>, "after">): AsyncGenerator<Row, void, undefined>;
}

/** The view of this name, with rows that the caller says are `Row`. */
export function view<Row extends object = AnyRow>(connection: Connection, name: string): View<Row> {
  const path = `/views/${pathPart(name)}`;
  let isThere = false;

  const list = async (options: ListOptions<Row> = {}): Promise<Page<Row>> => {
    const asked = { path, query: queryOf(options), ids: [] };
    const answered = await read(connection, { name, path }, asked, options);
    if (answered.status !== 200) throw problemOf(answered);
    isThere = true;
    const { next } = answered.body;
    if (next !== null && typeof next !== "string") throw badAnswer(answered, "next is no cursor");
    return { rows: objectsIn(answered, "rows") as unknown as readonly Row[], next };
  };
  return {
    list,
    async get(key, options = {}) {
      const parts = (Array.isArray(key) ? (key as readonly Scalar[]) : [key as Scalar]).map(textOf);
      const asked = { path: [path, ...parts.map(pathPart)].join("/"), query: [], ids: parts };
      const answered = await read(connection, { name, path }, asked, options);
      if (answered.status === 200) return answered.body as Row;
      const problem = problemOf(answered);
      if (problem.code !== "NOT_FOUND") throw problem;
      // No row, or no view? A list tells: it fails where there is no view.
      if (!isThere) await list({ ...options, token: null, limit: 1 });
      return null;
    },
    async *all(options = {}) {
      for (let after: string | null = ""; after !== null;) {
        const page: Page<Row> = await list({ ...options, ...(after !== "" && { after }) });
        yield* page.rows;
        after = page.next;
      }
    },
  };
}

interface ViewRead {
  readonly path: string;
  readonly query: readonly (readonly [string, string])[];
  /** Of the aggregates that the rows may be about. */
  readonly ids: readonly string[];
}

/** A request takes one token: for the others the view is asked before, and once it has them never again. */
async function read(
  connection: Connection,
  view: { readonly name: string; readonly path: string },
  { path, query, ids }: ViewRead,
  options: ReadOptions,
): Promise<Answered> {
  const deadline = deadlineOf(connection, options);
  const { writes } = connection;
  const { token = writes.neededFor(view.name, ids) } = options;
  const tokens = typeof token === "string" ? [token] : (token ?? []);
  const [newest, ...earlier] = tokens.toReversed();
  const look = { method: "GET", path: view.path, query: [["limit", "1"]], waits: false } as const;
  await inTurns(earlier, async (token) => {
    const answered = await readWith(connection, view.name, { asked: look, token, deadline });
    if (answered.status !== 200) throw problemOf(answered);
  });
  const asked = { method: "GET", path, query, waits: false } as const;
  return readWith(connection, view.name, { asked, token: newest, deadline });
}

async function readWith(
  connection: Connection,
  view: string,
  of: { readonly asked: Asked; readonly token: string | undefined; readonly deadline: Deadline },
): Promise<Answered> {
  const { asked, token, deadline } = of;
  if (token === undefined) return ask(connection, asked, deadline);
  const query = [...asked.query, ["token", token] as const];
  const answered = await ask(connection, { ...asked, query, waits: true }, deadline);
  const { code } = answered.body;
  // No row there is an answer of the view too, once it has the token.
  if (answered.status === 200 || code === "NOT_FOUND") connection.writes.saw(view, token);
  if (answered.status >= 400 && code === "INVALID_TOKEN") connection.writes.forget(token);
  return answered;
}

const mostAtOnce = 8;

async function inTurns<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const left = items.values();
  const workers = Array.from({ length: Math.min(mostAtOnce, items.length) }, async () => {
    for (const item of left) await work(item);
  });
  await Promise.all(workers);
}

function queryOf<Row>(options: ListOptions<Row>): readonly (readonly [string, string])[] {
  const { where = {}, sort, limit, after } = options;
  const filters = Object.entries<Scalar | Range | null | undefined>(where);
  return [
    ...filters.flatMap(([column, filter]) => filterOf(column, filter)),
    ...(sort === undefined ? [] : [["sort", sort] as const]),
    ...(limit === undefined ? [] : [["limit", String(limit)] as const]),
    ...(after === undefined ? [] : [["after", after] as const]),
  ];
}

function filterOf(
  column: string,
  filter: Scalar | Range | null | undefined,
): readonly (readonly [string, string])[] {
  if (filter === undefined) return [];
  if (filter === null) {
    const message = `where.${column} is null: there is no filter for what is not there. Nothing was asked.`;
    throw new ClientError(message, { code: "BAD_CALL" });
  }
  if (typeof filter !== "object" || filter instanceof Date) return [[column, textOf(filter)]];
  return Object.entries(filter as Record<string, Scalar | undefined>).flatMap(([bound, value]) =>
    value === undefined ? [] : [[`${column}.${bound}`, textOf(value)] as const],
  );
}

function textOf(value: Scalar): string {
  return value instanceof Date ? value.toISOString() : String(value);
}
