import type { Codec } from "../../engine/codec.ts";
import type { Decision, Message } from "../../engine/decider.ts";
import { messageOf, PoisonError } from "../../engine/errors.ts";
import { type AggregateTopics, maxRecordBytes } from "../../engine/topic.ts";
import type { CommandWorker } from "../../engine/worker.ts";
import type { PartitionChecks } from "./answers.ts";
import type { Handling, SeenCommand, SeenEvent } from "./handling.ts";
import type { Known } from "./merge.ts";
import { isSameValue, shownValue } from "./same-value.ts";

export type AnyDecider = CommandWorker["decider"];

export interface OracleOptions {
  readonly topics: AggregateTopics;
  readonly codec: Codec;
  readonly decider: AnyDecider;
  /** Milliseconds since the epoch: what was decided before is not asked, for the rules were others. */
  readonly decidedSince: number;
}

/** What the decider says of a command. */
type Verdict =
  | Decision<Message, string>
  | { readonly kind: "conflict"; readonly version: number }
  | { readonly kind: "failed"; readonly code: string };

/**
 * Decides every command of a partition again, each on the fold of the events that the log has before it, and holds
 * what is recorded against it: a worker that decided on another state (a zombie's, a stale one, one with a hole)
 * is found out, whatever else fits. Poison, duplicates and refusals that come before the decider are for other
 * checks. The state of every aggregate of the partition is kept in memory.
 */
export class Oracle {
  private readonly options: OracleOptions;
  private readonly checks: PartitionChecks;
  private readonly states = new Map<string, object>();
  /** Aggregates with an event that cannot be folded. */
  private readonly unfolded = new Set<string>();

  constructor(options: OracleOptions, checks: PartitionChecks) {
    this.options = options;
    this.checks = checks;
  }

  /** Before its events are folded. */
  handling(handling: Handling, { isSettled }: Known): void {
    const { command, events, reply: seen } = handling;
    if (command?.message == null || !isSettled || !this.wasDecided(handling)) return;
    const handledAt = (seen ?? events[0])?.record.timestamp ?? 0;
    if (handledAt < this.options.decidedSince) return;
    const aggregateId = String(command.record.key);
    if (this.unfolded.has(aggregateId) || this.checks.versions.isDisturbed(aggregateId)) return;

    const { findings, at } = this.checks;
    findings.check("oracle");
    const verdict = this.verdictOn(command, aggregateId, seen?.reply.outcome === "failed");
    if (this.isAsRecorded(verdict, handling)) return;
    findings.add({
      invariant: "oracle",
      at: seen === null ? at.events(events[0]?.record.offset ?? 0) : at.replies(seen.record.offset),
      aggregateId,
      commandId: String(command.message.data["commandId"]),
      expected: shownVerdict(verdict),
      found: shownRecord(handling),
    });
  }

  /** In the order of the log. */
  event({ record, aggregateId, commandId, type, data }: SeenEvent): void {
    if (this.unfolded.has(aggregateId)) return;
    const { decider } = this.options;
    const before = this.states.get(aggregateId) ?? decider.initialState;
    try {
      this.states.set(aggregateId, decider.evolve(before, { type, data }));
    } catch (error) {
      this.unfolded.add(aggregateId);
      this.checks.findings.add({
        invariant: "oracle",
        at: this.checks.at.events(record.offset),
        ...{ aggregateId, commandId },
        expected: "an event that can be folded",
        found: `${type}, at which evolve throws: ${messageOf(error)}`,
      });
    }
  }

  /** Whether it came as far as the decider, or was measured against the version that was expected. */
  private wasDecided({ events, reply: seen }: Handling): boolean {
    if (seen === null) return events.length > 0;
    const { outcome, duplicate, reason } = seen.reply;
    return outcome === "failed" ? decidersFailures.has(reason ?? "") : !duplicate;
  }

  private verdictOn({ message }: SeenCommand, aggregateId: string, hasFailed: boolean): Verdict {
    const { type, data } = message as NonNullable<SeenCommand["message"]>;
    const version = this.checks.versions.of(aggregateId);
    const wanted = data["expectedVersion"];
    if (typeof wanted === "number" && wanted !== version) return { kind: "conflict", version };
    const { decider } = this.options;
    const state = this.states.get(aggregateId) ?? decider.initialState;
    try {
      const decision = decider.decide({ type, data }, state);
      // What was recorded did fit.
      return decision.kind === "accepted" && hasFailed ? this.fitted(decision, state) : decision;
    } catch (error) {
      const code = error instanceof PoisonError ? error.code : "DECIDER_THREW";
      return { kind: "failed", code };
    }
  }

  /** The events as the log would hold them, or why it cannot. */
  private fitted(
    { events }: Extract<Decision<Message, string>, { kind: "accepted" }>,
    before: object,
  ): Verdict {
    const { decider, topics, codec } = this.options;
    const state = events.reduce((it, event) => decider.evolve(it, event), before);
    const [stateType] = topics.snapshots.records;
    const sizes = [
      ...events.map(({ type, data }) => codec.encode(topics.events, type, data).length),
      codec.encode(topics.snapshots, stateType?.name ?? "", state).length,
    ];
    const isTooLarge = sizes.some((size) => size > maxRecordBytes - overheadBytes);
    return isTooLarge ? { kind: "failed", code: "TOO_LARGE" } : { kind: "accepted", events };
  }

  private isAsRecorded(verdict: Verdict, { events, reply: seen }: Handling): boolean {
    const reply = seen?.reply;
    switch (verdict.kind) {
      case "accepted": {
        const isAccepted = reply === undefined || reply.outcome === "accepted";
        const isComplete = events.length === verdict.events.length;
        return (
          isAccepted && isComplete && verdict.events.every((it, i) => this.isSame(it, events[i]))
        );
      }
      case "rejected":
        return reply?.outcome === "rejected" && reply.reason === verdict.reason;
      case "conflict":
        return reply?.outcome === "conflict" && reply.version === verdict.version;
      case "failed":
        return reply?.outcome === "failed" && reply.reason === verdict.code;
    }
  }

  /** As values that were written and read again: a field that is left out has its default then. */
  private isSame(decided: Message, recorded: SeenEvent | undefined): boolean {
    if (decided.type !== recorded?.type) return false;
    if (isSameValue(decided.data, recorded.data)) return true;
    const { topics, codec } = this.options;
    const bytes = codec.encode(topics.events, decided.type, decided.data);
    return isSameValue(codec.decode(topics.events, Buffer.from(bytes)).data, recorded.data);
  }
}

/** A record's room for key, headers and framing beside its value, in bytes. */
const overheadBytes = 8_192;

/** With these the decider was asked, and its answer could not be kept. */
const decidersFailures: ReadonlySet<string> = new Set([
  "DECIDER_THREW",
  "INVALID_EVENT",
  "TOO_LARGE",
]);

function shownVerdict(verdict: Verdict): string {
  switch (verdict.kind) {
    case "accepted":
      return `accepted: ${shownEvents(verdict.events)}`;
    case "rejected":
      return `rejected: ${verdict.reason}`;
    case "conflict":
      return `conflict, version ${verdict.version}`;
    case "failed":
      return `failed: ${verdict.code}`;
  }
}

function shownRecord({ events, reply: seen }: Handling): string {
  if (seen === null) return shownEvents(events);
  const { outcome, reason, version } = seen.reply;
  if (outcome === "accepted") return `accepted: ${shownEvents(events)}`;
  return outcome === "conflict" ? `conflict, version ${version}` : `${outcome}: ${reason}`;
}

function shownEvents(events: readonly Message[]): string {
  if (events.length === 0) return "no event";
  return events.map(({ type, data }) => `${type} ${shownValue(data)}`).join(", ");
}
