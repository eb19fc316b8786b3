import {
  FatalError,
  messageOf,
  PoisonError,
  TransientError,
  WriterLostError,
} from "../../engine/errors.ts";

/** How a verb ends: an exit code that scripts can rely on, and for people what is wrong and what to do next. */

export const exitCode = {
  ok: 0,
  failed: 1,
  usage: 2,
  notFound: 3,
  conflict: 4,
  unavailable: 5,
  interrupted: 130,
} as const;

export type ExitCode = (typeof exitCode)[keyof typeof exitCode];

/** Something that the person at the keyboard can understand and mend: shown without a stack trace. */
export class CliError extends Error {
  override readonly name = "CliError";
  readonly code: ExitCode;
  /** What to do now, in a sentence or a command; `null` where the message says it. */
  readonly next: string | null;

  constructor(
    code: ExitCode,
    message: string,
    { next, cause }: { next?: string; cause?: unknown } = {},
  ) {
    super(message, { cause });
    this.code = code;
    this.next = next ?? null;
  }
}

export function wrongUsage(message: string, next?: string): CliError {
  return new CliError(exitCode.usage, message, next === undefined ? {} : { next });
}

/** Runs a verb's work as commander's action: the number it resolves to becomes the exit code. */
export function exitsWith<A extends unknown[]>(
  work: (...args: A) => Promise<ExitCode>,
): (...args: A) => Promise<void> {
  return async (...args) => {
    process.exitCode = await work(...args);
  };
}

const startHint = "Is everything up? npm run -s foldlog -- status   (npm start brings it up)";
const settingsHint =
  "npm start brings everything up on this machine and writes these settings to .foldlog/env, where they " +
  "are found. For a deployment of your own, set them in the environment.";

/** What a person reads of an error, and the exit code. A stack trace is shown of a fault of ours only. */
export function explained(error: unknown): { readonly text: string; readonly code: ExitCode } {
  if (error instanceof CliError) {
    return { text: withNext(error.message, error.next), code: error.code };
  }
  if (error instanceof FatalError) {
    return { text: `${error.code}: ${error.message}`, code: fatalCode(error) };
  }
  if (error instanceof PoisonError) {
    return { text: `${error.code}: ${error.message}`, code: exitCode.failed };
  }
  if (error instanceof TransientError || error instanceof WriterLostError || isOfKafka(error)) {
    return { text: withNext(messageOf(error), startHint), code: exitCode.unavailable };
  }
  // By its name: its module would cost every `--help` the time to load what it checks with.
  if (error instanceof Error && error.name === "ConfigError") {
    return { text: withNext(error.message, settingsHint), code: exitCode.usage };
  }
  const trace = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return {
    text: `Foldlog itself failed, which is a fault to report:\n${trace}`,
    code: exitCode.failed,
  };
}

function fatalCode({ code }: FatalError): ExitCode {
  switch (code) {
    case "TOPIC_MISSING":
    case "TOPIC_DRIFT":
    case "SCHEMA_DRIFT":
    case "PROJECTION_DRIFT":
    case "MIGRATION_CHANGED":
      return exitCode.conflict;
    case "OFFSETS_AHEAD":
    case "COMMANDS_LOST":
    case "LOG_TRUNCATED":
    case "OFFSET_OUT_OF_RANGE":
    case "VERSION_GAP":
    case "UNREADABLE_LOG":
    case "CORRUPT_BATCH":
    case "LOST_SEND":
    case "SCHEMA_UNREGISTERED":
    case "UNSUPPORTED_CLIENT":
    case "UNAUTHORIZED":
    case "PORT_UNAVAILABLE":
    case "BROKEN_INVARIANT":
      return exitCode.failed;
  }
}

/** What the Kafka client throws of itself is trouble on the way to a broker, or an answer in its words. */
function isOfKafka(error: unknown): boolean {
  return error instanceof Error && error.name.startsWith("KafkaJS");
}

function withNext(message: string, next: string | null): string {
  return next === null ? message : `${message}\n${next}`;
}
