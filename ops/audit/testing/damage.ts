import type { Position, Reply } from "../../../engine/generated.ts";
import { headers } from "../../../engine/message.ts";
import type { TopicKind } from "../../../engine/topic.ts";
import type { AuditRecord } from "../audited-log.ts";
import type { BalanceRow } from "../bank-views.ts";
import type { Invariant } from "../findings.ts";
import type { History } from "./history.ts";

/** Something that may happen to a history, and the invariant that must name it. */
export interface Damage {
  readonly what: string;
  readonly breaks: Invariant;
  readonly apply: (history: History) => void;
}

type Fields = Readonly<Record<string, unknown>>;

export function pick<T>({ random }: History, from: readonly T[]): T {
  if (from.length === 0) throw new Error("The history has nothing to damage in this way");
  return from[Math.floor(random() * from.length)] as T;
}

export function lose({ log }: History, kind: TopicKind, record: AuditRecord): void {
  log[kind].splice(log[kind].indexOf(record), 1);
}

export function replace(
  { log }: History,
  kind: TopicKind,
  record: AuditRecord,
  change: Partial<AuditRecord>,
): void {
  log[kind][log[kind].indexOf(record)] = { ...record, ...change };
}

/** Puts it right behind another record, or at the end of the log. */
export function insert(
  history: History,
  kind: TopicKind,
  record: AuditRecord,
  after: AuditRecord | null,
): void {
  const { log, ends } = history;
  history.snapshotsEndNow++;
  if (after !== null) log[kind].splice(log[kind].indexOf(after) + 1, 0, record);
  else log[kind].push({ ...record, offset: ends[kind]++ });
}

export interface Replied {
  readonly record: AuditRecord;
  readonly reply: Reply;
}

export function repliesWhere(
  { topics, codec, log }: History,
  fits: (reply: Reply) => boolean,
): Replied[] {
  return log.replies
    .map((record) => {
      const { data } = codec.decode(topics.replies, record.value as Buffer);
      return { record, reply: data as unknown as Reply };
    })
    .filter(({ reply }) => fits(reply));
}

export function answer(history: History, { record, reply }: Replied, change: Partial<Reply>): void {
  const { topics, codec } = history;
  const value = Buffer.from(codec.encode(topics.replies, "Reply", { ...reply, ...change }));
  replace(history, "replies", record, { value });
}

export interface Happened {
  readonly record: AuditRecord;
  readonly type: string;
  readonly data: Fields;
}

export function eventsWhere(
  { topics, codec, log }: History,
  fits: (event: Happened) => boolean = () => true,
): Happened[] {
  return log.events
    .map((record) => ({ record, ...codec.decode(topics.events, record.value as Buffer) }))
    .filter(fits);
}

export const isMoney = ({ type }: Happened) => type.startsWith("Funds");

export function withHeader(record: AuditRecord, name: string, value: string | null) {
  const others = record.headers.filter(([it]) => it !== name);
  const own: [string, Buffer][] = value === null ? [] : [[name, Buffer.from(value)]];
  return { headers: [...others, ...own] };
}

export function reposition(
  history: History,
  change: (last: Position) => Partial<Position>,
): AuditRecord {
  const { topics, codec, log } = history;
  const record = log.snapshots.findLast(({ key }) => String(key) === "@position") as AuditRecord;
  const last = codec.decode(topics.snapshots, record.value as Buffer).data as unknown as Position;
  const next = { ...last, ...change(last) };
  const value = Buffer.from(codec.encode(topics.snapshots, "Position", next));
  replace(history, "snapshots", record, { value });
  return record;
}

export function resnapshot(history: History, change: (state: Fields) => Fields): void {
  const { topics, codec, log } = history;
  const latest = new Map(log.snapshots.map((record) => [String(record.key), record]));
  latest.delete("@position");
  const record = pick(history, [...latest.values()]);
  const { data } = codec.decode(topics.snapshots, record.value as Buffer);
  const value = Buffer.from(codec.encode(topics.snapshots, "AccountState", change(data)));
  replace(history, "snapshots", record, { value });
}

export function changeRow(
  history: History,
  change: (row: BalanceRow) => Partial<BalanceRow>,
): void {
  const [accountId, row] = pick(history, [...history.balances]);
  history.balances.set(accountId, { ...row, ...change(row) });
}

export const accepted = (reply: Reply) => reply.outcome === "accepted" && !reply.duplicate;
export const refused = (reply: Reply) => reply.outcome === "rejected" && !reply.duplicate;
export const poisoned = ({ outcome, reason }: Reply) =>
  outcome === "failed" && ["BAD_WIRE_FORMAT", "NULL_KEY"].includes(reason ?? "");

export function commandOffsetOf(record: AuditRecord): string {
  return String(record.headers.find(([name]) => name === headers.commandOffset)?.[1]);
}
