import { isUtf8 } from "node:buffer";
import { deadLetterHeaders } from "../../engine/commands/dead-letter.ts";
import type { FailureCode, PoisonCode } from "../../engine/errors.ts";
import type { Headers } from "../../engine/log.ts";
import { isValidId, partitionOf } from "../../engine/message.ts";
import type { PartitionChecks } from "./answers.ts";
import type { AuditRecord } from "./audited-log.ts";
import { type Handling, type SeenCommand, shownBytes } from "./handling.ts";
import type { Known } from "./merge.ts";

/** A record with one of these was well formed: it is answered, and not kept as a dead letter. */
const withoutDeadLetter: ReadonlySet<string> = new Set<FailureCode>([
  "EXPIRED",
  "CLOCK_AHEAD",
  "COMMAND_ID_REUSED",
  "TOO_LARGE",
]);

/** What can be told of a record for ever, whatever schemas come and go. */
const lastingFaults: ReadonlySet<string> = new Set<PoisonCode>([
  "NULL_KEY",
  "INVALID_AGGREGATE_ID",
  "BAD_WIRE_FORMAT",
  "WRONG_PARTITION",
]);

/** I10: each poisonous record has one failed reply and one dead letter, which agree and keep its bytes. */
export function checkDeadLetter(
  checks: PartitionChecks,
  partitions: number,
  handling: Handling,
  known: Known,
): void {
  const { command, reply: seen, deadLetter, commandOffset } = handling;
  const { isSettled, from } = known;
  const where = deadLetter
    ? checks.at.dlq(deadLetter.record.offset)
    : checks.at.commands(commandOffset);
  const report = (expected: string, found: string) => {
    const { aggregateId = null, commandId = null } = seen?.reply ?? {};
    const violation = { at: where, aggregateId, commandId, expected, found };
    checks.findings.add({ invariant: "I10", ...violation });
  };
  const failure = seen?.reply.outcome === "failed" ? seen.reply.reason : null;
  if (deadLetter !== null || failure !== null) checks.findings.check("I10");

  if (seen !== null && command !== null) {
    const fault = lastingFaultOf(command, checks.partition, partitions);
    const isUnread = failure === "WRONG_PARTITION" && command.message === null;
    const isKnown = failure !== null && lastingFaults.has(failure) && !isUnread;
    if (fault !== null && failure === null) {
      report(`failed, ${fault}: no worker can process it`, seen.reply.outcome);
    } else if (isKnown && fault === null)
      report("a record that is processed", `failed: ${failure}`);
  }
  if (deadLetter === null) {
    const isDue = failure !== null && !withoutDeadLetter.has(failure);
    if (isDue && isSettled && commandOffset >= from.deadLetters) {
      report(`a dead letter, the reply being failed: ${failure}`, "none");
    }
    return;
  }
  if (seen === null) {
    const isExpired = commandOffset < from.replies;
    if (isSettled && !isExpired) report("the failed reply that was written with it", "none");
  } else if (failure === null || withoutDeadLetter.has(failure)) {
    const found = failure === null ? seen.reply.outcome : `failed: ${failure}`;
    report("a failed reply with its code", found);
  } else if (failure !== deadLetter.code) {
    report(`the code of its reply, ${failure}`, deadLetter.code);
  }
  if (command !== null) checkBytes(command.record, deadLetter.record, report);
  else if (commandOffset >= from.commands) {
    report(`a command record at offset ${commandOffset}`, "a dead letter of none");
  }
}

function checkBytes(
  original: AuditRecord,
  kept: AuditRecord,
  report: (expected: string, found: string) => void,
): void {
  for (const field of ["key", "value"] as const) {
    if (isSame(original[field], kept[field])) continue;
    report(`its ${field} untouched: ${shownBytes(original[field])}`, shownBytes(kept[field]));
  }
  const [sent, left] = [senders(original.headers), senders(kept.headers)];
  const isKept =
    sent.length === left.length &&
    sent.every(([name, value], i) => name === left[i]?.[0] && isSame(value, left[i][1]));
  if (!isKept) report(`its headers untouched: ${shownHeaders(sent)}`, shownHeaders(left));
}

/** The headers without those that a dead letter adds. */
function senders(headers: Headers): Headers {
  const added = new Set<string>(Object.values(deadLetterHeaders));
  return headers.filter(([name]) => !added.has(name));
}

function shownHeaders(headers: Headers): string {
  return `{${headers.map(([name, value]) => `${name}: ${shownBytes(value)}`).join(", ")}}`;
}

function isSame(a: Buffer | null, b: Buffer | null): boolean {
  return a === null || b === null ? a === b : a.equals(b);
}

function lastingFaultOf(
  { record, message }: SeenCommand,
  partition: number,
  partitions: number,
): PoisonCode | null {
  const { key, value } = record;
  if (key === null) return "NULL_KEY";
  const id = isUtf8(key) ? key.toString("utf8") : "";
  if (!isValidId(id)) return "INVALID_AGGREGATE_ID";
  if (value === null || value.length < 5 || value[0] !== 0) return "BAD_WIRE_FORMAT";
  // Whatever else may be wrong with it is found before the partition is looked at.
  const isReadable = message !== null && message.data["commandId"] !== undefined;
  return isReadable && partitionOf(id, partitions) !== partition ? "WRONG_PARTITION" : null;
}
