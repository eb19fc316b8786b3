import { once } from "node:events";
import { createReadStream } from "node:fs";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { messageOf } from "../../engine/errors.ts";

/** Files of one JSON object a line, read as they stream by. */

export interface JsonLine {
  readonly value: Readonly<Record<string, unknown>>;
  /** For messages: the file and the line in it. */
  readonly where: string;
}

/**
 * The objects of a file; empty lines are passed over. A last line that was cut off, as by a process that was killed
 * while it wrote, is passed over too.
 * @throws Error with the file, the line and what is wrong with it
 */
export async function* jsonLines(file: string): AsyncGenerator<JsonLine> {
  const lines = createInterface({ input: await opened(file), crlfDelay: Infinity });
  let number = 0;
  let fault: Error | null = null;
  for await (const line of lines) {
    if (fault !== null) throw fault;
    number++;
    if (line === "") continue;
    const where = `${file}, line ${number}`;
    const value = objectIn(line);
    if (value === null) fault = new Error(`${where} is not a JSON object`);
    else yield { value, where };
  }
  if (fault !== null && number === 1) throw fault; // Nothing else speaks for it.
}

async function opened(file: string): Promise<Readable> {
  const stream = createReadStream(file, "utf8");
  try {
    await once(stream, "open");
    return stream;
  } catch (error) {
    throw new Error(`${file} cannot be read: ${messageOf(error)}`, { cause: error });
  }
}

function objectIn(line: string): Readonly<Record<string, unknown>> | null {
  try {
    const value: unknown = JSON.parse(line);
    const isObject = typeof value === "object" && value !== null && !Array.isArray(value);
    return isObject ? (value as Readonly<Record<string, unknown>>) : null;
  } catch {
    return null; // Where it is not the last, the caller is told.
  }
}
