import { expect, test } from "vitest";
import { jsonLines, type OwnBank } from "./own-bank.ts";

/** What a person may get wrong: each has its exit code, a message that helps, and no stack trace. */

const away = {
  KAFKA_BROKERS: "127.0.0.1:1",
  SCHEMA_REGISTRY_URL: "http://127.0.0.1:1/apis/ccompat/v7",
  DATABASE_READ_URL: "postgres://reader:hush@127.0.0.1:1/foldlog",
  DATABASE_URL: "postgres://owner:hush@127.0.0.1:1/foldlog",
};
const nowhere = { FOLDLOG_DIR: "/nowhere/at/all" };

interface Mistake {
  readonly args: readonly string[];
  readonly code: number;
  readonly says: RegExp;
  readonly env?: Readonly<Record<string, string>>;
}

const mistakes: readonly Mistake[] = [
  { args: [], code: 2, says: /Usage: foldlog/ },
  { args: ["stauts"], code: 2, says: /unknown command 'stauts'\s+\(Did you mean status\?\)/ },
  { args: ["topics"], code: 2, says: /plan[\s\S]*apply/ },
  { args: ["topics", "aply"], code: 2, says: /Did you mean apply/ },
  { args: ["status", "--jsno"], code: 2, says: /Did you mean --json/ },
  { args: ["status"], code: 2, says: /KAFKA_BROKERS is not set[\s\S]*npm start/, env: nowhere },
  { args: ["status"], code: 2, says: /KAFKA_BROKERS is "x"/, env: { KAFKA_BROKERS: "x" } },
  {
    args: ["topics", "plan"],
    code: 5,
    says: /No Kafka broker answers at 127\.0\.0\.1:1/,
    env: away,
  },
  { args: ["schemas", "check"], code: 5, says: /registry .* cannot be reached/, env: away },
  { args: ["show", "account", "a"], code: 5, says: /No Kafka broker answers/, env: away },
  { args: ["sql", "-c", "select 1"], code: 5, says: /ECONNREFUSED/, env: away },
  { args: ["produce", "-"], code: 5, says: /No Kafka broker answers/, env: away },
  {
    args: ["produce", "-"],
    code: 5,
    says: /registry .* cannot be reached/,
    env: { SCHEMA_REGISTRY_URL: away.SCHEMA_REGISTRY_URL },
  },
  { args: ["dlq", "list"], code: 5, says: /No Kafka broker answers/, env: away },
  { args: ["produce"], code: 2, says: /nothing to send/ },
  { args: ["produce", "no-such-file.ndjson"], code: 2, says: /there is no such file/ },
  { args: ["produce", "/"], code: 2, says: /it is a folder/ },
  { args: ["produce", "-", "--rate", "5"], code: 2, says: /either a file or --rate/ },
  { args: ["produce", "--seed", "5"], code: 2, says: /--seed goes with --rate/ },
  { args: ["produce", "--rate", "fast"], code: 2, says: /number above 0/ },
  { args: ["produce", "--rate", "5", "--for", "soon"], code: 2, says: /for example 500ms/ },
  { args: ["show", "acount", "a"], code: 2, says: /no aggregate acount[\s\S]*account/ },
  { args: ["show", "account"], code: 2, says: /missing required argument 'id'/ },
  { args: ["show", "account", ""], code: 2, says: /1 to 255 bytes/ },
  { args: ["dlq", "show", "three"], code: 2, says: /PARTITION\/OFFSET/ },
  { args: ["dlq", "replay"], code: 2, says: /--all/ },
  { args: ["dlq", "replay", "1/1", "--all"], code: 2, says: /--all/ },
  {
    args: ["dlq", "list", "--worker", "balances"],
    code: 2,
    says: /No worker balances has dead letters/,
  },
  { args: ["run", "acount"], code: 2, says: /no worker acount[\s\S]*account, balances/ },
  { args: ["run"], code: 2, says: /missing required argument/ },
  { args: ["migrate"], code: 2, says: /names no role/, env: { FOLDLOG_ROLE_PASSWORD_X: "hush" } },
  { args: ["sql", "-c", "\\x"], code: 2, says: /\\d lists the views/ },
];

const verbs = [
  "status",
  "produce",
  "show",
  "sql",
  "dlq list",
  "dlq show",
  "dlq replay",
  "audit",
  "topics plan",
  "topics apply",
  "schemas check",
  "schemas register",
  "migrate",
  "run",
];

export function mistakeTests(bank: () => OwnBank): void {
  test.each(mistakes)(
    "as foldlog $args exits with $code and says what is wrong",
    async (mistake) => {
      const { args, code, says, env = {} } = mistake;
      const finished = await bank().foldlog(args, { env });
      expect(finished.stderr).toMatch(says);
      expect(finished.stderr).not.toMatch(/^\s+at /m);
      expect(finished.stderr).not.toMatch(/hush/); // A password.
      expect({ code: finished.code, stdout: finished.stdout }).toEqual({ code, stdout: "" });
    },
  );

  test("in an address makes status exit with 5, and it says of each what is away", async () => {
    const { code, stdout } = await bank().foldlog(["status", "--json"], { env: away });
    expect(jsonLines({ stdout })[0]).toMatchObject({
      away: ["Kafka", "Schema registry", "Postgres"],
    });
    expect(stdout).not.toMatch(/hush/);
    expect(code).toBe(5);
  });

  test.each(verbs)(
    "is less likely with the help of foldlog %s, which has an example",
    async (verb) => {
      const { code, stdout, stderr } = await bank().foldlog([...verb.split(" "), "--help"]);
      expect(stdout).toMatch(new RegExp(`^Usage: foldlog ${verb}`));
      expect(stdout).toMatch(/Examples?:\n {2}.*npm run -s foldlog -- /);
      expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    },
  );

  test("in the settings is no surprise: the mixture of two places is told", async () => {
    const env = { KAFKA_BROKERS: bank().stack.brokers };
    const { stderr } = await bank().foldlog(["show", "account", "nobody-at-all"], { env });
    expect(stderr).toBe(
      "There is no account nobody-at-all: " + stderr.split(": ").slice(1).join(": "),
    );
    const other = { KAFKA_BROKERS: "127.0.0.1:1" };
    const mixed = await bank().foldlog(["show", "account", "nobody-at-all"], { env: other });
    expect(mixed.stderr).toMatch(/Note: SCHEMA_REGISTRY_URL is not set, and so taken, from /);
  });
}
