import { issueTimeOf } from "../../engine/message.ts";
import type { PartitionChecks } from "./answers.ts";
import type { Handling, SeenReply } from "./handling.ts";
import type { Known } from "./merge.ts";
import { headerOf } from "../../engine/log.ts";
import { headers } from "../../engine/message.ts";

/** A command's clock may be this far ahead of the broker's, in milliseconds. */
const toleratedLeadMs = 5 * 60 * 1000;

interface Expiry {
  readonly seen: SeenReply;
  readonly issuedAt: number | null;
}

/**
 * The refusals that come before the decider is asked, counted to the oracle: `CLOCK_AHEAD` where the issue time is
 * too far ahead and only there, `COMMAND_ID_REUSED` of an id that has an answer, `EXPIRED` of an id that may have been
 * forgotten.
 */
export class Refusals {
  private readonly checks: PartitionChecks;
  /** Refused as expired in the transaction under way: its last reply tells the horizon. */
  private expired: Expiry[] = [];

  constructor(checks: PartitionChecks) {
    this.checks = checks;
  }

  /** Before `checkAnswer` remembers the answer. */
  handling(handling: Handling, { isSettled, from }: Known): void {
    const { command, reply: seen } = handling;
    if (seen === null) return;
    if (command?.message != null && isSettled) {
      const { data } = command.message;
      const issuedAt = issueTimeOf(String(data["commandId"]), numberOrNull(data["issuedAt"]));
      this.checkClock(seen, issuedAt, command.record.timestamp);
      this.checkReuse(seen, from.replies > 0);
      if (isRefusal(seen, "EXPIRED")) this.expired.push({ seen, issuedAt });
    }
    const horizon = headerOf(seen.record, headers.horizon);
    const isLast = headerOf(seen.record, headers.oldestReply) !== null || horizon !== null;
    if (isLast) this.checkExpired(horizon === null ? -Infinity : Number(horizon));
  }

  private checkClock(seen: SeenReply, issuedAt: number | null, appendedAt: number): void {
    const { outcome, duplicate } = seen.reply;
    const isAhead = issuedAt !== null && issuedAt > appendedAt + toleratedLeadMs;
    const isRefused = isRefusal(seen, "CLOCK_AHEAD");
    if (isRefused) this.checks.findings.check("oracle");
    if (isRefused && !isAhead) {
      const expected = "an issue time more than five minutes ahead";
      this.report(seen, expected, `CLOCK_AHEAD for ${shownLead(issuedAt, appendedAt)}`);
    }
    if (isAhead && outcome !== "failed" && !duplicate) {
      this.report(seen, "failed: CLOCK_AHEAD", `${outcome}, ${shownLead(issuedAt, appendedAt)}`);
    }
  }

  private checkReuse(seen: SeenReply, mayBeUnknown: boolean): void {
    const { aggregateId, commandId } = seen.reply;
    if (!isRefusal(seen, "COMMAND_ID_REUSED")) return;
    this.checks.findings.check("oracle");
    const isKnown =
      aggregateId !== null &&
      commandId !== null &&
      this.checks.handled.get(aggregateId, commandId) !== null;
    if (isKnown || mayBeUnknown) return;
    this.report(seen, "a command id that has an answer already", "COMMAND_ID_REUSED for a new one");
  }

  private checkExpired(horizon: number): void {
    for (const { seen, issuedAt } of this.expired) {
      this.checks.findings.check("oracle");
      if (issuedAt !== null && issuedAt <= horizon) continue;
      const until = horizon === -Infinity ? "none" : new Date(horizon).toISOString();
      const found = issuedAt === null ? "one that nobody knows" : new Date(issuedAt).toISOString();
      this.report(seen, `an issue time up to the dedupe horizon, ${until}`, `EXPIRED for ${found}`);
    }
    this.expired = [];
  }

  private report({ record, reply }: SeenReply, expected: string, found: string): void {
    const { findings, at } = this.checks;
    const { aggregateId, commandId } = reply;
    const where = at.replies(record.offset);
    findings.add({ invariant: "oracle", at: where, aggregateId, commandId, expected, found });
  }
}

function isRefusal({ reply }: SeenReply, code: string): boolean {
  return reply.outcome === "failed" && reply.reason === code;
}

function numberOrNull(value: unknown): number | null {
  return typeof value === "number" ? value : null;
}

function shownLead(issuedAt: number | null, appendedAt: number): string {
  return issuedAt === null ? "none" : `one that is ${issuedAt - appendedAt} ms ahead`;
}
