import { headerOf } from "../../engine/log.ts";
import { partitionOf } from "../../engine/message.ts";
import type { AggregateTopics } from "../../engine/topic.ts";
import { coordinatesOf } from "./audited-log.ts";
import { poisonHeader } from "./client-history.ts";
import { checkOrder } from "./client-order.ts";
import { checkTokens, tokenIn } from "./client-tokens.ts";
import type {
  ClientAggregate,
  ClientCommand,
  ClientHistory,
  LoggedAnswer,
  ToldAnswer,
} from "./clients.ts";
import type { Findings } from "./findings.ts";
import type { Handling } from "./handling.ts";
import type { Known } from "./merge.ts";

export interface ClientCheckOptions {
  readonly history: ClientHistory;
  readonly topics: AggregateTopics;
  readonly findings: Findings;
  /** Milliseconds since the epoch: when somebody was about to move a view back on purpose. */
  readonly movedBack: readonly number[];
}

/**
 * Holds what clients were told against the log: to be fed with every handling of every partition, and then ended.
 * `history`, `order`, I12, and of I10 that dead letters are of just what was sent as poison.
 */
export class ClientChecks {
  private readonly options: ClientCheckOptions;
  /** By partition. */
  private readonly expired = new Map<number, Known["from"]>();

  constructor(options: ClientCheckOptions) {
    this.options = options;
  }

  handling(partition: number, handling: Handling): void {
    const { history, topics } = this.options;
    const { reply: seen, events } = handling;
    for (const { aggregateId, version } of events) {
      const aggregate = history.aggregates.get(aggregateId);
      if (aggregate) aggregate.writers[version - 1] = handling.commandOffset;
    }
    const command = this.clientCommand(handling);
    if (command !== undefined) {
      command.isInLog = true;
      if (seen !== null) {
        const at = coordinatesOf({ topic: topics.replies.name, partition }, seen.record.offset);
        command.logged.push(loggedAnswer(handling, { partition, at }));
      }
    }
    this.checkPoison(partition, handling, command !== undefined);
  }

  /** `from`: see `mergeHandlings`. */
  endPartition(partition: number, from: Known["from"]): void {
    this.expired.set(partition, from);
  }

  end(): void {
    const { history, topics, findings, movedBack } = this.options;
    for (const [aggregateId, aggregate] of history.aggregates) {
      for (const [commandId, command] of aggregate.commands) {
        this.checkCommand(aggregateId, commandId, command);
      }
      this.checkReads(aggregateId, aggregate);
      const partition = partitionOf(aggregateId, topics.events.partitions);
      checkTokens({ aggregateId, aggregate, partition, findings });
      checkOrder({ aggregateId, aggregate, partition, findings, movedBack });
    }
    this.endPoison();
  }

  private clientCommand({ command, events, reply: seen }: Handling): ClientCommand | undefined {
    const { history } = this.options;
    const { aggregateId, commandId } = seen?.reply ?? events[0] ?? {};
    if (aggregateId != null && commandId != null) return history.find(aggregateId, commandId);
    if (command?.message == null) return undefined;
    const id = command.message.data["commandId"];
    return typeof id === "string" ? history.find(String(command.record.key), id) : undefined;
  }

  private checkCommand(aggregateId: string, commandId: string, command: ClientCommand): void {
    const { findings } = this.options;
    const report = (at: string, expected: string, found: string) => {
      findings.add({ invariant: "history", at, aggregateId, commandId, expected, found });
    };
    if (command.failed > 0) findings.check("history");
    if (command.isInLog && command.failed === command.sent) {
      const at = command.logged[0]?.at ?? "the log";
      report(at, "nothing of a command that was never sent", "its record");
    }
    for (const told of command.told) {
      findings.check("history");
      const logged = command.logged.find((it) => isAnswer(it, told));
      if (logged !== undefined) this.checkToken(told, logged, report);
      else if (!this.hasExpired(told, command)) {
        const found = command.logged.map(shownAnswer).join("; ");
        report(`client ${told.who}`, `in the log: ${shownTold(told)}`, found || "no reply to it");
      }
    }
  }

  /** The token that came with an answer must be of what the answer says. */
  private checkToken(
    { who, result, token }: ToldAnswer,
    { partition, firstOffset }: LoggedAnswer,
    report: (at: string, expected: string, found: string) => void,
  ): void {
    if (token === null) return;
    const { topics } = this.options;
    const said = tokenIn(token);
    const expected = `a token of ${topics.events.name}/${partition}, command offset ${firstOffset}, version ${result.version}`;
    const isRight =
      said?.topic === topics.events.name &&
      said.partition === partition &&
      said.commandOffset === firstOffset &&
      said.version === result.version;
    if (!isRight) report(`client ${who}`, expected, said === null ? token : JSON.stringify(said));
  }

  private hasExpired({ result }: ToldAnswer, { logged }: ClientCommand): boolean {
    const from = this.expired.get(result.partition)?.replies ?? 0;
    if (result.commandOffset === "") return from > 0 && logged.length === 0;
    return Number(result.commandOffset) < from;
  }

  private checkReads(aggregateId: string, { reads, writers }: ClientAggregate): void {
    const { findings } = this.options;
    for (const { who, version } of reads) {
      findings.check("history");
      if (version <= writers.length) continue;
      const expected = `at most version ${writers.length}, the last in the log`;
      const at = `client ${who}`;
      const found = `version ${version} was read`;
      findings.add({ invariant: "history", at, aggregateId, expected, found });
    }
  }

  /** What was sent as poison must end as a dead letter, and nothing else may. */
  private checkPoison(
    partition: number,
    { commandOffset, command, reply: seen, deadLetter }: Handling,
    isOfClient: boolean,
  ): void {
    const { history, topics, findings } = this.options;
    const record = deadLetter?.record ?? command?.record;
    const id = record === undefined ? null : headerOf(record, poisonHeader);
    const poison = id === null ? undefined : history.poison.get(id);
    const at = deadLetter
      ? coordinatesOf({ topic: topics.dlq.name, partition }, deadLetter.record.offset)
      : coordinatesOf({ topic: topics.commands.name, partition }, commandOffset);
    const { aggregateId = null, commandId = null } = seen?.reply ?? {};
    const report = (expected: string, found: string) => {
      findings.add({ invariant: "I10", at, aggregateId, commandId, expected, found });
    };
    if (poison !== undefined) {
      poison.isInLog = true;
      if (poison.isRefuted) report(`no record of the poison ${id}, which was never sent`, "one");
      if (seen !== null && deadLetter === null && seen.reply.outcome !== "failed") {
        report(`failed: ${poison.code ?? "poison"}, for the poison ${id}`, seen.reply.outcome);
      }
    }
    if (deadLetter === null) return;
    findings.check("I10");
    const { code } = deadLetter;
    if (poison !== undefined && poison.code !== null && poison.code !== code) {
      report(`the code ${poison.code}, for the poison ${id}`, code);
    }
    // That it is on a wrong partition is seen by the record itself; see `checkDeadLetter`.
    if (poison !== undefined || code === "WRONG_PARTITION") return;
    if (isOfClient) report("no dead letter of a sound command", `one with the code ${code}`);
    else if (history.poison.size > 0) {
      report("no dead letter but of what was sent as poison", `one with the code ${code}`);
    }
  }

  private endPoison(): void {
    const { history, topics, findings } = this.options;
    const mayHaveExpired = [...this.expired.values()].some(({ commands }) => commands > 0);
    for (const [id, { isCertain, isInLog }] of history.poison) {
      findings.check("I10");
      if (!isCertain || isInLog || mayHaveExpired) continue;
      const at = topics.commands.name;
      findings.add({
        invariant: "I10",
        at,
        expected: `the poison ${id}`,
        found: "no record of it",
      });
    }
  }
}

function loggedAnswer(
  { reply: seen, commandOffset }: Handling,
  where: Pick<LoggedAnswer, "partition" | "at">,
): LoggedAnswer {
  const { reply } = seen as NonNullable<typeof seen>;
  const { firstOffset, outcome, version, reason, duplicate } = reply;
  return {
    ...where,
    commandOffset,
    firstOffset,
    outcome,
    version: version ?? 0,
    reason,
    duplicate,
  };
}

/** Whether a reply says what the client was told. */
function isAnswer(logged: LoggedAnswer, { result }: ToldAnswer): boolean {
  const { outcome, version, reason, duplicate, partition, commandOffset } = result;
  const isOfOffset =
    commandOffset === "" ||
    Number(commandOffset) === logged.commandOffset ||
    Number(commandOffset) === logged.firstOffset;
  return (
    isOfOffset &&
    logged.outcome === outcome &&
    logged.version === version &&
    logged.reason === reason &&
    logged.duplicate === duplicate &&
    logged.partition === partition
  );
}

function shownTold({ result }: ToldAnswer): string {
  const { commandOffset } = result;
  const where = commandOffset === "" ? "" : `, command offset ${commandOffset}`;
  return `${said(result)}, partition ${result.partition}${where}`;
}

function shownAnswer(logged: LoggedAnswer): string {
  const { partition, commandOffset } = logged;
  return `${said(logged)}, partition ${partition}, command offset ${commandOffset}`;
}

function said({
  outcome,
  reason,
  version,
  duplicate,
}: Pick<LoggedAnswer, "outcome" | "reason" | "version" | "duplicate">): string {
  const why = reason === null ? "" : `: ${reason}`;
  return `${outcome}${why}, version ${version}${duplicate ? ", a duplicate" : ""}`;
}
