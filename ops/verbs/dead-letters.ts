import { isUtf8 } from "node:buffer";
import type { Codec } from "../../engine/codec.ts";
import { deadLetterHeaders } from "../../engine/commands/dead-letter.ts";
import { PoisonError } from "../../engine/errors.ts";
import { headerOf, type Log, type LogRecord } from "../../engine/log.ts";
import { headers } from "../../engine/message.ts";
import type { AggregateTopics } from "../../engine/topic.ts";
import { topics as catalogTopics } from "../../topics/catalog.ts";
import { CliError, exitCode, wrongUsage } from "./outcome.ts";
import { shownId } from "./output.ts";
import { scan } from "./scan.ts";

/** Dead letters as they lie in their topic, and what can be read of them. */

export interface Coordinates {
  readonly partition: number;
  readonly offset: bigint;
}

export interface DeadLetter extends Coordinates {
  readonly record: LogRecord;
  readonly time: string;
  /** Why it is here; `unknown` where no header of ours says it. */
  readonly code: string;
  readonly message: string;
  /** Where it was read from; `null` where no header says it. */
  readonly from: (Coordinates & { readonly topic: string }) | null;
  /** The dead letter that it was a replay of, by `<topic>/<partition>/<offset>`. */
  readonly replayOf: string | null;
}

export function deadLetterAt(partition: number, record: LogRecord): DeadLetter {
  const header = (name: string) => headerOf(record, name);
  const topic = header(deadLetterHeaders.topic);
  const number = (name: string) => {
    const text = header(name) ?? "";
    return /^\d{1,19}$/.test(text) ? BigInt(text) : null;
  };
  const from = {
    partition: number(deadLetterHeaders.partition),
    offset: number(deadLetterHeaders.offset),
  };
  return {
    partition,
    offset: record.offset,
    record,
    time: new Date(record.timestamp).toISOString(),
    code: header(deadLetterHeaders.code) ?? "unknown",
    message: header(deadLetterHeaders.exceptionMessage) ?? "",
    from:
      topic === null || from.partition === null || from.offset === null
        ? null
        : { topic, partition: Number(from.partition), offset: from.offset },
    replayOf: header(headers.replayOf),
  };
}

/** `3/17`, as the verbs take it. */
export function shownCoordinates({ partition, offset }: Coordinates): string {
  return `${partition}/${offset}`;
}

/** @throws CliError for anything but `PARTITION/OFFSET` */
export function coordinatesIn(text: string): Coordinates {
  const match = /^(\d{1,6})\/(\d{1,18})$/.exec(text);
  if (match !== null) return { partition: Number(match[1]), offset: BigInt(match[2] ?? "") };
  throw wrongUsage(
    `${JSON.stringify(text)} names no dead letter: it is PARTITION/OFFSET, for example 3/17.`,
    "All of them: npm run -s foldlog -- dlq list",
  );
}

/** The topics of the command processor that the catalog has under this name. */
export function topicsOfWorker(name: string): AggregateTopics {
  const all: Readonly<Record<string, AggregateTopics>> = catalogTopics;
  const found = Object.hasOwn(all, name) ? all[name] : undefined;
  if (found !== undefined) return found;
  const names = Object.keys(all).join(", ");
  throw wrongUsage(`No worker ${shownId(name)} has dead letters.`, `Those that have are ${names}.`);
}

/** Every dead letter, by partition and offset, a slice at a time; `share` of the partition is from 0 to 1. */
export async function* readDeadLetters(
  log: Log,
  { dlq }: AggregateTopics,
): AsyncGenerator<readonly DeadLetter[]> {
  const reader = await log.openReader();
  try {
    for (let partition = 0; partition < dlq.partitions; partition++) {
      for await (const { records } of scan({ reader, of: { topic: dlq.name, partition } })) {
        yield records.map((record) => deadLetterAt(partition, record));
      }
    }
  } finally {
    await reader.close();
  }
}

/** @throws CliError where there is none at these coordinates */
export async function readDeadLetter(
  log: Log,
  { dlq }: AggregateTopics,
  { partition, offset }: Coordinates,
): Promise<DeadLetter> {
  if (partition < dlq.partitions) {
    const reader = await log.openReader();
    try {
      const of = { topic: dlq.name, partition };
      for await (const { records } of scan({ reader, of, from: offset })) {
        const record = records.find((it) => it.offset >= offset);
        if (record === undefined) continue;
        if (record.offset === offset) return deadLetterAt(partition, record);
        break;
      }
    } finally {
      await reader.close();
    }
  }
  const at = shownCoordinates({ partition, offset });
  throw new CliError(exitCode.notFound, `There is no dead letter ${at} in ${dlq.name}.`, {
    next: "All of them: npm run -s foldlog -- dlq list",
  });
}

/** What a dead letter's value says, or why nobody can tell. */
export type Content =
  | {
      readonly kind: "decoded";
      readonly type: string;
      readonly commandId: string | null;
      readonly data: Readonly<Record<string, unknown>>;
    }
  | { readonly kind: "undecodable"; readonly code: string; readonly message: string };

/** Reads the value as a command of the topic that it came from. Call `codec.learn` first. */
export function contentOf({ record }: DeadLetter, topics: AggregateTopics, codec: Codec): Content {
  try {
    if (record.value === null) throw new PoisonError("BAD_WIRE_FORMAT", "The record has no value.");
    const { type, data } = codec.decode(topics.commands, record.value);
    const id = data["commandId"];
    return { kind: "decoded", type, data, commandId: typeof id === "string" ? id : null };
  } catch (error) {
    if (!(error instanceof PoisonError)) throw error;
    return { kind: "undecodable", code: error.code, message: error.message };
  }
}

/** The key as text where it is text, else its bytes. */
export function shownKey(key: Buffer | null): string {
  if (key === null) return "none";
  return isUtf8(key) ? shownId(key.toString("utf8")) : `0x${key.toString("hex")}`;
}

/** Coordinates of dead letters that were replayed and came back → those of the one that came back last. */
export function supersededIn(
  letters: readonly DeadLetter[],
  { dlq }: Pick<AggregateTopics, "dlq">,
): ReadonlyMap<string, string> {
  const prefix = `${dlq.name}/`;
  const superseded = new Map<string, string>();
  for (const letter of letters) {
    if (letter.replayOf?.startsWith(prefix) !== true) continue;
    superseded.set(letter.replayOf.slice(prefix.length), shownCoordinates(letter));
  }
  return superseded;
}
