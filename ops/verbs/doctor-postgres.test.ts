import { describe, expect, test } from "vitest";
import { balances } from "../../processors/projections/balances.ts";
import {
  clockFindings,
  migrationFindings,
  rightFindings,
  roleFindings,
  serverFindings,
  viewFindings,
} from "./doctor-postgres.ts";
import type { ProjectionFacts, RightFacts, RoleFacts } from "./doctor-postgres-facts.ts";

describe("the server", () => {
  test("is good from 15 on", () => {
    expect(serverFindings(150_002)).toMatchObject([{ status: "ok", found: "Postgres 15.2" }]);
    expect(serverFindings(140_011)).toMatchObject([{ status: "wrong" }]);
  });

  test("has a clock that may differ a little, and by no more than its answer took", () => {
    const of = (aheadMs: number, toleranceMs = 5) => clockFindings({ aheadMs, toleranceMs })[0];
    expect(of(300)?.status).toBe("ok");
    expect(of(4_000, 3_000)?.status).toBe("ok");
    expect(of(10_000)).toMatchObject({
      status: "warn",
      found: expect.stringContaining("10.0 s ahead of this machine's") as unknown,
    });
    expect(of(-90_000)).toMatchObject({
      status: "wrong",
      found: expect.stringContaining("90.0 s behind") as unknown,
      mend: expect.stringContaining("timedatectl") as unknown,
    });
  });
});

describe("migrations", () => {
  test("that are all applied are good", () => {
    expect(migrationFindings({ kind: "read", applied: 2, missing: [] })).toMatchObject([
      { status: "ok", found: "2 migrations applied" },
    ]);
  });

  test("that are not applied are mended by migrate, be it some or all", () => {
    const some = migrationFindings({ kind: "read", applied: 1, missing: ["0002_replies.sql"] });
    expect(some[0]?.found).toContain("0002_replies.sql");
    for (const [finding] of [some, migrationFindings({ kind: "none" })]) {
      expect(finding).toMatchObject({
        status: "wrong",
        mend: expect.stringMatching(/migrate$/) as unknown,
      });
    }
  });

  test("that were changed afterwards are wrong, and migrate would not mend them", () => {
    const [finding] = migrationFindings({ kind: "changed", why: "0001 is not what was applied" });
    expect(finding).toMatchObject({
      status: "wrong",
      why: expect.stringMatching(/MIGRATION_CHANGED/) as unknown,
    });
  });

  test("that only the owner may see are not taken for missing", () => {
    const [finding] = migrationFindings({ kind: "hidden" });
    expect(finding).toMatchObject({
      status: "warn",
      mend: expect.stringMatching(/DATABASE_URL/) as unknown,
    });
  });
});

describe("roles", () => {
  const role = (more: Partial<RoleFacts> = {}): RoleFacts => ({
    name: "projector_balances",
    exists: true,
    canLogIn: true,
    powers: [],
    memberOf: [],
    ...more,
  });

  test("without might are good", () => {
    expect(roleFindings([role()])).toMatchObject([{ id: "roles", status: "ok" }]);
  });

  test("that are missing are made by migrate", () => {
    expect(roleFindings([role({ exists: false, canLogIn: false })])).toMatchObject([
      { status: "wrong", found: "there is no role projector_balances" },
    ]);
  });

  test("with might lose exactly that", () => {
    const [finding] = roleFindings([role({ powers: ["superuser", "createdb"] })]);
    expect(finding?.mend).toBe(
      'as a superuser, by psql: alter role "projector_balances" nosuperuser nocreatedb;',
    );
  });

  test("that are in another one leave it, and that may not log in may again", () => {
    const found = roleFindings([role({ memberOf: ["foldlog_owner"], canLogIn: false })]);
    expect(found.map(({ mend }) => mend)).toEqual([
      'as a superuser, by psql: revoke "foldlog_owner" from "projector_balances";',
      'as a superuser, by psql: alter role "projector_balances" login;',
    ]);
  });

  describe("have rights", () => {
    const right = (more: Partial<RightFacts>): RightFacts => ({
      role: "projector_balances",
      schema: "projection_balances",
      relation: "balances_v1",
      canRead: true,
      canChange: true,
      canWrite: true,
      ...more,
    });
    const reader = { role: "foldlog_reader", canChange: false, canWrite: false };
    const ofBoth = [role(), role({ name: "foldlog_reader" })];
    const findingsOf = (...rights: readonly Partial<RightFacts>[]) =>
      rightFindings(rights.map(right), ofBoth, [balances]);

    test("to their own tables and checkpoints, and the reader to read", () => {
      const found = findingsOf(
        {},
        { schema: "foldlog", relation: "checkpoints", canWrite: false },
        { ...reader, schema: "foldlog", relation: "checkpoints" },
        { ...reader, schema: "public", relation: "balances" },
      );
      expect(found).toMatchObject([{ id: "rights", status: "ok" }]);
    });

    test("to nothing of another projection's", () => {
      const [finding] = findingsOf({ schema: "projection_statements", relation: "statements_v1" });
      expect(finding).toMatchObject({
        id: "rights/projector_balances/projection_statements.statements_v1",
        status: "wrong",
      });
      expect(finding?.mend).toMatch(
        /revoke .* on "projection_statements"."statements_v1" from "projector_balances", public;$/,
      );
    });

    test("that they need, or migrate grants them", () => {
      const [finding] = findingsOf({ canWrite: false });
      expect(finding).toMatchObject({
        status: "wrong",
        mend: expect.stringMatching(/migrate$/) as unknown,
      });
    });

    test("which for the reader are to change nothing, and to see the checkpoints", () => {
      const found = findingsOf(
        { ...reader, canChange: true },
        { ...reader, schema: "foldlog", relation: "checkpoints", canRead: false },
      );
      expect(found.map(({ found: it }) => it)).toEqual([
        "foldlog_reader may change projection_balances.balances_v1",
        "foldlog_reader may not read foldlog.checkpoints",
      ]);
    });

    test("which are not listed of one that no right binds: its might is what is wrong", () => {
      const mighty = [role({ powers: ["superuser"] })];
      const all = [right({ schema: "foldlog", relation: "migrations" })];
      expect(rightFindings(all, mighty, [balances])).toMatchObject([{ status: "ok" }]);
    });
  });
});

describe("views", () => {
  const view = (more: Partial<ProjectionFacts> = {}): ProjectionFacts => ({
    name: "balances",
    version: 2,
    isPrepared: true,
    drift: null,
    live: 2,
    missingViews: [],
    ...more,
  });

  test("over this code's version are good", () => {
    expect(viewFindings([view()])).toMatchObject([{ id: "views/balances", status: "ok" }]);
  });

  test("over an older version are to look at, until that one has caught up", () => {
    expect(viewFindings([view({ live: 1 })])).toMatchObject([
      { status: "warn", found: "the views read version 1, and this code has version 2" },
    ]);
  });

  test("that are not prepared, or gone, are made by migrate", () => {
    const gone = [view({ isPrepared: false, live: null }), view({ missingViews: ["public.b"] })];
    for (const it of gone) {
      const [finding] = viewFindings([it]);
      expect(finding).toMatchObject({
        status: "wrong",
        mend: expect.stringMatching(/migrate$/) as unknown,
      });
    }
  });

  test("whose tables are others than declared are PROJECTION_DRIFT", () => {
    const [finding] = viewFindings([view({ drift: "its tables were altered" })]);
    expect(finding).toMatchObject({
      status: "wrong",
      why: expect.stringMatching(/PROJECTION_DRIFT/) as unknown,
    });
  });
});
