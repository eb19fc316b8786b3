import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { workers } from "../../processors/workers.ts";
import type { RegisterRow } from "../../engine/schemas/register.ts";
import type { PlannedTopic } from "../../engine/topic-plan.ts";
import { catalog } from "../../topics/catalog.ts";
import { projectionsOf, rolePasswords } from "./migrate.ts";
import { checkLines, registerLines } from "./schemas.ts";
import { applySummary, planSummary, refusalHints } from "./topics.ts";

/** What the verbs that set things up say, and the passwords that they take. */

const planned = (...actions: readonly PlannedTopic["action"][]): PlannedTopic[] =>
  actions.map((action, i) => {
    const topic = catalog[i];
    if (topic === undefined) throw new Error("the catalog has fewer topics");
    return { topic, action, differences: [] };
  });

describe("topics", () => {
  test("that need nothing are said to be as they should be", () => {
    expect(applySummary(planned("keep", "keep"))).toBe("2 topics as they should be");
    expect(planSummary(planned("keep"))).toBe("1 topic as they should be");
  });

  test("are summed up in one line, which npm start shows", () => {
    expect(applySummary(planned("create", "alter", "keep", "create"))).toBe(
      "4 topics: 2 created, 1 altered",
    );
  });

  test("that a plan would change are followed by the command that does it", () => {
    expect(planSummary(planned("create", "refuse"))).toMatch(
      /^2 topics: 1 to create.*1 that cannot be mended\n.*topics apply$/,
    );
    expect(planSummary(planned("refuse"))).not.toContain("topics apply");
  });

  test("with another number of replicas come with the setting that may be wrong", () => {
    const [one] = planned("refuse");
    if (one === undefined) throw new Error("no plan");
    const differences = [{ setting: "replication.factor", wanted: "3", found: "1" }];
    expect(refusalHints([{ ...one, differences }])[0]).toContain("FOLDLOG_REPLICATION_FACTOR=1");
    expect(refusalHints(planned("create", "keep"))).toEqual([]);
  });
});

describe("schemas", () => {
  const row: RegisterRow = {
    subject: "bank.account.events-bank.account.AccountOpened",
    version: 1,
    id: 7,
    outcome: "registered",
    level: "FULL_TRANSITIVE",
    levelBefore: null,
    reasons: [],
  };

  test("are summed up in the last line, which npm start shows", () => {
    const rows = [row, { ...row, outcome: "was registered" as const }];
    expect(registerLines(rows, "ids.json").at(-1)).toBe(
      "2 schemas: 1 registered, 1 were registered",
    );
  });

  test("that are refused say why", () => {
    const refused = { ...row, id: null, outcome: "refused" as const, reasons: ["owner is gone"] };
    const lines = registerLines([refused], null);
    expect(lines).toContain("    owner is gone");
    expect(lines.at(-1)).toBe("1 schema: 1 refused");
  });

  test("that would be registered are followed by the command that does it", () => {
    const would = { ...row, verdict: "would register" as const, levelNow: "NONE" };
    const lines = checkLines([would]);
    expect(lines[0]).toContain("the subject's level is NONE, should be FULL_TRANSITIVE");
    expect(lines.at(-1)).toContain("schemas register");
  });
});

describe("a role's password", () => {
  const roles = ["foldlog_reader", "projector_balances"];

  test("comes from the environment, or from a file that it names", () => {
    const dir = mkdtempSync(join(tmpdir(), "foldlog-passwords-"));
    const file = join(dir, "password");
    writeFileSync(file, "from a file\n");
    const env = {
      FOLDLOG_ROLE_PASSWORD_FOLDLOG_READER: "plain",
      FOLDLOG_ROLE_PASSWORD_PROJECTOR_BALANCES_FILE: file,
      UNRELATED: "x",
    };
    expect(rolePasswords(env, roles)).toEqual({
      foldlog_reader: "plain",
      projector_balances: "from a file",
    });
    rmSync(dir, { recursive: true });
  });

  test("of a role that there is not is refused, without the password in the message", () => {
    const read = () => rolePasswords({ FOLDLOG_ROLE_PASSWORD_READER: "secret" }, roles);
    expect(read).toThrow("FOLDLOG_ROLE_PASSWORD_READER names no role");
    expect(read).not.toThrow("secret");
  });

  test("in a file that cannot be read is an error that names both", () => {
    const env = { FOLDLOG_ROLE_PASSWORD_FOLDLOG_READER_FILE: "/nowhere/password" };
    expect(() => rolePasswords(env, roles)).toThrow(/READER_FILE names \/nowhere\/password/);
  });

  test("that is empty leaves the role as it is", () => {
    expect(rolePasswords({ FOLDLOG_ROLE_PASSWORD_FOLDLOG_READER: "" }, roles)).toEqual({});
  });
});

test("the projections to prepare are those of the workers", () => {
  expect(projectionsOf(workers).map(({ name }) => name)).toEqual([
    "balances",
    "statements",
    "command_status",
    "event_index",
  ]);
});
