import type { CommandResult, HistoryEntry, PoisonEntry } from "./client-history.ts";
import { jsonLines } from "./json-lines.ts";

/** Lines of client histories, checked for their form. */

export type ClientEntry = HistoryEntry | PoisonEntry;

/**
 * The entries of a file.
 * @throws Error with the file, the line and what is wrong with it
 */
export async function* readClientEntries(file: string): AsyncGenerator<ClientEntry> {
  for await (const { value, where } of jsonLines(file)) {
    const fault = faultOf(value);
    if (fault !== null) throw new Error(`${where} is no entry of a client history: ${fault}`);
    yield value as unknown as ClientEntry;
  }
}

type Fields = Readonly<Record<string, unknown>>;

const types = ["invoke", "ok", "fail", "info"];
const outcomes = ["accepted", "rejected", "conflict", "failed"];

function faultOf(entry: Fields): string | null {
  const { t, process, aggregate, aggregateId, f, type } = entry;
  if (typeof t !== "number") return "t is not a number of milliseconds";
  if (typeof process !== "string") return "process is not a name";
  if (typeof aggregate !== "string") return "aggregate is not a name";
  if (!types.includes(String(type))) return `type is not one of ${types.join(", ")}`;
  if (f === "poison") return typeof entry["id"] === "string" ? null : "id is not a text";
  if (typeof aggregateId !== "string") return "aggregateId is not a text";
  if (f === "command") return commandFault(entry);
  if (f === "query") return queryFault(entry);
  return "f is not one of command, query, poison";
}

function commandFault({ type, commandId, result, token }: Fields): string | null {
  if (typeof commandId !== "string") return "commandId is not a text";
  if (token !== undefined && typeof token !== "string") return "token is not a text";
  if (type !== "ok") return null;
  const { outcome, version, commandOffset, partition } = (result ?? {}) as Partial<CommandResult>;
  if (!outcomes.includes(String(outcome))) {
    return `result.outcome is not one of ${outcomes.join(", ")}`;
  }
  if (!Number.isSafeInteger(version)) return "result.version is not a whole number";
  if (!/^\d*$/.test(String(commandOffset))) return "result.commandOffset is not an offset";
  if (!Number.isSafeInteger(partition)) return "result.partition is not a whole number";
  return null;
}

function queryFault({ type, token, version }: Fields): string | null {
  if (token !== null && typeof token !== "string") return "token is neither a text nor null";
  if (type === "ok" && !Number.isSafeInteger(version)) return "version is not a whole number";
  return null;
}
