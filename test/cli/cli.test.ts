import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { until } from "../until.ts";
import { deadLetterTests } from "./dead-letters.ts";
import { mistakeTests } from "./mistakes.ts";
import { jsonLines, openOwnBank, type OwnBank, type Running } from "./own-bank.ts";
import { operationsTests, told } from "./operations.ts";
import { produceTests } from "./produce.ts";
import { viewTests } from "./views.ts";

/**
 * The command line on a bank of its own, from an empty broker on, in the order in which one would use it.
 * The tests of each group are in the files beside this one.
 */
let bank: OwnBank;
const theBank = () => bank;

beforeAll(async () => {
  bank = await openOwnBank();
}, 120_000);
afterAll(async () => {
  await bank.close();
}, 60_000);

describe("on an empty broker", () => {
  test("topics plan shows what is missing, and changes nothing", async () => {
    for (let time = 0; time < 2; time++) {
      const { code, stdout } = await bank.foldlog(["topics", "plan"]);
      expect(stdout).toMatch(/5 topics: 5 to create/);
      expect(code).toBe(0);
    }
  });

  test("status says what is wrong, and what to do", async () => {
    const { code, stdout } = await told(bank, ["status"]);
    expect(stdout).toMatch(/not as the catalog says: bank\.account\.commands.*topics plan/);
    expect(stdout).toMatch(/0 of 11 schemas registered/);
    expect(stdout).toMatch(/Postgres refuses: .*npm run -s foldlog -- migrate/); // There is no role yet.
    expect(stdout).toMatch(/nobody runs account/);
    expect(code).toBe(1);
  });

  test("topics apply asks, and without a terminal it does not guess the answer", async () => {
    const { code, stderr } = await bank.foldlog(["topics", "apply"]);
    expect(stderr).toMatch(/--yes/);
    expect(code).toBe(2);
  });

  test("topics apply creates them, and the second time there is nothing to do", async () => {
    const lastLines: (string | undefined)[] = [];
    for (let time = 0; time < 2; time++) {
      const { code, stdout, stderr } = await bank.foldlog(["topics", "apply", "--yes"]);
      expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
      lastLines.push(stdout.trimEnd().split("\n").at(-1));
    }
    expect(lastLines).toEqual(["5 topics: 5 created", "5 topics as they should be"]);
  });

  test("topics plan says that another replication factor cannot be mended in place", async () => {
    const env = { FOLDLOG_REPLICATION_FACTOR: "2" };
    const { code, stdout, stderr } = await bank.foldlog(["topics", "plan"], { env });
    expect(stdout).toMatch(/replication\.factor: is 1, should be 2/);
    expect(stderr).toMatch(/FOLDLOG_REPLICATION_FACTOR=1/);
    expect(code).toBe(4);
  });

  test("schemas register keeps the ids, and the second time they are the same", async () => {
    const check = await bank.foldlog(["schemas", "check"]);
    expect(check.stdout).toMatch(/11 schemas: 0 registered, 11 to register/);
    const ids: unknown[] = [];
    for (let time = 0; time < 2; time++) {
      const done = await bank.foldlog(["schemas", "register", "--json"]);
      expect(done.code).toBe(0);
      ids.push(jsonLines(done).map(({ subject, id }) => [subject, id]));
    }
    expect(ids[1]).toEqual(ids[0]);
    const again = await bank.foldlog(["schemas", "register"]);
    expect(again.stdout.trimEnd().split("\n").at(-1)).toBe("11 schemas: 11 were registered");
  });

  test("migrate prepares the database, and the second time there is nothing to do", async () => {
    const env = { FOLDLOG_ROLE_PASSWORD_FOLDLOG_READER: readerPassword() };
    const first = await bank.foldlog(["migrate"], { env });
    expect(first.stdout).toMatch(/created role projector_balances/);
    expect(first.code).toBe(0);
    const second = await bank.foldlog(["migrate"]);
    expect(second.stdout).toBe("the database is as it should be\n");
  });

  test("produce says that nobody answers, and that it does not know what became of it", async () => {
    const input = `{"type":"OpenAccount","commandId":"early","accountId":"early","owner":"Ada"}\n`;
    // The silence that it bears has to last for the first producer of this broker to be opened.
    const { code, stdout, stderr } = await bank.foldlog(["produce", "-", "--timeout", "10s"], {
      input,
    });
    expect(stdout).toMatch(/sent +1 /);
    expect(stdout).toMatch(/unanswered +1/);
    expect(stderr).toMatch(/Is a worker running\?/);
    expect(code).toBe(1);
  });
});

function readerPassword(): string {
  return new URL(bank.stack.databaseUrl("foldlog_reader")).password;
}

describe("with its workers", () => {
  let workers: Running;

  beforeAll(async () => {
    const env = {
      FOLDLOG_METRICS_PORT: "0",
      FOLDLOG_STATE_DIR: `${bank.dir}/state`,
      FOLDLOG_UNKNOWN_SCHEMA_WAIT_MS: "100",
    };
    const all = ["account", "balances", "statements", "command_status", "event_index"];
    workers = bank.start(["run", ...all], { env });
  });

  test("status says that all is well once they are at work", { timeout: 90_000 }, async () => {
    const found = await until(
      "status to be good",
      async () => {
        expect(workers.child.exitCode, workers.output().stderr).toBeNull();
        const status = await bank.foldlog(["status", "--json"]);
        const lags = jsonLines(status).flatMap((it) => it["workers"] as { lagSum: number }[]);
        return status.code === 0 && lags.every(({ lagSum }) => lagSum === 0) && status;
      },
      { deadlineMs: 55_000 },
    );
    const [status] = jsonLines(found);
    expect(status).toMatchObject({ away: [], problems: [] });
    expect(status?.["workers"]).toMatchObject([
      { name: "account", members: 1, assigned: 12 },
      { name: "balances", members: 1, assigned: 12 },
      { name: "statements", members: 1, assigned: 12 },
      { name: "command_status", topic: "bank.account.replies", members: 1, assigned: 12 },
      { name: "event_index", members: 1, assigned: 12 },
    ]);
    const { stdout } = await told(bank, ["status"]);
    expect(stdout).toMatch(/Nothing is wrong/);
    expect(stdout).toMatch(/^account +1 +12 of 12 +0 +0 +0/m);
  });

  describe("the commands of docs/operations.md", () => {
    operationsTests(theBank);
  });
  describe("produce", () => {
    produceTests(theBank);
  });
  describe("a look at what there is", () => {
    viewTests(theBank);
  });
  describe("a dead letter", () => {
    deadLetterTests(theBank);
  });

  test("the workers end in good order on SIGTERM", async () => {
    workers.child.kill("SIGTERM");
    expect((await workers.finished).code).toBe(0);
  });
});

describe("a mistake", () => {
  mistakeTests(theBank);
});
