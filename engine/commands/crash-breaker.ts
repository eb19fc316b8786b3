import { schemaIdOf } from "../codec.ts";
import { FatalError, TransientError, WriterLostError } from "../errors.ts";
import type { LogRecord } from "../log.ts";
import type { Batch } from "../read-ahead.ts";
import type { Poison } from "./command.ts";
import type { Note } from "./note.ts";

/**
 * Finds the command that kills whoever handles it: by running out of memory, by a fault in native code, by
 * never coming to an end until somebody kills the process, or by an error that nobody foresaw.
 *
 * Decoding, deciding and encoding are synchronous: while a batch is handled, nothing else runs in this
 * process. So a note is written before the handling and struck out after it, and a note that the next process
 * finds says during what the last one died. Its commands are then handled one by one, each in a transaction
 * of its own, which clears all but the one that kills; and a command that was handled alone by two processes
 * that both died of it is set aside, without anybody looking at its bytes again. A process that dies while it
 * waits for a broker blames nobody.
 */

/** So many processes must have died while they handled a command alone. */
const deathsToCondemn = 2;

/** What a process was doing, as it stands in the note. Offsets as text, times in ms since the epoch. */
interface Attempt {
  readonly format: 1;
  readonly clusterId: string;
  /** `handled`: the batch has killed nobody, and is on its way to the broker, or there. */
  readonly phase: "handling" | "handled";
  readonly first: string;
  /** After the last. */
  readonly next: string;
  readonly records: number;
  /** Of the first: with its offset it tells one log from another. */
  readonly appendedAt: number;
  readonly begunAt: number;
  /** When earlier attempts began that the process did not survive; of a command that is handled alone. */
  readonly deaths: readonly number[];
  /** Commands before this offset are handled one by one. */
  readonly until: string;
}

/** What is held against the commands to come. */
export interface Suspicion {
  /** Every command before this offset is suspect. */
  readonly until: bigint;
  /** The one that was handled alone when the process died; `null` where it was one of several. */
  readonly accused: Accused | null;
}

interface Accused {
  readonly offset: bigint;
  readonly appendedAt: number;
  /** When each attempt began that the process did not survive. */
  readonly deaths: readonly number[];
}

/** What the note says that was left behind; `null` where it holds nothing against commands from `resume` on. */
export function suspicionOf(note: string, clusterId: string, resume: bigint): Suspicion | null {
  const attempt = parse(note);
  if (attempt?.clusterId !== clusterId) return null;
  const next = BigInt(attempt.next);
  if (attempt.phase === "handled" || next <= resume) {
    const until = BigInt(attempt.until);
    return until > resume ? { until, accused: null } : null;
  }
  const until = BigInt(attempt.until) > next ? BigInt(attempt.until) : next;
  const { first, appendedAt, deaths, begunAt } = attempt;
  if (attempt.records > 1) return { until, accused: null };
  return {
    until,
    accused: { offset: BigInt(first), appendedAt, deaths: [...deaths, begunAt] },
  };
}

/** Guards one partition, from its restore on. */
export class CrashBreaker {
  readonly suspicion: Suspicion | null;
  private readonly note: Note | null;
  private readonly clusterId: string;

  /** Without a note nothing is remembered, and so nobody is suspected. */
  constructor(note: Note | null, at: { readonly clusterId: string; readonly resume: bigint }) {
    this.note = note;
    this.clusterId = at.clusterId;
    this.suspicion = note === null ? null : suspicionOf(note.read(), at.clusterId, at.resume);
  }

  /** The batch as it may be handled: each suspect alone, and the others together. */
  portions(batch: Batch): readonly Batch[] {
    const { records, next } = batch;
    const until = this.suspicion?.until ?? 0n;
    const suspects = records.filter(({ offset }) => offset < until);
    if (suspects.length === 0) return [batch];
    const alone = suspects.map((record, i) => {
      return { records: [record], next: records[i + 1]?.offset ?? next };
    });
    const others = records.slice(suspects.length);
    return others.length === 0 ? alone : [...alone, { records: others, next }];
  }

  /** Why this command must not be handled any more; `null` where it may. */
  condemned(record: LogRecord): Poison | null {
    const accused = this.suspicion?.accused;
    if (!accused || accused.deaths.length < deathsToCondemn) return null;
    if (accused.offset !== record.offset || accused.appendedAt !== record.timestamp) return null;
    const times = accused.deaths.map((at) => new Date(at).toISOString()).join(" and ");
    return {
      code: "CRASHED_WORKER",
      message:
        `The process died each time that it handled this command alone: attempts began at ${times}. ` +
        `Its bytes were not decoded again.`,
      commandId: null,
      aggregateId: null,
      type: null,
      schemaId: schemaIdOf(record.value),
      attempts: accused.deaths.length,
    };
  }

  /**
   * Handles a batch by `handle`, which must be synchronous: if the process does not survive it, the note says
   * so; `now` in milliseconds since the epoch.
   */
  surviving({ records, next }: Batch, now: number, handle: () => void): void {
    const [record] = records;
    if (record === undefined || this.note === null) {
      handle();
      return;
    }
    const { accused = null, until = 0n } = this.suspicion ?? {};
    const isAccused =
      records.length === 1 &&
      accused?.offset === record.offset &&
      accused.appendedAt === record.timestamp;
    const attempt: Attempt = {
      format: 1,
      clusterId: this.clusterId,
      phase: "handling",
      first: String(record.offset),
      next: String(next),
      records: records.length,
      appendedAt: record.timestamp,
      begunAt: now,
      deaths: isAccused ? accused.deaths : [],
      until: String(until),
    };
    this.note.write(JSON.stringify(attempt));
    try {
      handle();
    } catch (error) {
      // Any other ends the process as surely as a signal does, and each time anew.
      if (!isForeseen(error)) throw error;
      this.note.write(JSON.stringify({ ...attempt, phase: "handled" }));
      throw error;
    }
    this.note.write(JSON.stringify({ ...attempt, phase: "handled" }));
  }
}

/** The engine says by them what is to be done, and that is not to set the command aside. */
function isForeseen(error: unknown): boolean {
  return [TransientError, WriterLostError, FatalError].some((kind) => error instanceof kind);
}

function parse(note: string): Attempt | null {
  if (note === "") return null;
  try {
    const attempt = JSON.parse(note) as Attempt;
    return (attempt as { format: number }).format === 1 ? attempt : null;
  } catch {
    return null; // Torn by a power cut, or not ours: it accuses nobody.
  }
}
