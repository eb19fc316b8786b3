import type { Session, SqlRow } from "../postgres/postgres.ts";
import type { AnyProjection } from "../projection.ts";
import { projectionSchema, versionedTable } from "../projections/tables.ts";
import type { ViewColumn, ViewShape } from "./view-shape.ts";
import { type ColumnKind, kindOf } from "./view-value.ts";

/** The public views as Postgres has them: asked for when they are first needed, never at boot. */

export interface ServedColumn extends ViewColumn {
  readonly kind: ColumnKind;
}

export interface ServedView extends ViewShape {
  readonly columns: readonly ServedColumn[];
  /** The columns of the primary key, in its order. */
  readonly keys: readonly ServedColumn[];
}

export interface ViewCatalog {
  /** The projection that declares a view of this name. */
  projectionOf(view: string): AnyProjection | undefined;
  /** All views whose tables have been made, in the order of their declaration, read anew. */
  load(session: Session): Promise<readonly ServedView[]>;
  /**
   * A view in this version of its projection, or `null` where that version has no such table. Remembered until
   * another version is asked for.
   */
  view(session: Session, name: string, version: number): Promise<ServedView | null>;
  /** What was last seen, without asking; `null` before Postgres has been seen. */
  known(): readonly ViewShape[] | null;
  /** What is remembered may be wrong: the database may be another one. */
  forget(): void;
}

interface Seen {
  readonly version: number;
  readonly views: ReadonlyMap<string, ServedView>;
}

/** `projections` are the gateway's; their views have the names of their tables. */
export function viewCatalog(projections: readonly AnyProjection[]): ViewCatalog {
  const owners = new Map(
    projections.flatMap((it) => Object.keys(it.tables).map((table) => [table, it] as const)),
  );
  let seen = new Map<string, Seen>();
  let known: readonly ViewShape[] | null = null;

  const read = async (session: Session, projection: AnyProjection, version: number) => {
    const found = { version, views: await readViews(session, projection, version) };
    seen.set(projection.name, found);
    return found;
  };
  return {
    projectionOf: (view) => owners.get(view),

    async load(session) {
      const versions = await liveVersions(session, projections);
      const reading = projections.flatMap((projection) => {
        const version = versions.get(projection.name);
        return version === undefined ? [] : [read(session, projection, version)];
      });
      const views = (await Promise.all(reading)).flatMap((it) => [...it.views.values()]);
      known = views.map(shapeOf);
      return views;
    },

    async view(session, name, version) {
      const projection = owners.get(name);
      if (projection === undefined) return null;
      const remembered = seen.get(projection.name);
      const { views } =
        remembered?.version === version ? remembered : await read(session, projection, version);
      return views.get(name) ?? null;
    },

    known: () => known,

    forget() {
      seen = new Map();
    },
  };
}

/** What clients see of a view. */
export function shapeOf({ name, key, columns }: ViewShape): ViewShape {
  return {
    name,
    key,
    columns: columns.map((column) => ({
      name: column.name,
      type: column.type,
      nullable: column.nullable,
    })),
  };
}

async function liveVersions(
  session: Session,
  projections: readonly AnyProjection[],
): Promise<ReadonlyMap<string, number>> {
  const { rows } = await session.query(
    "select projection, version from foldlog.projections where live and projection = any($1::text[])",
    [projections.map(({ name }) => name)],
  );
  return new Map(rows.map((row) => [String(row["projection"]), Number(row["version"])]));
}

/** Of a domain, its base type: that is what clients send and get. */
const columnsSql = `
  select c.relname, a.attname, not a.attnotnull as nullable,
         format_type(base.oid, coalesce(domain.typtypmod, a.atttypmod)) as type,
         base.typtype = 'e' as is_enum,
         array_position(i.indkey::int2[], a.attnum) as key_position
  from pg_class c
  join pg_namespace n on n.oid = c.relnamespace
  join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
  left join pg_type domain on domain.oid = a.atttypid and domain.typtype = 'd'
  join pg_type base on base.oid = coalesce(domain.typbasetype, a.atttypid)
  left join pg_index i on i.indrelid = c.oid and i.indisprimary
  where n.nspname = $1 and c.relname = any($2::text[]) and c.relkind = 'r'
  order by c.relname, a.attnum`;

async function readViews(
  session: Session,
  { name, tables }: AnyProjection,
  version: number,
): Promise<ReadonlyMap<string, ServedView>> {
  const relations = new Map(
    Object.keys(tables).map((table) => [table, versionedTable(table, version)]),
  );
  const values = [projectionSchema(name), [...relations.values()]];
  const { rows } = await session.query(columnsSql, values);
  const views = [...relations].flatMap(([table, relation]) => {
    const own = rows.filter((row) => row["relname"] === relation);
    return own.length === 0 ? [] : [[table, viewOf(table, own)] as const];
  });
  return new Map(views);
}

function viewOf(name: string, rows: readonly SqlRow[]): ServedView {
  const columns = rows.map(columnOf);
  const keys = rows
    .map((row, index) => ({ position: row["key_position"], column: columns[index] }))
    .flatMap(({ position, column }) =>
      typeof position === "number" && column !== undefined ? [{ position, column }] : [],
    )
    .sort((a, b) => a.position - b.position)
    .map(({ column }) => column);
  return { name, key: keys.map((column) => column.name), columns, keys };
}

function columnOf(row: SqlRow): ServedColumn {
  const type = String(row["type"]);
  return {
    name: String(row["attname"]),
    type,
    nullable: row["nullable"] === true,
    kind: row["is_enum"] === true ? "label" : kindOf(type),
  };
}
