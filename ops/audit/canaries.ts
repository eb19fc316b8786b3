import { createReadStream } from "node:fs";
import type { AuditRecord } from "./audited-log.ts";
import type { Findings } from "./findings.ts";

/** A text that must turn up nowhere: a password, a key, somebody's name that a test has made up. */
export interface Canary {
  /** What it is, as it is reported: the text itself is not. */
  readonly name: string;
  /** At least six characters, so that it is found by no chance. */
  readonly text: string;
}

/** Something that is searched: where it is, and its bytes, whole or in parts. */
export interface Searched {
  readonly at: string;
  readonly parts: Iterable<Uint8Array | string> | AsyncIterable<Uint8Array | string>;
}

/** A text, for example the answer of `/metrics`. */
export function searchedText(at: string, text: string): Searched {
  return { at, parts: [text] };
}

/** A file, for example a log, read as it streams by. */
export function searchedFile(file: string): Searched {
  return { at: file, parts: createReadStream(file) };
}

/**
 * A record, for example a dead letter: its headers and its key. Its value too, where `value` says so: that of a dead
 * letter is what somebody sent, and is kept as it came.
 */
export function searchedRecord(
  at: string,
  { key, headers, value }: Pick<AuditRecord, "key" | "headers" | "value">,
  searches: "value too" | "all but its value",
): Searched {
  const parts: Uint8Array[] = key === null ? [] : [key];
  for (const [name, content] of headers) {
    parts.push(Buffer.from(`\n${name}: `), content ?? Buffer.alloc(0));
  }
  if (searches === "value too" && value !== null) parts.push(Buffer.from("\n"), value);
  return { at, parts };
}

const leastLength = 6;

/**
 * I16: looks for each canary in each source, as it is and as JSON, an address and base64 write it. One violation for a
 * canary and source, however often it is in it.
 * @throws RangeError for a canary that is too short
 */
export async function checkCanaries(
  canaries: readonly Canary[],
  sources: Iterable<Searched> | AsyncIterable<Searched>,
  findings: Findings,
): Promise<void> {
  const forms = canaries.map(({ name, text }) => {
    if (text.length < leastLength) throw new RangeError(`The canary ${name} is too short`);
    return { name, written: writtenForms(text) };
  });
  const longest = Math.max(0, ...forms.flatMap((it) => it.written.map(({ length }) => length)));
  for await (const { at, parts } of sources) {
    findings.check("I16");
    const missing = new Set(forms);
    let rest = Buffer.alloc(0);
    for await (const part of parts) {
      const window = Buffer.concat([rest, typeof part === "string" ? Buffer.from(part) : part]);
      for (const form of missing) {
        if (!form.written.some((it) => window.includes(it))) continue;
        missing.delete(form);
        findings.add({ invariant: "I16", at, expected: `no ${form.name}`, found: "it" });
      }
      // What a part ends with may be the beginning of one.
      rest = window.subarray(Math.max(0, window.length - longest + 1));
    }
  }
}

function writtenForms(text: string): readonly Buffer[] {
  const plain = Buffer.from(text, "utf8");
  const forms = new Set([
    text,
    JSON.stringify(text).slice(1, -1),
    encodeURIComponent(text),
    plain.toString("hex"),
    ...[0, 1, 2].flatMap((before) => base64At(plain, before)),
  ]);
  return [...forms].map((form) => Buffer.from(form, "utf8"));
}

/** What of it is the same in every base64 text in which so many bytes modulo 3 stand before it. */
function base64At(plain: Buffer, before: number): readonly string[] {
  const padded = Buffer.concat([Buffer.alloc(before), plain]);
  const encoded = padded.toString("base64").replace(/=+$/, "");
  const first = before === 0 ? 0 : before + 1;
  const whole = Math.floor((padded.length * 8) / 6);
  const certain = encoded.slice(first, whole);
  return [certain, certain.replaceAll("+", "-").replaceAll("/", "_")];
}
