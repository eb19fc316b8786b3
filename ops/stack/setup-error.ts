/**
 * Something that the person at the keyboard can mend: the message says what is wrong and why, `next` what to
 * do about it. It is shown without a stack trace; every other error is a bug of ours and keeps its trace.
 */
export class SetupError extends Error {
  override readonly name = "SetupError";
  readonly next: string;
  /** Evidence to show below the message, for example the last lines of a log. */
  readonly evidence: readonly string[];
  /** 2 where the command or its settings were wrong, 1 for all else. */
  readonly exitCode: 1 | 2;

  constructor(message: string, options: SetupErrorOptions) {
    super(message, { cause: options.cause });
    this.next = options.next;
    this.evidence = options.evidence ?? [];
    this.exitCode = options.exitCode ?? 1;
  }
}

export interface SetupErrorOptions {
  readonly next: string;
  readonly evidence?: readonly string[];
  readonly exitCode?: 1 | 2;
  readonly cause?: unknown;
}

export function exitCodeOf(error: unknown): 1 | 2 {
  return error instanceof SetupError ? error.exitCode : 1;
}

/** The error as a person reads it: what, the evidence, and what to do next. */
export function explain(error: unknown): string {
  if (!(error instanceof SetupError)) {
    return error instanceof Error ? (error.stack ?? error.message) : String(error);
  }
  const evidence = error.evidence.map((line) => `  | ${line}\n`).join("");
  return `${error.message}\n${evidence}${error.next}`;
}
