import pg from "pg";

/** `node count.ts lamps`: what a counter stands at, as any Postgres client reads it from the view. */
const [counterId] = process.argv.slice(2);
const client = new pg.Client({ connectionString: process.env["DATABASE_READ_URL"] });
await client.connect();
const { rows } = await client.query<{ value: string; version: string }>(
  "select value, version from counts where counter_id = $1",
  [counterId],
);
await client.end();
console.log(
  rows[0] === undefined ? "no such counter" : `${rows[0].value}, version ${rows[0].version}`,
);
