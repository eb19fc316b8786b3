/** What is wrong with one part of a request, as the gateway says it. */
export interface FieldFault {
  /** Where: `body amountCents`, `query limit`, `path id`. */
  readonly field: string;
  readonly message: string;
}

export interface ClientErrorFacts {
  readonly code: string;
  readonly status?: number | null;
  readonly commandId?: string | null;
  readonly errors?: readonly FieldFault[];
  readonly cause?: unknown;
}

/**
 * What went wrong between a client and the application. What the business answers is never one of these.
 *
 * `code` is the gateway's problem code, for example `INVALID_REQUEST`, `BEHIND` or `NOT_READY`, or one of:
 * - `NO_ANSWER`: nobody answered in time. A command may have been done: the same one with the same
 *   `commandId` gets its answer.
 * - `BAD_ANSWER`: what came back is not what the contract says; perhaps this is not a gateway.
 * - `BAD_CALL`: a value that cannot be sent, a number that is none. Nothing was sent.
 */
export class ClientError extends Error {
  override readonly name = "ClientError";
  readonly code: string;
  /** Of the last HTTP answer; `null` where there was none. */
  readonly status: number | null;
  /** Of the command that it is about; `null` for a read. */
  readonly commandId: string | null;
  /** All that is wrong with the request, where `code` is `INVALID_REQUEST`. */
  readonly errors: readonly FieldFault[];

  constructor(message: string, facts: ClientErrorFacts) {
    super(message, "cause" in facts ? { cause: facts.cause } : {});
    this.code = facts.code;
    this.status = facts.status ?? null;
    this.commandId = facts.commandId ?? null;
    this.errors = facts.errors ?? [];
  }
}
