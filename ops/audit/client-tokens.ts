import type { ClientAggregate, ClientRead } from "./clients.ts";
import type { Findings } from "./findings.ts";

/** What a token says, read by other code than the gateway's. */
export interface TokenSaid {
  readonly topic: string;
  readonly partition: number;
  readonly commandOffset: number;
  readonly aggregateId: string;
  readonly version: number;
}

/** `null` for what is none. */
export function tokenIn(text: string): TokenSaid | null {
  try {
    const [encoded = ""] = text.split(".");
    const fields: unknown = JSON.parse(Buffer.from(encoded, "base64url").toString("utf8"));
    if (!Array.isArray(fields)) return null;
    const [, , topic, partition, commandOffset, aggregateId, version] = fields as unknown[];
    if (typeof topic !== "string" || typeof aggregateId !== "string") return null;
    const numbers = [partition, commandOffset, version].map(Number);
    if (!numbers.every((it) => Number.isSafeInteger(it))) return null;
    const [inPartition = 0, offset = 0, at = 0] = numbers;
    return { topic, aggregateId, partition: inPartition, commandOffset: offset, version: at };
  } catch {
    return null; // Not what an accepted command gives.
  }
}

export interface TokenReads {
  readonly aggregateId: string;
  readonly aggregate: ClientAggregate;
  /** Where the aggregate lives. */
  readonly partition: number;
  readonly findings: Findings;
}

/** I12: with a token a read shows the aggregate at least as it was when the token's command was done. */
export function checkTokens({ aggregateId, aggregate, partition, findings }: TokenReads): void {
  for (const read of aggregate.reads) {
    if (read.token === null) continue;
    const token = tokenIn(read.token);
    if (token !== null && token.aggregateId !== aggregateId && token.partition !== partition) {
      continue; // It says nothing about this partition.
    }
    findings.check("I12");
    const due = token === null ? null : dueVersion(token, aggregateId, aggregate);
    if (due !== null && read.version >= due) continue;
    findings.add({
      invariant: "I12",
      at: `client ${read.who}`,
      aggregateId,
      expected: due === null ? "a token of an accepted command" : shownDue(due, read),
      found: due === null ? read.token : `version ${read.version}`,
    });
  }
}

/** The version that a view has which has everything up to the token's command. */
function dueVersion(token: TokenSaid, aggregateId: string, { writers }: ClientAggregate): number {
  if (token.aggregateId === aggregateId) return token.version;
  let version = 0;
  for (let above = writers.length; version < above;) {
    const middle = (version + above) >> 1;
    if ((writers[middle] ?? 0) <= token.commandOffset) version = middle + 1;
    else above = middle;
  }
  return version;
}

function shownDue(due: number, { token }: ClientRead): string {
  return `at least version ${due}, as its token ${JSON.stringify(tokenIn(token ?? ""))} has it`;
}
