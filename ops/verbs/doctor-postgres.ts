import type { AnyProjection } from "../../engine/projection.ts";
import {
  ident,
  projectionSchema,
  projectorRole,
  readerRole,
} from "../../engine/projections/tables.ts";
import { type Finding, good, mends, orGood, warning, wrong } from "./doctor-finding.ts";
import {
  type ClockFacts,
  type MigrationFacts,
  type ProjectionFacts,
  type RightFacts,
  type RoleFacts,
  tablesOf,
} from "./doctor-postgres-facts.ts";
import { plural } from "./output.ts";

/** What is wrong with Postgres, its roles, their rights and the views. Pure. */

const oldest = 15;

export function serverFindings(versionNumber: number): readonly Finding[] {
  const major = Math.floor(versionNumber / 10_000);
  const version = `${major}.${versionNumber % 10_000}`;
  if (major >= oldest) return [good("postgres", `Postgres ${version}`)];
  return [
    wrong("postgres", {
      found: `Postgres ${version}, and ${oldest} or later is needed`,
      why: "Foldlog's SQL is proved on 15 and later; earlier ones let everybody create in public",
      mend: `move the database to Postgres ${oldest} or later`,
    }),
  ];
}

const noticeableMs = 2_000;
const harmfulMs = 60_000;

export function clockFindings({ aheadMs, toleranceMs }: ClockFacts): readonly Finding[] {
  const id = "clock";
  const brokers = "a broker's clock cannot be asked without writing";
  const certainMs = Math.max(0, Math.abs(aheadMs) - toleranceMs);
  const seconds = (Math.abs(aheadMs) / 1000).toFixed(1);
  if (certainMs < noticeableMs) {
    const found = `Postgres's and this machine's differ by ${seconds} s or less; ${brokers}`;
    return [good(id, found)];
  }
  const trouble = {
    found: `Postgres's clock is ${seconds} s ${aheadMs > 0 ? "ahead of" : "behind"} this machine's; ${brokers}`,
    why: "times in views and events do not fit together; beyond 5 minutes commands fail with CLOCK_AHEAD",
    mend: "set the clock that is wrong: timedatectl, chronyc tracking",
  };
  return [certainMs < harmfulMs ? warning(id, trouble) : wrong(id, trouble)];
}

export function migrationFindings(migrations: MigrationFacts): readonly Finding[] {
  const id = "migrations";
  switch (migrations.kind) {
    case "read": {
      const { applied, missing } = migrations;
      if (missing.length === 0) return [good(id, `${plural(applied, "migration")} applied`)];
      const found = `not applied: ${missing.join(", ")}`;
      const why = "the engine's own tables are not what this version writes";
      return [wrong(id, { found, why, mend: mends.migrate })];
    }
    case "none": {
      const found = "the database is not prepared";
      const why = "there are no tables, no roles and no views: no projector starts";
      return [wrong(id, { found, why, mend: mends.migrate })];
    }
    case "changed":
      return [
        wrong(id, {
          found: migrations.why,
          why: "MIGRATION_CHANGED: the database is not what the files say, and migrate refuses",
          mend: "run the version that has the file as it was applied, or put it back: git log engine/postgres/migrations",
        }),
      ];
    case "hidden":
      return [
        warning(id, {
          found: "this role may not see what was applied",
          why: "what is not known may be wrong",
          mend: "set DATABASE_URL to the owner of the database, then ask again",
        }),
      ];
  }
}

export function roleFindings(roles: readonly RoleFacts[]): readonly Finding[] {
  const troubles = roles.flatMap(({ name, exists, canLogIn, powers, memberOf }) => {
    const id = `roles/${name}`;
    if (!exists) {
      const found = `there is no role ${name}`;
      const why = whatItDoes(name);
      return [wrong(id, { found, why, mend: mends.migrate })];
    }
    const found: Finding[] = [];
    if (powers.length > 0) {
      found.push(
        wrong(id, {
          found: `it is ${powers.join(" and ")}`,
          why: "rights do not bind it, so a fault in one process could change every view; migrate refuses",
          mend: asSuperuser(`alter role ${ident(name)} ${powers.map((it) => `no${it}`).join(" ")}`),
        }),
      );
    }
    if (memberOf.length > 0) {
      const groups = memberOf.map((it) => ident(it)).join(", ");
      found.push(
        wrong(`${id}/member`, {
          found: `it is a member of ${memberOf.join(", ")}`,
          why: "it can do what those may: a role of Foldlog has its own rights only",
          mend: asSuperuser(`revoke ${groups} from ${ident(name)}`),
        }),
      );
    }
    if (!canLogIn) {
      found.push(
        wrong(`${id}/login`, {
          found: "it may not log in",
          why: whatItDoes(name),
          mend: asSuperuser(`alter role ${ident(name)} login`),
        }),
      );
    }
    return found;
  });
  return orGood(troubles, good("roles", `${plural(roles.length, "role")}, none of them mighty`));
}

function whatItDoes(role: string): string {
  return role === readerRole
    ? "nobody can read the views: not the gateway, not foldlog sql"
    : "its projector cannot log in, and its view stands still";
}

/** `foldlog sql` only reads, so these are for psql, or whatever else there is. */
function asSuperuser(statement: string): string {
  return `as a superuser, by psql: ${statement};`;
}

/** @param roles those that rights do not bind are left out: `roleFindings` names them */
export function rightFindings(
  rights: readonly RightFacts[],
  roles: readonly RoleFacts[],
  projections: readonly AnyProjection[],
): readonly Finding[] {
  const bound = roles.filter(({ exists, powers }) => exists && !powers.includes("superuser"));
  const troubles = bound.flatMap(({ name }) => {
    const own = rights.filter(({ role }) => role === name);
    const projection = projections.find((it) => projectorRole(it.name) === name);
    return projection === undefined ? readerTroubles(own) : projectorTroubles(own, projection);
  });
  const whole = "projectors write their own tables only, and the reader none";
  return orGood(troubles, good("rights", whole));
}

function projectorTroubles(
  rights: readonly RightFacts[],
  projection: AnyProjection,
): readonly Finding[] {
  const schema = projectionSchema(projection.name);
  const isCheckpoints = (it: RightFacts) =>
    it.schema === "foldlog" && it.relation === "checkpoints";
  const foreign = rights.filter((it) => it.canChange && it.schema !== schema && !isCheckpoints(it));
  const needed = tablesOf(projection);
  const lacking = rights.filter(
    (it) =>
      needed.some(({ relation }) => it.schema === schema && it.relation === relation) &&
      !(it.canRead && it.canWrite),
  );
  return [
    ...foreign.map((it) =>
      tooMuch(it, "a fault in this projector could change what is not its own"),
    ),
    ...lacking.map((it) => tooLittle(it, "may not write", "its projector stops at the next event")),
  ];
}

function readerTroubles(rights: readonly RightFacts[]): readonly Finding[] {
  const changed = rights.filter(({ canChange }) => canChange);
  const unreadable = rights.filter(
    ({ schema, relation, canRead }) =>
      !canRead && schema === "foldlog" && ["checkpoints", "projections"].includes(relation),
  );
  return [
    ...changed.map((it) => tooMuch(it, "whoever may ask the views could change them")),
    ...unreadable.map((it) => tooLittle(it, "may not read", "how fresh a view is cannot be told")),
  ];
}

function tooMuch({ role, schema, relation }: RightFacts, why: string): Finding {
  const revoke = `revoke insert, update, delete, truncate on ${ident(schema, relation)} from ${ident(role)}, public`;
  const found = `${role} may change ${schema}.${relation}`;
  return wrong(`rights/${role}/${schema}.${relation}`, { found, why, mend: asSuperuser(revoke) });
}

function tooLittle({ role, schema, relation }: RightFacts, what: string, why: string): Finding {
  const found = `${role} ${what} ${schema}.${relation}`;
  return wrong(`rights/${role}/${schema}.${relation}`, { found, why, mend: mends.migrate });
}

export function viewFindings(projections: readonly ProjectionFacts[]): readonly Finding[] {
  return projections.flatMap(({ name, version, isPrepared, drift, live, missingViews }) => {
    const id = `views/${name}`;
    if (!isPrepared) {
      const found = `version ${version} is not prepared`;
      const why = "its projector does not start, since its tables have not been made";
      return [wrong(id, { found, why, mend: mends.migrate })];
    }
    if (drift !== null) {
      const why = "PROJECTION_DRIFT: rows would go into the wrong columns, so its projector ends";
      const mend = `put the declaration or the tables back, or raise its version; then ${mends.migrate}`;
      return [wrong(id, { found: `version ${version}: ${drift}`, why, mend })];
    }
    if (missingViews.length > 0) {
      const found = `no view ${missingViews.join(", ")}`;
      return [wrong(id, { found, why: "nobody can read it", mend: mends.migrate })];
    }
    if (live !== version) {
      const found = `the views read version ${live ?? "none"}, and this code has version ${version}`;
      const why = "readers see the old one until the new one has caught up and migrate has run";
      return [warning(id, { found, why, mend: `when it has caught up: ${mends.migrate}` })];
    }
    return [good(id, `the views read version ${live}`)];
  });
}
