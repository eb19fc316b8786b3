import { FatalError, messageOf, TransientError } from "../../engine/errors.ts";
import { SqlError } from "../../engine/postgres/postgres.ts";
import { SetupError } from "../stack/setup-error.ts";
import { explained } from "./outcome.ts";
import type { Told } from "./status-facts.ts";

/** What a check has to say. Plain data: `--json` prints it as it is. */
export interface Finding {
  /** The check, and behind a slash what exactly it is about where one thing of several is not good. */
  readonly id: string;
  /** `warn`: works, but not as it should; `unknown`: what could tell it is away. */
  readonly status: "ok" | "wrong" | "warn" | "unknown";
  readonly found: string;
  /** Why it matters; `null` where all is well. */
  readonly why: string | null;
  /** What to do, a command where there is one; `null` where there is nothing to do. */
  readonly mend: string | null;
}

export interface Trouble {
  readonly found: string;
  readonly why: string;
  readonly mend: string;
}

export function good(id: string, found: string): Finding {
  return { id, status: "ok", found, why: null, mend: null };
}

export function wrong(id: string, trouble: Trouble): Finding {
  return { id, status: "wrong", ...trouble };
}

export function warning(id: string, trouble: Trouble): Finding {
  return { id, status: "warn", ...trouble };
}

/** What nobody could tell, since whoever knows it does not answer. */
export function unknown(id: string, found: string, mend: string | null = null): Finding {
  return { id, status: "unknown", found, why: "what is not known may be wrong", mend };
}

/** A check is good in one line, or has a line for each thing that is not. */
export function orGood(troubles: readonly Finding[], whole: Finding): readonly Finding[] {
  return troubles.length > 0 ? troubles : [whole];
}

export const mends = {
  start: "npm start, where all runs on this machine; else bring it up, or correct its address",
  install: "npm ci",
  topics: "npm run -s foldlog -- topics apply",
  schemas: "npm run -s foldlog -- schemas register",
  migrate: "npm run -s foldlog -- migrate",
} as const;

/** What was asked, or why it cannot be told, for the checks that need it. */
export async function tell<T>(ask: () => Promise<T>): Promise<Told<T>> {
  try {
    return { state: "answers", facts: await ask() };
  } catch (error) {
    const { status, found } = findingOf("", error);
    return { state: status === "unknown" ? "away" : "refuses", problem: found };
  }
}

/** The judgement of what was told; else what to say of a check that needs it. */
export function ifTold<T>(
  id: string,
  told: Told<T>,
  judge: (facts: T) => readonly Finding[],
): readonly Finding[] {
  switch (told.state) {
    case "answers":
      return judge(told.facts);
    case "away":
      return [unknown(id, `cannot be told: ${told.problem}`)];
    case "refuses":
      return [
        warning(id, {
          found: `cannot be told: ${told.problem}`,
          why: "what is not known may be wrong",
          mend: "mend the refusal first",
        }),
      ];
  }
}

/** What a check comes to that has thrown: a refusal is wrong, and whoever is away leaves it unknown. */
export function findingOf(id: string, error: unknown): Finding {
  if (error instanceof SetupError) {
    const why = "the local stack cannot be started without it";
    const found = [error.message, ...error.evidence].join(" ");
    return wrong(id, { found, why, mend: error.next });
  }
  if (error instanceof FatalError || error instanceof SqlError) {
    const code = error instanceof FatalError ? error.code : error.sqlState;
    return wrong(id, {
      found: `${code}: ${error.message}`,
      why: "no waiting cures it: a worker that meets it ends, or does not start",
      mend:
        error instanceof FatalError
          ? `ops/README.md, under ${error.code}`
          : "give the role the right, or let it be made: npm run -s foldlog -- migrate",
    });
  }
  if (error instanceof TransientError) return unknown(id, messageOf(error), mends.start);
  return wrong(id, {
    found: explained(error).text,
    why: "the check itself failed, so nothing is known of what it looks at",
    mend: "report it, with this text",
  });
}
