import { windowLimits } from "../../engine/commands/answers.ts";
import type { Reply } from "../../engine/generated.ts";
import { headerOf } from "../../engine/log.ts";
import { headers, issueTimeOf } from "../../engine/message.ts";
import type { Findings } from "./findings.ts";
import { digestOf, type HandledCommand, type HandledCommands } from "./handled-commands.ts";
import type { Handling, SeenReply } from "./handling.ts";
import type { Known } from "./merge.ts";
import type { Versions } from "./versions.ts";

/** What the checks of one partition share. */
export interface PartitionChecks {
  readonly partition: number;
  /** Coordinates by topic: `at.replies(offset)`. */
  readonly at: Readonly<
    Record<"commands" | "events" | "replies" | "dlq", (offset: bigint | number) => string>
  >;
  readonly findings: Findings;
  readonly handled: HandledCommands;
  readonly versions: Versions;
}

/** `HandledCommand.answer` of a command that only events told of. */
const unanswered = 0;

/** A worker's clock may run ahead of a broker's by so much, in milliseconds. */
const clockToleranceMs = 10 * 60 * 1000;

/**
 * The dedupe window as the replies tell of it. An id with an issue time is protected for good: forgotten, it is
 * refused as expired. Another may run again once it is forgotten, and only then.
 */
export class Window {
  private oldestReply = -1;
  private horizon = -Infinity;

  /** After a reply was judged: what its transaction says of the window is true from the next one on. */
  follow({ record }: SeenReply): void {
    const oldest = headerOf(record, headers.oldestReply);
    if (oldest !== null) this.oldestReply = Number(oldest);
    const horizon = headerOf(record, headers.horizon);
    if (horizon !== null) this.horizon = Math.max(this.horizon, Number(horizon));
  }

  /** Whether an id of that issue time must be refused as expired. */
  hasForgotten(issuedAt: number | null): boolean {
    return issuedAt !== null && issuedAt <= this.horizon;
  }

  /** Whether a command id that was handled before may be handled again. */
  mayRunAgain(
    before: HandledCommand,
    now: { handling: Handling; issuedAt: number | null },
  ): boolean {
    if (now.issuedAt !== null && now.issuedAt === before.issuedAt) return false;
    const ageMs = timeOf(now.handling) - before.sentAt;
    if (ageMs > windowLimits.maxAgeMs - clockToleranceMs) return true;
    return before.replyOffset >= 0
      ? before.replyOffset < this.oldestReply
      : now.handling.commandOffset - before.commandOffset > windowLimits.maxCount;
  }
}

/** When it was handled, in milliseconds since the epoch, as near as the log tells. */
function timeOf({ reply, events }: Handling): number {
  return reply?.record.timestamp ?? events[0]?.record.timestamp ?? 0;
}

/** When it was sent, or where that has expired, when it was handled. */
export function sentAtOf(handling: Handling): number {
  return handling.command?.record.timestamp ?? timeOf(handling);
}

export function issueTimeIn(commandId: string, reply: Reply | null): number | null {
  return reply === null ? issueTimeOf(commandId, null) : reply.issuedAt;
}

/** I4: judges the reply of a handling, or that there is none. */
export function checkAnswer(
  checks: PartitionChecks,
  window: Window,
  handling: Handling,
  known: Known,
): void {
  const { command, reply: seen, commandOffset } = handling;
  checks.findings.check("I4");
  if (seen === null) {
    const isExpired = commandOffset < known.from.replies;
    if (command === null || !known.isSettled || isExpired) return;
    checks.findings.add({
      invariant: "I4",
      at: checks.at.commands(commandOffset),
      ...(command.message !== null && {
        aggregateId: String(command.record.key),
        commandId: String(command.message.data["commandId"]),
      }),
      expected: "a reply: the position says that it is consumed",
      found: "none",
    });
    return;
  }
  const report = (expected: string, found: string) => {
    const { aggregateId, commandId } = seen.reply;
    const at = checks.at.replies(seen.record.offset);
    checks.findings.add({ invariant: "I4", at, aggregateId, commandId, expected, found });
  };
  checkSubject(handling, known, report);
  checkKey(checks.partition, seen, report);
  checkVersion(checks, handling, known, report);
  if (seen.reply.outcome !== "failed") checkFinal(checks, window, { handling, known, report });
  else if (seen.reply.duplicate) report("failed never to be repeated as an answer", "a duplicate");
  window.follow(seen);
}

type Report = (expected: string, found: string) => void;

/** The reply must be about the record that it names. */
function checkSubject({ command, reply: seen }: Handling, known: Known, report: Report): void {
  const { reply } = seen as SeenReply;
  if (command === null) {
    const expected = `a command record at offset ${reply.commandOffset}`;
    if (reply.commandOffset >= known.from.commands) report(expected, "an answer to none");
    return;
  }
  const key = command.record.key?.toString("utf8") ?? null;
  const isFinal = reply.outcome !== "failed";
  if (reply.aggregateId !== key && (reply.aggregateId !== null || isFinal)) {
    report(`the command's aggregate ${shown(key)}`, shown(reply.aggregateId));
  }
  if (command.message === null) {
    if (isFinal) report("failed: the command's bytes cannot be read", reply.outcome);
    return;
  }
  const { type, data } = command.message;
  if (reply.commandId !== data["commandId"] && (reply.commandId !== null || isFinal)) {
    report(`the command id ${shown(data["commandId"])}`, shown(reply.commandId));
  }
  if (reply.commandType !== type && (reply.commandType !== null || isFinal)) {
    report(`the command type ${type}`, shown(reply.commandType));
  }
}

/** Under this key clients look for their answer. */
function checkKey(partition: number, { record, reply }: SeenReply, report: Report): void {
  const { commandId, commandOffset, reason, outcome } = reply;
  const isReused = outcome === "failed" && reason === "COMMAND_ID_REUSED";
  const expected =
    commandId === null
      ? `@${partition}/${commandOffset}`
      : isReused
        ? `${commandId}@${commandOffset}`
        : commandId;
  const key = record.key?.toString("utf8") ?? null;
  if (key !== expected) report(`the key ${shown(expected)}`, shown(key));
}

/** What the answer says of the aggregate's version must be what the events before it led to. */
function checkVersion(
  { versions }: PartitionChecks,
  { command, events, reply: seen }: Handling,
  { isSettled }: Known,
  report: Report,
): void {
  const { reply } = seen as SeenReply;
  const { aggregateId, outcome, version } = reply;
  if (reply.duplicate || outcome === "failed" || aggregateId === null) return;
  if (!isSettled || versions.isDisturbed(aggregateId)) return;
  const met =
    events[0]?.aggregateId === aggregateId ? events[0].version - 1 : versions.of(aggregateId);
  if (outcome !== "accepted" && version !== met) report(`version ${met}`, `version ${version}`);
  const wanted = command?.message?.data["expectedVersion"];
  const isMet = typeof wanted !== "number" || wanted === met;
  if (outcome === "conflict" && command?.message && isMet) {
    report(`no conflict: the version was ${met}, and ${shown(wanted)} was expected`, "conflict");
  }
  if (outcome !== "conflict" && !isMet) {
    report(`a conflict: the version was ${met}, and ${wanted} was expected`, outcome);
  }
}

interface Final {
  readonly handling: Handling;
  readonly known: Known;
  readonly report: Report;
}

/** One final answer an id, whatever it is and however often it is asked for. */
function checkFinal(checks: PartitionChecks, window: Window, final: Final): void {
  const { handling, report } = final;
  const { reply } = handling.reply as SeenReply;
  const { aggregateId, commandId, commandOffset, firstOffset, issuedAt } = reply;
  if (aggregateId === null || commandId === null) {
    report("the aggregate and command id that it answers", "an answer to nobody");
    return;
  }
  const before = checks.handled.get(aggregateId, commandId);
  if (reply.duplicate) {
    checkRepeated(checks, before, final);
    return;
  }
  if (firstOffset !== commandOffset) {
    report(`${commandOffset} as its first handling, being no duplicate`, String(firstOffset));
  }
  if (window.hasForgotten(issuedAt)) {
    report("failed: EXPIRED, being issued before the dedupe horizon", reply.outcome);
  }
  const isOther =
    before !== null && (before.answer !== unanswered || before.commandOffset !== commandOffset);
  if (isOther && !window.mayRunAgain(before, { handling, issuedAt })) {
    report(firstAnswer(checks, before), shownAnswer(reply));
  } else remember(checks, before, handling);
}

function checkRepeated(
  checks: PartitionChecks,
  before: HandledCommand | null,
  { handling, known, report }: Final,
): void {
  const { reply } = handling.reply as SeenReply;
  const { firstOffset, commandOffset, outcome, version } = reply;
  if (firstOffset >= commandOffset) {
    report(`a first handling before ${commandOffset}`, `one at ${firstOffset}`);
  }
  if (before !== null && before.answer !== unanswered) {
    if (before.answer !== digestOf(answerIn(reply))) {
      report(firstAnswer(checks, before), shownAnswer(reply));
    }
    return;
  }
  if (firstOffset >= known.from.replies) {
    report(`a first answer to the command at offset ${firstOffset}`, "a repetition of none");
    return;
  }
  if (before !== null && outcome === "accepted" && before.version !== version) {
    report(`version ${before.version}, as its events have it`, `version ${version}`);
  }
  remember(checks, before, handling);
}

function remember(
  { handled }: PartitionChecks,
  before: HandledCommand | null,
  handling: Handling,
): void {
  const { record, reply } = handling.reply as SeenReply;
  const { aggregateId, commandId, firstOffset, issuedAt } = reply;
  if (aggregateId === null || commandId === null) return;
  const isSame = before?.commandOffset === firstOffset;
  handled.set(aggregateId, commandId, {
    commandOffset: firstOffset,
    replyOffset: Number(record.offset),
    sentAt: isSame ? Math.min(before.sentAt, sentAtOf(handling)) : sentAtOf(handling),
    issuedAt: issuedAt ?? NaN,
    version: isSame ? before.version : -1,
    answer: digestOf(answerIn(reply)),
  });
}

/** What two answers to one command must have in common. */
function answerIn({ outcome, version, reason, firstOffset, payloadHash }: Reply): unknown[] {
  return [outcome, version, reason, firstOffset, payloadHash?.toString("hex") ?? null];
}

function firstAnswer({ at }: PartitionChecks, before: HandledCommand): string {
  return `the answer that the id got at ${at.replies(before.replyOffset)}`;
}

function shownAnswer({ outcome, version, reason, firstOffset }: Reply): string {
  const why = reason === null ? "" : `: ${reason}`;
  return `${outcome}${why}, version ${version}, handled first at ${firstOffset}`;
}

function shown(value: unknown): string {
  return value === undefined ? "none" : JSON.stringify(value);
}
