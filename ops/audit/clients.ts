import type { ClientEntry } from "./client-entry.ts";
import type { CommandEntry, CommandResult, PoisonEntry, QueryEntry } from "./client-history.ts";

/** The histories of clients put together: what each command was told, by aggregate and id, and what each read saw. */

/** All that clients did with one command id on one aggregate. */
export interface ClientCommand {
  /** By the clock of the history, the earliest. */
  invokedAt: number;
  /** The earliest final answer; infinity while there is none. */
  answeredAt: number;
  /** How often it was sent, and how often it certainly was not. */
  sent: number;
  failed: number;
  readonly told: ToldAnswer[];
  /** What the log says of it. */
  readonly logged: LoggedAnswer[];
  isInLog: boolean;
}

export interface ToldAnswer {
  readonly who: string;
  readonly result: CommandResult;
  readonly token: string | null;
}

/** A reply in the log. */
export interface LoggedAnswer {
  readonly at: string;
  readonly partition: number;
  readonly commandOffset: number;
  readonly firstOffset: number;
  readonly outcome: CommandResult["outcome"];
  readonly version: number;
  readonly reason: string | null;
  readonly duplicate: boolean;
}

/** A read that was answered. */
export interface ClientRead {
  readonly who: string;
  /** Those of one client on one view come one after the other. */
  readonly session: string;
  /** Milliseconds since the epoch. */
  readonly t: number;
  /** By the clock of the history. */
  readonly answeredAt: number;
  readonly version: number;
  readonly token: string | null;
}

export interface ClientAggregate {
  readonly commands: Map<string, ClientCommand>;
  readonly reads: ClientRead[];
  /** By version, from 1 on: the offset of the command whose events led to it; from the log. */
  readonly writers: number[];
}

/** Poison that was sent. */
export interface ClientPoison {
  readonly code: string | null;
  isCertain: boolean;
  isRefuted: boolean;
  isInLog: boolean;
}

/** What a client has under way. */
interface Pending {
  readonly entry: ClientEntry;
}

/**
 * Which of two things was first: with one history, its order of lines; with several, their clock, and then two things of
 * one moment count as at the same time.
 */
export type ClientClock = "order" | "time";

/** About 300 bytes a command are kept. */
export class ClientHistory {
  readonly aggregate: string;
  readonly aggregates = new Map<string, ClientAggregate>();
  readonly poison = new Map<string, ClientPoison>();
  private readonly clock: ClientClock;
  private readonly pending = new Map<string, Pending>();
  private entries = 0;

  constructor(aggregate: string, clock: ClientClock = "order") {
    this.aggregate = aggregate;
    this.clock = clock;
  }

  /**
   * Takes the next entry; `source` parts clients of the same name in several histories.
   * @throws Error where a history says what cannot be: an answer to nothing, two things at once, another aggregate
   */
  take(entry: ClientEntry, source = ""): void {
    if (entry.aggregate !== this.aggregate) {
      throw new Error(`it is about "${entry.aggregate}", and "${this.aggregate}" is audited`);
    }
    const now = this.clock === "order" ? this.entries : entry.t;
    this.entries++;
    const who = `${source}${entry.process}`;
    const before = this.pending.get(who);
    if (entry.type === "invoke") {
      if (before !== undefined) throw new Error(`client ${who} begins before it has ended`);
      this.pending.set(who, { entry });
      this.invoke(entry, now);
      return;
    }
    if (before === undefined || !isAbout(before.entry, entry)) {
      throw new Error(`client ${who} ends what it has not begun`);
    }
    this.pending.delete(who);
    this.end(entry, now, who);
  }

  find(aggregateId: string, commandId: string): ClientCommand | undefined {
    return this.aggregates.get(aggregateId)?.commands.get(commandId);
  }

  private invoke(entry: ClientEntry, now: number): void {
    if (entry.f === "poison") this.takePoison(entry);
    if (entry.f !== "command") return;
    const { commands } = this.of(entry.aggregateId);
    const known = commands.get(entry.commandId);
    if (known === undefined) {
      commands.set(entry.commandId, {
        ...{ invokedAt: now, answeredAt: Infinity, sent: 1, failed: 0 },
        ...{ told: [], logged: [], isInLog: false },
      });
    } else known.sent++;
  }

  private end(entry: ClientEntry, now: number, who: string): void {
    if (entry.f === "poison") this.takePoison(entry);
    else if (entry.f === "command") this.endCommand(entry, now, who);
    else this.endRead(entry, now, who);
  }

  private endCommand(
    entry: CommandEntry & { readonly aggregateId: string },
    now: number,
    who: string,
  ): void {
    const command = this.find(entry.aggregateId, entry.commandId);
    if (command === undefined || entry.type === "invoke") return;
    if (entry.type === "fail") command.failed++;
    if (entry.type !== "ok" || entry.result === undefined) return;
    // A failure is not final: the command may run later.
    if (entry.result.outcome !== "failed") command.answeredAt = Math.min(command.answeredAt, now);
    command.told.push({ who, result: entry.result, token: entry.token ?? null });
  }

  private endRead(
    entry: QueryEntry & { readonly aggregateId: string; readonly t: number },
    now: number,
    who: string,
  ): void {
    if (entry.type !== "ok" || entry.version === undefined) return;
    const { version, token, t, view = "" } = entry;
    const session = `${who}\n${view}`;
    this.of(entry.aggregateId).reads.push({ who, session, t, answeredAt: now, version, token });
  }

  private takePoison({ id, code, type }: PoisonEntry): void {
    const known = this.poison.get(id);
    const poison = known ?? {
      code: code ?? null,
      ...{ isCertain: false, isRefuted: false, isInLog: false },
    };
    poison.isCertain ||= type === "ok";
    poison.isRefuted ||= type === "fail";
    this.poison.set(id, poison);
  }

  private of(aggregateId: string): ClientAggregate {
    const known = this.aggregates.get(aggregateId);
    if (known !== undefined) return known;
    const made: ClientAggregate = { commands: new Map(), reads: [], writers: [] };
    this.aggregates.set(aggregateId, made);
    return made;
  }
}

function isAbout(begun: ClientEntry, ended: ClientEntry): boolean {
  if (begun.f === "poison") return ended.f === "poison" && ended.id === begun.id;
  if (ended.f === "poison" || ended.aggregateId !== begun.aggregateId) return false;
  if (begun.f === "query") return ended.f === "query";
  return ended.f === "command" && ended.commandId === begun.commandId;
}
