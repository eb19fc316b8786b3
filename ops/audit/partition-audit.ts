import type { Codec } from "../../engine/codec.ts";
import type { AggregateTopics } from "../../engine/topic.ts";
import { AbortedRecords } from "./aborted.ts";
import { checkAnswer, type PartitionChecks, Window } from "./answers.ts";
import { type AuditedPartition, coordinatesOf } from "./audited-log.ts";
import type { ClientChecks } from "./client-checks.ts";
import { checkDeadLetter } from "./dead-letters.ts";
import { checkEffects } from "./effects.ts";
import { Findings } from "./findings.ts";
import { HandledCommands } from "./handled-commands.ts";
import type { Handling, SeenEvent } from "./handling.ts";
import { type Known, mergeHandlings } from "./merge.ts";
import { type AnyDecider, Oracle } from "./oracle.ts";
import { Refusals } from "./refusals.ts";
import { Coverage, readSnapshots, type Snapshots } from "./snapshots.ts";
import { Versions } from "./versions.ts";

/** The checks that hold for every aggregate of a catalog: I1 to I6, I10, I15 and the oracle, one partition at a time. */

/**
 * What an application knows of its own events: it is told of each, in the order of the log, and of the end.
 * It finds what is the application's to find, for example money that is lost.
 */
export interface DomainCheck {
  event(event: SeenEvent): void;
  /** After `event` was told of its events; `known` says what retention has left. */
  handling(handling: Handling, known: Known): void;
  end(): Promise<void>;
}

export interface PartitionAudit {
  readonly topics: AggregateTopics;
  readonly codec: Codec;
  readonly source: AuditedPartition;
  readonly findings: Findings;
  readonly domain: (snapshots: Snapshots) => DomainCheck;
  /** Whom the oracle asks; without one there is no oracle. */
  readonly decider?: AnyDecider;
  /** Milliseconds since the epoch: the oracle is asked of what was decided since. */
  readonly decidedSince?: number;
  /** Told of every handling. */
  readonly clients?: ClientChecks;
  /** Called after some records were read, with their number. */
  readonly progress: (records: number) => void;
}

export interface PartitionCounts {
  /** Command records below the position; those before it may have expired, those after it wait. */
  readonly consumed: number;
  readonly waiting: number;
  readonly replies: number;
  readonly events: number;
  readonly deadLetters: number;
  readonly aggregates: number;
  /** Handlings that were under way while the audit ran, and are judged by a later one. */
  readonly underWay: number;
  /** Replies to commands that retention has removed, and events whose replies it has. */
  readonly expiredCommands: number;
  readonly expiredReplies: number;
}

/** How many handlings behind the position are kept to be held against the position that comes later. */
const underWayAtMost = 100_000;

/**
 * Audits one partition of an aggregate in one pass over each of its topics. Kept in memory: about 70 bytes a
 * command id and 200 an aggregate of this partition; see `HandledCommands`.
 */
export async function auditPartition(
  audit: PartitionAudit,
  signal: AbortSignal,
): Promise<PartitionCounts> {
  const { topics, codec, source, findings, clients, progress } = audit;
  const reading = { topic: topics.snapshots, source: source.snapshots, codec, findings };
  const snapshots = await readSnapshots(reading, "the end", signal);
  progress(snapshots.records);
  const settledBelow = snapshots.position?.position.nextOffset ?? 0;
  checkPosition(snapshots, source, findings);

  const versions = new Versions(source.events, topics.events.partitions, findings);
  const coverage = new Coverage(snapshots, versions, findings);
  const checks = checksOf(source, findings, versions);
  const decided = decisionsOf(audit, checks);
  const aborted = new AbortedRecords(checks);
  const ofDomain = audit.domain(snapshots);
  const window = new Window();
  const counts = new Counts();
  const takeEvent = (event: SeenEvent) => {
    coverage.reach(event.record.offset);
    versions.take(event);
    decided?.oracle.event(event);
    ofDomain.event(event);
    counts.events++;
  };
  const from = await mergeHandlings(
    { topics, codec, source, settledBelow, findings },
    {
      handling(handling, known) {
        aborted.handling(handling);
        checkEffects(checks, window, handling, known);
        decided?.refusals.handling(handling, known);
        checkAnswer(checks, window, handling, known);
        checkDeadLetter(checks, topics.events.partitions, handling, known);
        decided?.oracle.handling(handling, known);
        clients?.handling(source.partition, handling);
        for (const event of handling.events) takeEvent(event);
        ofDomain.handling(handling, known);
        counts.add(handling, known);
      },
      strayEvent: takeEvent,
      aborted: (record) => {
        aborted.take(record);
      },
      progress,
    },
    signal,
  );
  clients?.endPartition(source.partition, from);
  coverage.end(source.events.end);
  await ofDomain.end();
  await checkUnderWay({ ...reading, source, checks }, counts.underWay, signal);
  return counts.of(versions.aggregates);
}

/** What judges decisions; nothing without a decider, or where the beginning of the events is gone. */
function decisionsOf(
  { decider, decidedSince = 0, topics, codec, source }: PartitionAudit,
  checks: PartitionChecks,
): { readonly oracle: Oracle; readonly refusals: Refusals } | null {
  if (decider === undefined || source.events.start > 0n) return null;
  const oracle = new Oracle({ topics, codec, decider, decidedSince }, checks);
  return { oracle, refusals: new Refusals(checks) };
}

function checksOf(
  source: AuditedPartition,
  findings: Findings,
  versions: Versions,
): PartitionChecks {
  return {
    partition: source.partition,
    at: {
      commands: (offset) => coordinatesOf(source.commands, offset),
      events: (offset) => coordinatesOf(source.events, offset),
      replies: (offset) => coordinatesOf(source.replies, offset),
      dlq: (offset) => coordinatesOf(source.dlq, offset),
    },
    findings,
    handled: new HandledCommands(),
    versions,
  };
}

function checkPosition(
  { position }: Snapshots,
  source: AuditedPartition,
  findings: Findings,
): void {
  if (position === null || BigInt(position.position.nextOffset) <= source.commands.end) return;
  findings.add({
    invariant: "I5",
    at: position.at,
    expected: `a position of at most ${source.commands.end}, where the commands end`,
    found: String(position.position.nextOffset),
  });
}

/**
 * I5: what was seen committed behind the position as it was, was committed with a later one. So the position
 * is looked up once more, and must be behind all of it by now.
 */
async function checkUnderWay(
  {
    source,
    checks,
    ...reading
  }: Omit<Parameters<typeof readSnapshots>[0], "source"> & {
    readonly source: AuditedPartition;
    readonly checks: PartitionChecks;
  },
  underWay: readonly Handling[],
  signal: AbortSignal,
): Promise<void> {
  if (underWay.length === 0) return;
  // What is wrong with the topic itself was found when it was read first.
  const later = { ...reading, source: await source.snapshotsNow(), findings: new Findings() };
  const { position } = await readSnapshots(later, "all is decided", signal);
  const next = position?.position.nextOffset ?? 0;
  for (const { commandOffset, events, reply, deadLetter } of underWay) {
    if (commandOffset < next) continue;
    const [event] = events;
    const { at, findings } = checks;
    findings.add({
      invariant: "I5",
      at: event
        ? at.events(event.record.offset)
        : reply
          ? at.replies(reply.record.offset)
          : at.dlq(deadLetter?.record.offset ?? 0),
      aggregateId: event?.aggregateId ?? reply?.reply.aggregateId ?? null,
      commandId: event?.commandId ?? reply?.reply.commandId ?? null,
      expected: `a position behind the command at offset ${commandOffset}, which it handles`,
      found: position === null ? "none" : `${next} (${position.at})`,
    });
  }
}

class Counts {
  events = 0;
  readonly underWay: Handling[] = [];
  private consumed = 0;
  private waiting = 0;
  private replies = 0;
  private deadLetters = 0;
  private expiredCommands = 0;
  private expiredReplies = 0;

  add(handling: Handling, { isSettled, from }: Known): void {
    const { command, events, reply, deadLetter, commandOffset } = handling;
    if (command !== null) {
      if (isSettled) this.consumed++;
      else this.waiting++;
    } else if (commandOffset < from.commands && reply !== null) this.expiredCommands++;
    if (reply !== null) this.replies++;
    else if (events.length > 0 && commandOffset < from.replies) this.expiredReplies++;
    if (deadLetter !== null) this.deadLetters++;
    const isUnderWay = !isSettled && (events.length > 0 || reply !== null || deadLetter !== null);
    if (isUnderWay && this.underWay.length < underWayAtMost) this.underWay.push(handling);
  }

  of(aggregates: number): PartitionCounts {
    const { consumed, waiting, replies, events, deadLetters, expiredCommands, expiredReplies } =
      this;
    const underWay = this.underWay.length;
    return {
      ...{ consumed, waiting, replies, events, deadLetters, aggregates },
      ...{ underWay, expiredCommands, expiredReplies },
    };
  }
}
