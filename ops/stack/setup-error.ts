/**
 * Something that the person at the keyboard can mend: the message says what is wrong and why, `next` what to
 * do about it. It is shown without a stack trace; every other error is a bug of ours and keeps its trace.
 */
export class SetupError extends Error {
  override readonly name = "SetupError";
  readonly next: string;
  /** Evidence to show below the message, for example the last lines of a log. */
  readonly evidence: readonly string[];

  constructor(
    message: string,
    options: { readonly next: string; readonly evidence?: readonly string[]; cause?: unknown },
  ) {
    super(message, { cause: options.cause });
    this.next = options.next;
    this.evidence = options.evidence ?? [];
  }
}

/** The error as a person reads it: what, the evidence, and what to do next. */
export function explain(error: unknown): string {
  if (!(error instanceof SetupError)) {
    return error instanceof Error ? (error.stack ?? error.message) : String(error);
  }
  const evidence = error.evidence.map((line) => `  | ${line}\n`).join("");
  return `${error.message}\n${evidence}${error.next}`;
}
