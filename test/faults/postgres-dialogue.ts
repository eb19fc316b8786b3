import { framesBy } from "./frames.ts";
import type { Dialogue, Request } from "./link.ts";

/** What a request to Postgres asks for, as far as faults tell it apart. */
export type Statement = "BEGIN" | "COMMIT" | "ROLLBACK" | "QUERY" | "STARTUP";

/**
 * As much of the Postgres protocol (version 3) as faults need. A request is a simple query, or what goes before
 * one Sync of the extended protocol; it is answered when the server is ready for the next. A COMMIT is found in
 * both, also as one statement of several. Behind TLS nothing is seen, and everything passes.
 */
export function postgresDialogue(): Dialogue {
  const texts = new Texts();
  const messages = framesBy(5, (head) => 1 + head.readInt32BE(1));
  const answered = framesBy(5, (head) => 1 + head.readInt32BE(1));
  /** Not answered yet, in order; the first is the one that is being answered. */
  const waiting: number[] = [];
  let id = 0;
  let group: Buffer[] = [];
  let stage: "before" | "asked for TLS" | "in clear" | "sealed" = "before";

  const whole = (name: Statement): Request => {
    const request = { id, name, bytes: Buffer.concat(group) };
    waiting.push(id++);
    group = [];
    return request;
  };

  const message = (bytes: Buffer): readonly Request[] => {
    const type = String.fromCharCode(bytes[0] ?? 0);
    group.push(bytes);
    texts.note(type, bytes);
    if (type === "Q" || type === "S" || type === "F") return [whole(texts.statement())];
    if (isPartOfGroup.has(type)) return [];
    const alone = Buffer.concat(group); // A password, a flush, copied data, a goodbye.
    group = [];
    return [{ id: waiting[0] ?? nobody, name: "", bytes: alone }];
  };

  return {
    requests(data) {
      if (stage === "sealed") return [{ id: nobody, name: "", bytes: data }];
      if (stage === "in clear") return messages(data).flatMap(message);
      group.push(data);
      const start = Buffer.concat(group);
      if (start.length < 8 || start.length < start.readInt32BE(0)) return [];
      group = [start];
      if (sealing.has(start.readInt32BE(4))) {
        stage = "asked for TLS";
        group = [];
        return [{ id: nobody, name: "", bytes: start }];
      }
      stage = "in clear";
      return [whole("STARTUP")];
    },
    answers(data) {
      if (stage === "asked for TLS" && data.length === 1) {
        stage = data.toString("latin1") === "N" ? "before" : "sealed";
        return [{ id: nobody, bytes: data }];
      }
      if (stage === "sealed") return [{ id: nobody, bytes: data }];
      return byRequest(answered(data), waiting);
    },
  };
}

/** What belongs to no request: it has no name, and no answer. */
const nobody = -1;

/** SSLRequest and GSSENCRequest. */
const sealing = new Set([80_877_103, 80_877_104]);

/** Parse, Bind, Execute, Describe, Close: their answers may wait for the Sync. */
const isPartOfGroup = new Set(["P", "B", "E", "D", "C"]);

/** Neighbours of one request as one. A ReadyForQuery ends a request's answer. */
function byRequest(frames: readonly Buffer[], waiting: number[]) {
  const answers: { id: number; parts: Buffer[] }[] = [];
  for (const frame of frames) {
    const id = waiting[0] ?? nobody;
    const last = answers.at(-1);
    if (last?.id === id) last.parts.push(frame);
    else answers.push({ id, parts: [frame] });
    if (frame[0] === "Z".charCodeAt(0)) waiting.shift();
  }
  return answers.map(({ id, parts }) => ({ id, bytes: joined(parts) }));
}

/** Without a copy where they lie next to each other in memory, as frames of one chunk do. */
function joined(parts: readonly Buffer[]): Buffer {
  const [first, last] = [parts[0], parts.at(-1)];
  if (first === undefined || last === undefined) return Buffer.alloc(0);
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  const end = last.byteOffset + last.length;
  if (first.buffer === last.buffer && end - first.byteOffset === length) {
    return Buffer.from(first.buffer, first.byteOffset, length);
  }
  return Buffer.concat(parts);
}

/** What the statements of a connection are: those that were prepared are run by their names. */
class Texts {
  private readonly prepared = new Map<string, Statement>();
  private readonly portals = new Map<string, Statement>();
  private run: Statement[] = [];

  note(type: string, bytes: Buffer): void {
    const [first = "", second = ""] = bytes.toString("latin1", 5, 5 + 4_096).split("\0");
    if (type === "Q") this.run.push(statementIn(first));
    if (type === "P") this.prepared.set(first, statementIn(second));
    if (type === "B") this.portals.set(first, this.prepared.get(second) ?? "QUERY");
    if (type === "E") this.run.push(this.portals.get(first) ?? "QUERY");
  }

  /** The most momentous since the last request. */
  statement(): Statement {
    const { run } = this;
    this.run = [];
    return (["COMMIT", "ROLLBACK", "BEGIN"] as const).find((it) => run.includes(it)) ?? "QUERY";
  }
}

function statementIn(text: string): Statement {
  const words = text.split(";").map((it) => /^\s*(\w+)/.exec(it)?.[1]?.toLowerCase());
  if (words.includes("commit") || words.includes("end")) return "COMMIT";
  if (words.includes("rollback") || words.includes("abort")) return "ROLLBACK";
  return words.includes("begin") || words.includes("start") ? "BEGIN" : "QUERY";
}
