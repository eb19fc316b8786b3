import { type Finding, findingOf, unknown } from "./doctor-finding.ts";
import { type ExitCode, exitCode } from "./outcome.ts";

/** Checks side by side, each with a deadline: who is away holds up nobody else. */

export interface Check {
  readonly id: string;
  readonly find: () => Promise<readonly Finding[]>;
}

export interface Run {
  /** In the order of the checks. */
  readonly findings: readonly Finding[];
  /** Whether a check was given up while it still waited for somebody. */
  readonly isLeftWaiting: boolean;
}

const late =
  "is it up, and is the network between? npm run -s foldlog -- status asks with more patience";

/** Runs all of them; `onDone` is told the checks that still go on, each time that one has ended. */
export async function runChecks(
  checks: readonly Check[],
  deadlineMs: number,
  onDone: (left: readonly string[]) => void,
): Promise<Run> {
  const left = new Set(checks.map(({ id }) => id));
  let isLeftWaiting = false;
  const findings = await Promise.all(
    checks.map(async (check) => {
      const found = await withinDeadline(check, deadlineMs);
      isLeftWaiting ||= found === null;
      left.delete(check.id);
      onDone([...left]);
      return found ?? [unknown(check.id, `no answer within ${deadlineMs / 1000} s`, late)];
    }),
  );
  return { findings: findings.flat(), isLeftWaiting };
}

async function withinDeadline(
  { id, find }: Check,
  deadlineMs: number,
): Promise<readonly Finding[] | null> {
  let timer: NodeJS.Timeout | undefined;
  const deadline = new Promise<null>((resolve) => {
    timer = setTimeout(() => {
      resolve(null);
    }, deadlineMs);
  });
  try {
    return await Promise.race([find(), deadline]);
  } catch (error) {
    return [findingOf(id, error)];
  } finally {
    clearTimeout(timer);
  }
}

/** Settings before all else, since nothing can be told without them; then who is away; then what is wrong. */
export function codeOf(findings: readonly Finding[]): ExitCode {
  const some = (status: Finding["status"], id = "") =>
    findings.some((it) => it.status === status && it.id.startsWith(id));
  if (some("wrong", "settings")) return exitCode.usage;
  if (some("unknown")) return exitCode.unavailable;
  return some("wrong") ? exitCode.failed : exitCode.ok;
}
