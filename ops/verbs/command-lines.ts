import { isUtf8 } from "node:buffer";
import type { JsonProblem } from "../../engine/avro/avro-json.ts";
import type { Codec } from "../../engine/codec.ts";
import { parseJsonLine } from "../../engine/json-line.ts";
import {
  commandRecord,
  commandTypeOf,
  type Outgoing,
} from "../../engine/sending/command-record.ts";
import { type AggregateTopics, maxRecordBytes } from "../../engine/topic.ts";
import { count } from "./output.ts";

/** Lines of JSON → command records, or all that is wrong with a line. Nothing but one chunk is held. */

/** A command on its way. */
export interface LineCommand extends Outgoing {
  /** In the file, from 1; `null` where it came from no file. */
  readonly line: number | null;
}

export interface Line {
  /** From 1. */
  readonly number: number;
  /** `null` where the line is longer than any command, and was left out. */
  readonly bytes: Buffer | null;
}

/** Far above a record's limit, for text with escapes is longer than what it says. */
export const maxLineBytes = 8 * 1024 * 1024;

/**
 * Splits at line feeds; blank lines are left out and counted. Each chunk's lines come together, with the
 * number of bytes read by then.
 */
export async function* linesOf(
  chunks: AsyncIterable<Buffer>,
): AsyncGenerator<{ readonly lines: readonly Line[]; readonly bytesRead: number }> {
  const rest = new PartialLine();
  let number = 0;
  let bytesRead = 0;
  const lineOf = (bytes: Buffer | null): Line[] => {
    number += 1;
    return bytes !== null && isBlank(bytes) ? [] : [{ number, bytes }];
  };
  for await (const chunk of chunks) {
    bytesRead += chunk.length;
    const lines: Line[] = [];
    let from = 0;
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, from)) {
      rest.add(chunk.subarray(from, end));
      lines.push(...lineOf(rest.take()));
      from = end + 1;
    }
    rest.add(chunk.subarray(from));
    yield { lines, bytesRead };
  }
  if (!rest.isEmpty) yield { lines: lineOf(rest.take()), bytesRead };
}

/** What has come of a line so far; a line that is too long is forgotten, and stays forgotten to its end. */
class PartialLine {
  private parts: Buffer[] = [];
  private size = 0;

  get isEmpty(): boolean {
    return this.size === 0;
  }

  add(part: Buffer): void {
    this.size += part.length;
    if (this.size > maxLineBytes) this.parts = [];
    else if (part.length > 0) this.parts.push(part);
  }

  take(): Buffer | null {
    const { parts, size } = this;
    this.parts = [];
    this.size = 0;
    if (size > maxLineBytes) return null;
    return parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts);
  }
}

function isBlank(bytes: Buffer): boolean {
  return bytes.every((byte) => byte === 32 || byte === 9 || byte === 13);
}

export type ReadLine =
  | { readonly kind: "command"; readonly outgoing: LineCommand }
  /** All that is wrong, a sentence each. */
  | { readonly kind: "refused"; readonly problems: readonly string[] };

/** Reads commands of these aggregates. */
export interface CommandLines {
  readonly aggregates: readonly AggregateTopics[];
  readonly codec: Codec;
}

/**
 * The command in a line: `type`, and the fields of its schema. Refuses what can never reach the log, or would
 * say there something else than the line does; the rest is for the command processor to judge.
 */
export function readCommandLine(of: CommandLines, { number, bytes }: Line): ReadLine {
  if (bytes === null) return refused(`the line is longer than ${count(maxLineBytes)} bytes`);
  if (!isUtf8(bytes)) return refused("the line is not UTF-8");
  const parsed = parseJsonLine(bytes.toString("utf8"));
  if (!parsed.ok) return refused(`column ${parsed.column}: ${parsed.message}`);
  const json = parsed.value;
  if (typeof json !== "object" || json === null || Array.isArray(json)) {
    return refused('a command is a JSON object: {"type":"…","commandId":"…",…}');
  }
  const { type, ...fields } = json as Readonly<Record<string, unknown>>;
  return readCommand(of, { type, fields, line: number });
}

interface GivenCommand {
  readonly type: unknown;
  readonly fields: Readonly<Record<string, unknown>>;
  readonly line: number | null;
}

/** The same, for a command that is data already. */
export function readCommand(
  { aggregates, codec }: CommandLines,
  { type, fields, line }: GivenCommand,
): ReadLine {
  const found = commandTypeOf(aggregates, type);
  if (found === null) return refused(unknownType(aggregates, type));
  const made = commandRecord(codec, found, fields);
  switch (made.kind) {
    case "command":
      return { kind: "command", outgoing: { ...made.outgoing, line } };
    case "refused":
      return { kind: "refused", problems: made.problems.map(sentence) };
    case "too large": {
      const [size, most] = [count(made.bytes), count(maxRecordBytes)];
      return refused(`it takes ${size} bytes as a record, and ${most} is the most the log takes`);
    }
  }
}

interface GivenCommand {
  readonly type: unknown;
  readonly fields: Readonly<Record<string, unknown>>;
  readonly line: number | null;
}

function refused(problem: string): ReadLine {
  return { kind: "refused", problems: [problem] };
}

function unknownType(aggregates: readonly AggregateTopics[], type: unknown): string {
  const all = aggregates.flatMap(({ commands }) => commands.records.map(({ name }) => name));
  const what =
    type === undefined ? "type is missing" : `type ${JSON.stringify(type)} is not a command`;
  return `${what}; the commands are ${all.join(", ")}`;
}

/** Some messages go on from the field's name, others stand for themselves. */
function sentence({ path, message }: JsonProblem): string {
  if (path === "") return message;
  return /^(is|no) /.test(message) ? `${path} ${message}` : `${path}: ${message}`;
}
