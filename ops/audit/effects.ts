import { issueTimeIn, type PartitionChecks, sentAtOf, type Window } from "./answers.ts";
import type { Invariant } from "./findings.ts";
import type { Handling, SeenEvent } from "./handling.ts";
import type { Known } from "./merge.ts";

/**
 * I1, I2 (no command is handled twice), I5 and I6: the events of a handling against its reply, its command and
 * the transaction that wrote them. To be called before `checkAnswer`.
 */
export function checkEffects(
  checks: PartitionChecks,
  window: Window,
  handling: Handling,
  known: Known,
): void {
  const { events, reply: seen, commandOffset } = handling;
  const { isSettled, from } = known;
  const [first] = events;
  checkWriters(checks, handling);
  checks.findings.check("I2", events.length);
  if (first !== undefined) {
    checkCause(checks, first, handling);
    checkHandledOnce(checks, window, first, handling);
  }
  if (seen === null) {
    if (first === undefined || !isSettled || commandOffset < from.replies) return;
    report(checks, "I5", first, "the reply that was written with it", "an event without one");
    return;
  }
  const { outcome, duplicate } = seen.reply;
  if (outcome === "accepted" && !duplicate) {
    if (isSettled) checkAccepted(checks, handling);
    return;
  }
  if (outcome !== "accepted") checks.findings.check("I6");
  for (const event of events) {
    if (outcome === "accepted") report(checks, "I2", event, "no effect of a duplicate", "an event");
    else report(checks, "I6", event, `no event: the answer is ${outcome}`, "an event");
  }
}

/** What a handling writes, one transaction writes. */
function checkWriters({ at, findings }: PartitionChecks, handling: Handling): void {
  const { events, reply, deadLetter } = handling;
  const written = [
    ...(reply ? [{ record: reply.record, where: at.replies(reply.record.offset) }] : []),
    ...events.map(({ record }) => ({ record, where: at.events(record.offset) })),
    ...(deadLetter ? [{ record: deadLetter.record, where: at.dlq(deadLetter.record.offset) }] : []),
  ];
  findings.check("I5", written.length);
  const expectedWriter =
    written.find(({ record }) => record.writer !== null)?.record.writer ?? null;
  for (const { record, where } of written) {
    if (record.writer !== null && record.writer === expectedWriter) continue;
    const expected = `written in one transaction${expectedWriter === null ? "" : `, by ${expectedWriter}`}`;
    const found = record.writer === null ? "written outside any" : `written by ${record.writer}`;
    const { aggregateId = null, commandId = null } = reply?.reply ?? events[0] ?? {};
    findings.add({ invariant: "I5", at: where, aggregateId, commandId, expected, found });
  }
}

/** The events of a handling have one cause, and it is the command at its offset. */
function checkCause(checks: PartitionChecks, first: SeenEvent, handling: Handling): void {
  const { command, events } = handling;
  for (const event of events) {
    if (event.aggregateId === first.aggregateId && event.commandId === first.commandId) continue;
    const { aggregateId, commandId } = first;
    const expected = `the events of a command on one aggregate (${aggregateId}), by one id (${commandId})`;
    report(checks, "I1", event, expected, `${event.aggregateId}, by ${event.commandId}`);
  }
  if (command?.message == null) return;
  const cause = {
    id: command.message.data["commandId"],
    key: command.record.key?.toString("utf8"),
  };
  if (first.commandId === cause.id && first.aggregateId === cause.key) return;
  const expected = `caused by the command at offset ${command.commandOffset}: ${String(cause.id)} for ${cause.key}`;
  report(checks, "I1", first, expected, `${first.commandId} for ${first.aggregateId}`);
}

function checkHandledOnce(
  checks: PartitionChecks,
  window: Window,
  first: SeenEvent,
  handling: Handling,
): void {
  const { handled, at } = checks;
  const { aggregateId, commandId } = first;
  if (commandId === null) {
    report(checks, "I1", first, "the id of the command that caused it", "none");
    return;
  }
  const before = handled.get(aggregateId, commandId);
  const issuedAt = issueTimeIn(commandId, handling.reply?.reply ?? null);
  if (before !== null && !window.mayRunAgain(before, { handling, issuedAt })) {
    const [invariant, effect] =
      before.version < 0
        ? (["I6", "no event"] as const)
        : (["I2", "events of one handling"] as const);
    const where = at.commands(before.commandOffset);
    report(checks, invariant, first, `${effect}: the id was handled at ${where}`, "an event");
    return;
  }
  handled.set(aggregateId, commandId, {
    commandOffset: handling.commandOffset,
    replyOffset: -1,
    sentAt: sentAtOf(handling),
    issuedAt: issuedAt ?? NaN,
    version: handling.events.at(-1)?.version ?? first.version,
    answer: 0,
  });
}

/** I1: the events are there, and end at the version that the reply says. */
function checkAccepted(checks: PartitionChecks, { events, reply: seen }: Handling): void {
  if (seen === null) return;
  const { at, findings } = checks;
  findings.check("I1");
  const { aggregateId, commandId, version } = seen.reply;
  const [first] = events;
  const said = `events of ${aggregateId} by ${commandId} up to version ${version}`;
  if (first === undefined) {
    const where = at.replies(seen.record.offset);
    const found = "none";
    findings.add({ invariant: "I1", at: where, aggregateId, commandId, expected: said, found });
    return;
  }
  const isGapless = events.every((event, i) => event.version === first.version + i);
  const isTheirs = first.aggregateId === aggregateId && first.commandId === commandId;
  if (isGapless && isTheirs && events.at(-1)?.version === version) return;
  const versions = events.map((event) => event.version).join(", ");
  report(checks, "I1", first, said, `of ${first.aggregateId} by ${first.commandId}: ${versions}`);
}

function report(
  { at, findings }: PartitionChecks,
  invariant: Invariant,
  { record, aggregateId, commandId }: SeenEvent,
  expected: string,
  found: string,
): void {
  const where = at.events(record.offset);
  findings.add({ invariant, at: where, aggregateId, commandId, expected, found });
}
