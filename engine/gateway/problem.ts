/** Problems over HTTP (RFC 9457): every refusal of the gateway is one, and says what to do about it. */

/** What is wrong with one part of a request. */
export interface FieldProblem {
  /** Where: `query limit`, `header Idempotency-Key`, `body amountCents`, `path id`. */
  readonly field: string;
  readonly message: string;
}

/** The kinds of problems: the last part of their `type`, which is the relative address `/problems/<code>`. */
export const problemTable = {
  INVALID_REQUEST: { status: 400, title: "The request is not what this address takes" },
  INVALID_TOKEN: { status: 400, title: "The token is not one of this deployment's" },
  INVALID_CURSOR: { status: 400, title: "The cursor is not one that this list has given" },
  COMMAND_FAILED: { status: 400, title: "The command can never be processed as it is" },
  NOT_FOUND: { status: 404, title: "There is nothing at this address" },
  METHOD_NOT_ALLOWED: { status: 405, title: "This address does not take this method" },
  REJECTED: { status: 409, title: "The business says no" },
  EXPIRED: { status: 409, title: "The command id is too old to tell whether it has run" },
  BEHIND: { status: 409, title: "The view has not come as far as the token yet" },
  AMBIGUOUS: { status: 409, title: "More than one command has this id" },
  VERSION_CONFLICT: { status: 412, title: "The aggregate has another version than expected" },
  TOO_LARGE: { status: 413, title: "The request is larger than a command can be" },
  URI_TOO_LONG: { status: 414, title: "The address is longer than any that means something" },
  UNSUPPORTED_MEDIA_TYPE: { status: 415, title: "A command is sent as application/json" },
  COMMAND_ID_REUSED: { status: 422, title: "The command id was used for another command" },
  TOO_MANY_IN_FLIGHT: { status: 429, title: "Too many commands wait for their answers" },
  INTERNAL: { status: 500, title: "A fault of this server" },
  NOT_READY: { status: 503, title: "This server cannot do that yet" },
  NOT_ACKNOWLEDGED: { status: 503, title: "Nobody can tell whether the command was taken" },
  VIEWS_UNAVAILABLE: { status: 503, title: "The views cannot be read now" },
} as const satisfies Record<string, { readonly status: number; readonly title: string }>;

export type ProblemCode = keyof typeof problemTable;

export interface ProblemDetails {
  /** What is wrong here, why, and what to do next. */
  readonly detail: string;
  readonly errors?: readonly FieldProblem[];
  /** Members of this kind of problem, beside the standard ones. */
  readonly more?: Readonly<Record<string, unknown>>;
  /** Seconds, for the header `Retry-After`. */
  readonly retryAfter?: number;
}

/** Thrown by a route, answered as `application/problem+json`. */
export class Problem extends Error {
  override readonly name = "Problem";
  readonly code: ProblemCode;
  readonly details: ProblemDetails;

  constructor(code: ProblemCode, details: ProblemDetails) {
    super(details.detail);
    this.code = code;
    this.details = details;
  }

  get status(): number {
    return problemTable[this.code].status;
  }

  /** The body of the answer. */
  body(): Readonly<Record<string, unknown>> {
    const { title, status } = problemTable[this.code];
    const { detail, errors, more } = this.details;
    const type = `/problems/${this.code.toLowerCase().replaceAll("_", "-")}`;
    return { type, title, status, code: this.code, detail, ...(errors && { errors }), ...more };
  }
}

/** One refusal for all that is wrong with a request. */
export function invalidRequest(errors: readonly [FieldProblem, ...FieldProblem[]]): Problem {
  const said = errors.map(({ field, message }) => `${field}: ${message}`).join("; ");
  return new Problem("INVALID_REQUEST", { detail: said, errors });
}
