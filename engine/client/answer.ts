import { badAnswer, problemOf, textIn, versionIn } from "./answer-text.ts";
import type { Answered } from "./connection.ts";

/** What became of a command. */

export interface About {
  readonly commandId: string;
  readonly aggregateId: string;
}

interface Told extends About {
  /** This answer was given before; `null` where it was asked for later, and nobody knows. */
  readonly duplicate: boolean | null;
}

/** Its events are kept. */
export interface Accepted extends Told {
  readonly kind: "accepted";
  /** The aggregate's version after it. */
  readonly version: number;
  /** For a reader elsewhere that must see what this command did; this client hands it on by itself. */
  readonly token: string;
}

/** The business says no. For ever: the same command with the same id gets the same answer. */
export interface Rejected<R extends string = string> extends Told {
  readonly kind: "rejected";
  readonly reason: R;
  /** The one that the command met. */
  readonly version: number;
}

/** The aggregate has this version and not the one that `expectedVersion` asked for. */
export interface Conflict extends Told {
  readonly kind: "conflict";
  readonly version: number;
}

/**
 * It could not be processed: `COMMAND_ID_REUSED` where the id had been used for another command, `EXPIRED` where
 * the id is older than answers are remembered, or another code of the runbook.
 */
export interface Failed extends Told {
  readonly kind: "failed";
  readonly code: string;
}

/** It is kept and will be handled; there was no answer in time. `waitFor` goes on waiting. */
export interface Pending extends About {
  readonly kind: "pending";
  /** Where the answer can be asked for, from the root of the API. */
  readonly status: string;
}

export type Answer<R extends string = string> =
  Accepted | Rejected<R> | Conflict | Failed | Pending;

/**
 * The answer to a command that was just sent.
 * @throws ClientError for a refusal that is not the business's, and `BAD_ANSWER`
 */
export function readAnswer<R extends string>(answered: Answered, about: About): Answer<R> {
  const { status, body } = answered;
  const { outcome } = body;
  if (outcome === undefined) {
    throw status < 400
      ? badAnswer(answered, "outcome is missing")
      : problemOf(answered, about.commandId);
  }
  if (textIn(answered, "commandId") !== about.commandId) {
    throw badAnswer(answered, "it is about another command");
  }
  if (outcome === "pending") {
    const at = textIn(answered, "status");
    if (!at.startsWith("/commands/")) throw badAnswer(answered, "status leads elsewhere");
    return { kind: "pending", ...about, status: at };
  }
  const { duplicate } = body;
  if (typeof duplicate !== "boolean") throw badAnswer(answered, "duplicate is no boolean");
  return readOutcome(answered, { ...about, duplicate });
}

/**
 * The answer that a status tells; `null` while there is none.
 * @throws ClientError for a refusal, and `BAD_ANSWER`
 */
export function readStatus<R extends string>(answered: Answered, about: About): Answer<R> | null {
  if (answered.status !== 200) throw problemOf(answered, about.commandId);
  if (answered.body["outcome"] === "pending") return null;
  return readOutcome(answered, { ...about, duplicate: null });
}

function readOutcome<R extends string>(answered: Answered, told: Told): Answer<R> {
  const { outcome } = answered.body;
  switch (outcome) {
    case "accepted": {
      const version = versionIn(answered, "version");
      return { kind: "accepted", ...told, version, token: textIn(answered, "token") };
    }
    case "rejected": {
      // Which reasons there are is known to the caller's compiler alone.
      const reason = textIn(answered, "reason") as R;
      return { kind: "rejected", ...told, reason, version: versionIn(answered, "version") };
    }
    case "conflict":
      return { kind: "conflict", ...told, version: versionIn(answered, "version") };
    case "failed":
      return { kind: "failed", ...told, code: textIn(answered, "reason") };
    default:
      throw badAnswer(answered, `${JSON.stringify(outcome)} is no outcome`);
  }
}
