import { randomBytes } from "node:crypto";
import { expect, test } from "vitest";
import { until } from "../until.ts";
import { jsonLines, type OwnBank } from "./own-bank.ts";

/** `foldlog show` and `foldlog sql`. */
export function viewTests(bank: () => OwnBank): void {
  const id = `view-${randomBytes(4).toString("hex")}`;
  const sql = (query: string, ...more: readonly string[]) =>
    bank().foldlog(["sql", "-c", query, ...more]);

  test("of an account shows its state, its version and its events with their commands", async () => {
    const command = (type: string, commandId: string, more: object) =>
      `${JSON.stringify({ type, commandId: `${id}-${commandId}`, accountId: id, ...more })}\n`;
    const input =
      command("OpenAccount", "1", { owner: "Ada" }) +
      command("DepositFunds", "2", { amountCents: 700, reference: "pay" });
    await bank().foldlog(["produce", "-"], { input });

    const [shown] = jsonLines(await bank().foldlog(["show", "account", id, "--json"]));
    expect(shown).toMatchObject({
      aggregate: "account",
      id,
      version: 2,
      state: { status: "open", owner: "Ada", balanceCents: 700 },
      events: [
        { version: 1, type: "AccountOpened", data: { owner: "Ada" }, commandId: `${id}-1` },
        { version: 2, type: "FundsDeposited", commandId: `${id}-2` },
      ],
    });
    const { code, stdout } = await bank().foldlog(["show", "account", id, "--last", "1"]);
    expect(stdout).toMatch(/version 2, partition \d+/);
    expect(stdout).toMatch(/balanceCents +700/);
    expect(stdout).toMatch(/1 earlier event left out/);
    expect(stdout).toMatch(/2 {2}FundsDeposited .*amountCents=700 reference="pay"/);
    expect(code).toBe(0);
  });

  test("of an account shows the same where the index cannot be reached", async () => {
    const show = ["show", "account", id, "--json"];
    const { brokers } = bank().stack;
    const env = { KAFKA_BROKERS: brokers, DATABASE_READ_URL: "postgres://reader@127.0.0.1:1/x" };
    const scanned = await bank().foldlog(show, { env });
    expect(scanned.stdout).toBe((await bank().foldlog(show)).stdout);
  });

  test("of an account that is not there says so, and exits with 3", async () => {
    const { code, stdout, stderr } = await bank().foldlog(["show", "account", "nobody-at-all"]);
    expect({ code, stdout }).toEqual({ code: 3, stdout: "" });
    expect(stderr).toMatch(/There is no account nobody-at-all/);
  });

  test("by sql sees the view once it has caught up", async () => {
    const query = `select balance_cents, version from balances where account_id = '${id}'`;
    const row = await until("the row", async () => {
      const [found] = jsonLines(await sql(query, "--json"));
      return found?.["version"] === 2 && found;
    });
    expect(row).toEqual({ balance_cents: 700, version: 2 });
    const { stdout } = await sql(`${query}; select null as nothing`);
    expect(stdout.trimEnd().split("\n")).toEqual([
      " balance_cents | version",
      "---------------+---------",
      "           700 |       2",
      "(1 row)",
      "",
      " nothing",
      "---------",
      " NULL",
      "(1 row)",
    ]);
  });

  test("by sql shows two columns of one name as two", async () => {
    const found = await sql("select 1 as a, 2 as a -- the end", "--json");
    expect(jsonLines(found)).toEqual([{ a: 1, a_2: 2 }]);
  });

  test("by sql lists the views with their columns", async () => {
    const { stdout } = await sql("\\d balances");
    expect(stdout).toMatch(/balances \| balance_cents \| bigint/);
    expect((await sql("\\d nothing")).code).toBe(3);
  });

  test("by sql comes in pages, and all of it", async () => {
    const found = await sql("select n from generate_series(1, 2500) n", "--json");
    expect(jsonLines(found)).toHaveLength(2_500);
    expect((await sql("select n from generate_series(1, 2500) n")).stdout).toMatch(
      /\(2,500 rows\)/,
    );
  });

  test.each([
    "insert into balances (account_id) values ('x')",
    "delete from projection_balances.balances_v1",
    "create table public.mine (a int)",
    "set transaction read write; create table public.mine (a int)",
    "set default_transaction_read_only = off; begin; create table public.mine (a int)",
    "with gone as (delete from balances returning 1) select * from gone",
  ])("by sql cannot write: %s", async (query) => {
    const { code, stderr } = await sql(query);
    expect(stderr).toMatch(/permission denied|read-only transaction|must not contain/);
    expect(stderr).not.toMatch(/^\s+at /m);
    expect(code).toBe(1);
  });

  test("by sql shows where a statement is wrong, and runs none after it", async () => {
    const query = "select 1 as one;\nselect account_id,\n  nonsense from balances; select 2 as two";
    const { code, stdout, stderr } = await sql(query);
    expect(stderr.split("\n").slice(0, 3)).toEqual([
      'column "nonsense" does not exist (42703)',
      "LINE 2:   nonsense from balances",
      "          ^",
    ]);
    expect(stdout).toMatch(/one/);
    expect(stdout).not.toMatch(/two/);
    expect(code).toBe(1);
  });

  test("by sql takes statements from standard input too", async () => {
    const { code, stdout } = await bank().foldlog(["sql"], {
      input: "select 1\nas one;\nselect 2",
    });
    expect(stdout).toMatch(/one[\s\S]*\(1 row\)[\s\S]*\?column\?/);
    expect(code).toBe(0);
  });
}
