import type { Application } from "../application.ts";
import type { Clock } from "../clock.ts";
import type { Codec } from "../codec.ts";
import { messageOf } from "../errors.ts";
import type { AnyProjection } from "../projection.ts";
import type { Outgoing } from "../sending/command-record.ts";
import type { AggregateTopics } from "../topic.ts";
import { Finding, mustEqual } from "./crash-points-finding.ts";
import {
  answersTo,
  eventsIn,
  mustBeRebuilt,
  type Outcome,
  rebuilt,
  rowsIn,
  type SentCommand,
} from "./crash-points-outcome.ts";
import { type MortalProcess, startProcess } from "./crash-points-process.ts";
import { jumpingClock } from "./jumping-clock.ts";
import { createTopics, type Loop } from "./memory-application-loops.ts";
import { MemoryLog } from "./memory-log.ts";
import { MemoryStoreFiles } from "./memory-store.ts";
import { type MemoryViews, memoryViews } from "./memory-views.ts";

/** One run of an application over its commands, with or without a death in it. */

/** What all runs of an exploration have in common. */
export interface Subject {
  /** With its functions watched. */
  readonly application: Application;
  readonly codec: Codec;
  readonly commands: readonly (Outgoing & { readonly topics: AggregateTopics })[];
  /** The loops that see anything of these commands. */
  readonly loops: readonly Loop[];
  /** Milliseconds since the epoch: no command is issued later. */
  readonly startsAt: number;
  readonly seed: number;
  /** The first thing that an author's function did and must not do. */
  readonly finding: () => Finding | null;
}

/** What the successor of a killed process finds on its disk. */
export type Disk = "its local store" | "no local store" | "an older local store";

export interface Death {
  /** Counted from 1. */
  readonly point: number;
  readonly disk: Disk;
}

export interface Run {
  /** What each point is, in the order in which the processes came by them, up to a death. */
  readonly places: readonly string[];
  readonly outcome: Outcome;
}

/** Between one command and the next, so that each has a time of its own and the local store trails behind. */
const pauseMs = 100;
/** Of the run's own clock. */
const patienceMs = 10 * 60 * 1000;
const lookAgainMs = 1_000;
/** A reason of our own: without one each abort makes an exception with its stack. */
const changed = "changed";

/**
 * Sends the commands one after the other and, when all are answered, all of them once more. Half-way the process
 * is replaced, as by a deployment, so that some points lie in a restore.
 * @throws Finding where anything is not as it must be, seen by itself
 */
export async function runOnce(subject: Subject, death: Death | null): Promise<Run> {
  const trial = new Trial(subject, death);
  try {
    await trial.begin();
    const { commands } = subject;
    const middle = Math.ceil(commands.length / 2);
    for (const index of commands.keys()) {
      if (index === middle) await trial.deploy();
      await trial.send(index, index + 1);
    }
    const once = await trial.outcome();
    await trial.send(0, commands.length);
    checkSecondDelivery(once, await trial.outcome());
    return { places: trial.places, outcome: once };
  } finally {
    await trial.end();
  }
}

function checkSecondDelivery(once: Outcome, twice: Outcome): void {
  const again = "after a second delivery of every command are not those after the first";
  mustEqual(`The events ${again}`, once.events, twice.events);
  const known = Object.entries(once.answers).map(
    // A failure is not final: the same id is tried again.
    ([name, it]) => [name, { ...it, duplicate: it.outcome !== "failed" }] as const,
  );
  mustEqual(`The answers ${again}`, Object.fromEntries(known), twice.answers);
  for (const [projection, rows] of once.rows) {
    if (projection.topics.some(({ kind }) => kind !== "events")) continue; // It sees the second answers.
    mustEqual(`The rows of ${projection.name} ${again}`, rows, twice.rows.get(projection));
  }
}

class Trial {
  readonly places: string[] = [];
  private readonly subject: Subject;
  private readonly death: Death | null;
  private readonly clock: Clock;
  private readonly log: MemoryLog;
  private readonly views: ReadonlyMap<AnyProjection, MemoryViews>;
  private readonly counts = new Map<string, number>();
  private readonly processes: MortalProcess[] = [];
  private files = new MemoryStoreFiles();
  private olderFiles = new MemoryStoreFiles();
  private sent: readonly SentCommand[] = [];
  private isOver = false;
  private changed = new AbortController();

  constructor(subject: Subject, death: Death | null) {
    this.subject = subject;
    this.death = death;
    this.clock = clockFrom(subject.startsAt, subject.seed);
    this.log = new MemoryLog({ clock: this.clock });
    const projections = subject.loops.flatMap((it) => (it.kind === "view" ? [it.projection] : []));
    this.views = new Map(projections.map((it) => [it, memoryViews(it)]));
  }

  async begin(): Promise<void> {
    await createTopics(this.log, this.subject.application);
    await this.start();
  }

  /** Stops the process and starts another one. */
  async deploy(): Promise<void> {
    await this.processes.at(-1)?.stop();
    await this.succeed();
  }

  /** Sends the commands from `first` to before `end` at once, and waits until they are answered. */
  async send(first: number, end: number): Promise<void> {
    const commands = this.subject.commands.slice(first, end);
    const producer = await this.log.openProducer();
    const offsets = await producer.send(commands.map(({ record }) => record));
    const sent = commands.map(
      ({ type, commandId, topics, record: { partition } }, i): SentCommand => ({
        name: `${first + i + 1}. ${type} ${commandId}`,
        topics,
        partition,
        offset: offsets[i] ?? -1n,
      }),
    );
    // Those of the second delivery take the place of the first.
    this.sent = [...this.sent.filter(({ name }) => !sent.some((it) => it.name === name)), ...sent];
    const isAnswered = ({ topics, partition, offset }: SentCommand) => {
      const replies = this.log.committed({ topic: topics.replies.name, partition });
      return BigInt(replies.length) > offset; // A reply each; nothing else is in either topic.
    };
    await this.until(() => {
      const open = sent.find((it) => !isAnswered(it));
      return open === undefined ? null : `Command ${open.name} is not answered`;
    });
    await this.clock.sleep(pauseMs);
  }

  /** All that is there once every view has all that is in the log, and is what a rebuild gives. */
  async outcome(): Promise<Outcome> {
    const { loops, codec } = this.subject;
    await this.until(() => {
      const behind = loops.find((loop) => loop.kind === "view" && !this.hasAll(loop));
      return behind?.kind === "view"
        ? `The view ${behind.projection.name} does not catch up`
        : null;
    });
    const logged = { log: this.log, codec };
    const answers = answersTo(this.sent, logged);
    const events = eventsIn(loops, logged);
    const rows = new Map([...this.views].map(([it, views]) => [it, rowsIn(it, views)]));
    for (const [projection, found] of rows) {
      const wanted = await rebuilt(projection, loops, { ...logged, how: "in one batch" });
      mustBeRebuilt(projection, { wanted, found, how: "are not those that a rebuild gives" });
      if (this.death !== null) continue; // The same log was rebuilt both ways before.
      const one = await rebuilt(projection, loops, { ...logged, how: "event by event" });
      const how = "depend on how events come: in one batch (expected), or one by one (found)";
      mustBeRebuilt(projection, { wanted, found: one, how });
    }
    return { answers, events, rows };
  }

  /** Ends every process, those too that are dead and only have not met with it yet. */
  async end(): Promise<void> {
    this.isOver = true;
    await Promise.all(this.processes.map((process) => process.stop()));
  }

  private hasAll(loop: Loop & { readonly kind: "view" }): boolean {
    const last = this.log.committed(loop.of).at(-1)?.offset ?? -1n;
    return (this.processes.at(-1)?.positionOf(loop) ?? -1n) > last;
  }

  /**
   * Until nothing is `missing` any more. Looks whenever a process has done something; starts the successor of one
   * that was killed.
   */
  private async until(missing: () => string | null): Promise<void> {
    const deadline = this.clock.now() + patienceMs;
    for (;;) {
      const finding = this.subject.finding();
      if (finding) throw finding;
      if (this.processes.at(-1)?.isDead()) await this.succeed();
      this.mustRun();
      const still = missing();
      if (still === null) return;
      if (this.clock.now() > deadline)
        throw new Finding(`${still} within ten minutes of its clock`);
      this.changed = new AbortController();
      await this.clock.sleep(lookAgainMs, this.changed.signal);
    }
  }

  private mustRun(): void {
    const process = this.processes.at(-1);
    const failure = process?.failure();
    if (failure) throw new Finding("The process would have ended", [messageOf(failure)]);
    const stop = process?.standstill();
    if (!stop) return;
    const { projection, key, type, cause } = stop;
    throw new Finding(`The view ${projection.name} stands still at ${key ?? ""}, ${type ?? ""}`, [
      messageOf(cause),
    ]);
  }

  /** Starts a process after another one, on the disk that it is to find. */
  private async succeed(): Promise<void> {
    const wasKilled = this.processes.at(-1)?.isDead() === true;
    if (wasKilled && this.death?.disk === "no local store") this.files = new MemoryStoreFiles();
    if (wasKilled && this.death?.disk === "an older local store") this.files = this.olderFiles;
    await this.start();
  }

  private async start(): Promise<void> {
    const { loops, codec } = this.subject;
    const process = await startProcess({
      loops,
      log: this.log,
      codec,
      views: this.views,
      files: this.files,
      clock: this.clock,
      count: (action) => {
        const count = (this.counts.get(action) ?? 0) + 1;
        this.counts.set(action, count);
        return count;
      },
      onPoint: (place) => this.comesTo(place),
    });
    this.processes.push(process);
  }

  private comesTo(place: string): "lives" | "dies" {
    this.changed.abort(changed);
    const dying = this.death?.point;
    const isOver = this.isOver || (dying !== undefined && this.places.length === dying);
    if (isOver) return "lives";
    this.places.push(place);
    // Half-way to a death is old enough for a backup.
    if (dying !== undefined && this.places.length === Math.floor(dying / 2)) {
      this.olderFiles = this.files.copy();
    }
    return this.places.length === dying ? "dies" : "lives";
  }
}

/** A clock of a run's own, which begins at `startsAt`. */
function clockFrom(startsAt: number, seed: number): Clock {
  const clock = jumpingClock(seed);
  const shiftMs = startsAt - clock.now();
  return { ...clock, now: () => clock.now() + shiftMs };
}
