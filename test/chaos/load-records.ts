import type { Codec } from "../../engine/codec.ts";
import type { OutRecord } from "../../engine/log.ts";
import { commandRecord, commandTypeOf } from "../../engine/sending/command-record.ts";
import { type AggregateTopics, maxRecordBytes } from "../../engine/topic.ts";
import { type Poison, poisons } from "../poisons.ts";
import { poisonHeader } from "./history.ts";
import type { DrawnCommand } from "./load-commands.ts";

/** What was drawn → the record that carries it. */

export interface Bank {
  readonly topics: AggregateTopics;
  readonly codec: Codec;
}

/** The record of a command; `null` for one that is larger than the log takes, which nobody can send. */
export function recordOf(bank: Bank, command: DrawnCommand): OutRecord | null {
  const { topics, codec } = bank;
  const type = commandTypeOf([topics], command.type);
  if (type === null) throw new Error(`${command.type} is no command of ${topics.aggregate}`);
  const made = commandRecord(codec, type, fieldsOf(command));
  if (made.kind === "too large") return null;
  if (made.kind === "refused") throw new Error(made.problems.map((it) => it.message).join("; "));
  const { record } = made.outgoing;
  if (command.how !== "wrong partition") return record;
  return { ...record, partition: (record.partition + 1) % topics.commands.partitions };
}

/** The command's fields as JSON has them. */
export function fieldsOf(command: DrawnCommand): Readonly<Record<string, unknown>> {
  const { commandId, accountId, fields, expectedVersion, how } = command;
  const common = { commandId, accountId, ...fields };
  const expected = expectedVersion === null ? {} : { expectedVersion };
  if (how === "fits") return { ...common, ...expected, reference: "x".repeat(largest) };
  if (how === "too large") return { ...common, ...expected, reference: "x".repeat(maxRecordBytes) };
  return { ...common, ...expected };
}

/** A reference so long that the command's record is just small enough. */
const largest = maxRecordBytes - 400;

/** Found by the bytes alone, before anybody asks whose they are: these may stand on any partition. */
const unreadable: readonly string[] = [
  ...["BAD_WIRE_FORMAT", "UNKNOWN_SCHEMA", "FOREIGN_RECORD_TYPE", "TRUNCATED", "TRAILING_BYTES"],
  ...["INVALID_UTF8", "LONG_OUT_OF_RANGE"],
];
/** Commands on wrong partitions are drawn as such. */
const kinds = poisons.filter(({ code }) => code !== "WRONG_PARTITION");

/** A record that no worker can process, and the code that it is to be answered with. */
export function poisonOf(
  bank: Bank,
  { which, id }: { readonly which: number; readonly id: string },
): { readonly record: OutRecord; readonly code: Poison["code"] } {
  const { code, record: make } = kinds[which % kinds.length] as Poison;
  const record = make(bank);
  const { partitions } = bank.topics.commands;
  const partition = unreadable.includes(code) ? which % partitions : record.partition;
  return { record: { ...record, partition, headers: [[poisonHeader, id]] }, code };
}
