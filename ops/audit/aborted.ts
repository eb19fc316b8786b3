import type { PartitionChecks } from "./answers.ts";
import type { AuditRecord } from "./audited-log.ts";
import type { AbortedRecord, Handling } from "./handling.ts";

/**
 * I15: what one transaction wrote about a command is committed as a whole or not at all. Another transaction may do
 * the same work again, and does, but as another writer: an epoch ends with a transaction that was not committed.
 * And a command that was never committed is never handled.
 */
export class AbortedRecords {
  private readonly checks: PartitionChecks;
  private readonly byCommand = new Map<number, AbortedRecord[]>();

  constructor(checks: PartitionChecks) {
    this.checks = checks;
  }

  /** Before the handling of its command is visited. */
  take(aborted: AbortedRecord): void {
    this.checks.findings.check("I15");
    const known = this.byCommand.get(aborted.commandOffset);
    if (known === undefined) this.byCommand.set(aborted.commandOffset, [aborted]);
    else known.push(aborted);
  }

  handling(handling: Handling): void {
    const aborted = this.byCommand.get(handling.commandOffset);
    if (aborted === undefined) return;
    this.byCommand.delete(handling.commandOffset);
    const { reply, events, deadLetter } = handling;
    const { aggregateId = null, commandId = null } = reply?.reply ?? events[0] ?? {};
    for (const { record, at } of this.committedBy(reply, events, deadLetter)) {
      const torn = aborted.find(({ writer, isCommand }) => {
        return isCommand || (writer !== null && writer === record.writer);
      });
      if (torn === undefined) continue;
      const expected = torn.isCommand
        ? `nothing about ${torn.at}, a command that was aborted`
        : `nothing of ${torn.writer}, whose transaction was aborted with ${torn.at}`;
      const found = "a record of it that is committed";
      this.checks.findings.add({ invariant: "I15", at, aggregateId, commandId, expected, found });
    }
  }

  private committedBy(
    reply: Handling["reply"],
    events: Handling["events"],
    deadLetter: Handling["deadLetter"],
  ): readonly { readonly record: AuditRecord; readonly at: string }[] {
    const { at } = this.checks;
    return [
      ...events.map(({ record }) => ({ record, at: at.events(record.offset) })),
      ...(reply ? [{ record: reply.record, at: at.replies(reply.record.offset) }] : []),
      ...(deadLetter ? [{ record: deadLetter.record, at: at.dlq(deadLetter.record.offset) }] : []),
    ];
  }
}
