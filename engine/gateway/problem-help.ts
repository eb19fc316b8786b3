import type { ProblemCode } from "./problem.ts";

/** What a kind of problem means and what to do about it: for the pages of problems and the OpenAPI document. */
export interface ProblemHelp {
  /** Why a request is answered so. */
  readonly why: string;
  /** Steps, the likeliest first. */
  readonly next: readonly string[];
}

const sameId =
  "Send the same command again with the same command id: it is done once, however often it is sent.";
const readDetail =
  "Read `errors`: each entry names a part of the request and what is wrong with it.";

export const problemHelp: Readonly<Record<ProblemCode, ProblemHelp>> = {
  INVALID_REQUEST: {
    why: "A parameter, a header or the body is not what the address takes. Nothing was sent or read.",
    next: [
      readDetail,
      "Mend all of them and send it again; all faults are reported at once.",
      "The address /openapi.json says for each route what it takes.",
    ],
  },
  INVALID_TOKEN: {
    why:
      "The token is cut off, changed, or of another deployment, or the log has been moved to another cluster " +
      "since it was given. Nothing was read.",
    next: [
      "Send the `token` of the answer just as it was given.",
      "Without a token the view is read as it is now.",
    ],
  },
  INVALID_CURSOR: {
    why: "The cursor is cut off, changed, or of a list with another sort order or other filters.",
    next: [
      "Send `next` of the last page as `after`, with the same filters and the same `sort`.",
      "Without `after` the list begins at its first page.",
    ],
  },
  COMMAND_FAILED: {
    why:
      "The command got neither a yes nor a no: no worker can process it as it is. `reason` is the code of the " +
      "failure. It changed nothing. Unless that is CLOCK_AHEAD or TOO_LARGE, it is kept with the dead letters.",
    next: [
      "Mend what `reason` names and send it again; after a failure the same command id may be used.",
      "Whoever runs this service finds the code in the runbook, and the record by `foldlog dlq list`.",
    ],
  },
  NOT_FOUND: {
    why: "No route, command, view, row or aggregate has this address, or none had at the asked time.",
    next: [
      "Compare the address with those in /openapi.json; GET /views lists the views and their columns.",
      "A row that was written a moment ago: ask with the `token` of the accepted command.",
    ],
  },
  METHOD_NOT_ALLOWED: {
    why: "The address exists and takes another method.",
    next: ["Use one of the methods in the header `Allow`."],
  },
  REJECTED: {
    why:
      "The command was understood, and the rules of the business forbid it in the state that the aggregate had. " +
      "Nothing changed. The answer is final: the same command id gets it for ever.",
    next: [
      "Read `reason`, and change what it names, for example the amount.",
      "Send the changed command under a new command id.",
    ],
  },
  EXPIRED: {
    why:
      "The command id was issued longer ago than answers are remembered, so nobody can tell from it whether the " +
      "command has run already. It was not run now.",
    next: [
      "Read the aggregate and its events: did the command have its effect?",
      "If it did not, send it under a new command id.",
    ],
  },
  BEHIND: {
    why:
      "The view has not come as far as the token within `waitMs`. The command itself is safe: a view follows the " +
      "log, a little later.",
    next: [
      "Ask again with the same token, or with a longer `waitMs`.",
      "Without the token the view is read as it is now.",
      "Where it lasts, the view's projector is behind or stopped: whoever runs this service sees it by `foldlog status`.",
    ],
  },
  AMBIGUOUS: {
    why: "A command id belongs to its aggregate, and more than one aggregate has had a command of this id.",
    next: ["Name the one that is meant by `aggregate` and `aggregateId`; `aggregates` lists them."],
  },
  VERSION_CONFLICT: {
    why:
      "`expectedVersion` is not the version that the aggregate has: somebody else was faster. Nothing changed. " +
      "The answer is final: the same command id gets it for ever.",
    next: [
      "Read the aggregate again; `version` is the one that it had.",
      "Decide anew, and send that under a new command id.",
    ],
  },
  TOO_LARGE: {
    why: "The body, or the record made of it, is larger than the log takes. Nothing was sent.",
    next: [
      "Send less in one command: keep large contents elsewhere, and name them in the command.",
    ],
  },
  URI_TOO_LONG: {
    why: "The address is longer than any that means something here. Nothing was sent or read.",
    next: ["Shorten the values in it; an id has at most 255 bytes."],
  },
  UNSUPPORTED_MEDIA_TYPE: {
    why: "The body is not said to be JSON. Nothing was sent.",
    next: ["Send JSON in UTF-8, with the header `Content-Type: application/json`."],
  },
  COMMAND_ID_REUSED: {
    why: "The command id has been used for a command with other fields. This one was not run.",
    next: [
      "A new intent takes a new command id.",
      "To ask for the answer of the first command, use GET /commands/{id}.",
    ],
  },
  TOO_MANY_IN_FLIGHT: {
    why: "So many commands wait for their answers here that one more would only wait longer. Nothing was sent.",
    next: ["Wait as long as `Retry-After` says.", sameId],
  },
  INTERNAL: {
    why: "The server met a fault of its own, which is in its log.",
    next: [sameId, "Where it lasts, tell whoever runs this service when it was."],
  },
  NOT_READY: {
    why:
      "The server has just started, or waits for the log, and cannot do this yet. Nothing was sent. The address " +
      "/readyz says what it waits for.",
    next: ["Wait as long as `Retry-After` says, then send the same again."],
  },
  NOT_ACKNOWLEDGED: {
    why:
      "The log has not said in time whether it took the command, or takes none now. The command may run, or may " +
      "never have arrived.",
    next: [
      `Wait as long as \`Retry-After\` says. ${sameId}`,
      "`detail` says where it was surely not sent.",
    ],
  },
  VIEWS_UNAVAILABLE: {
    why:
      "The database with the views does not answer, does so too slowly, or has not been prepared. Commands are " +
      "taken all the same; nothing is lost, and the views catch up by themselves.",
    next: [
      "Wait as long as `Retry-After` says, then ask again.",
      "Where the query took too long, narrow it by filters.",
    ],
  },
};
