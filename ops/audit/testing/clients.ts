import { tokenOf } from "../../../engine/gateway/token.ts";
import type { Reply } from "../../../engine/generated.ts";
import { headerOf } from "../../../engine/log.ts";
import type { AuditRecord } from "../audited-log.ts";
import type { ClientEntry } from "../client-entry.ts";
import { type CommandResult, poisonHeader } from "../client-history.ts";
import type { PositionSample } from "../samples.ts";
import { commandOffsetOf } from "./damage.ts";
import type { History } from "./history.ts";

/** What clients may have seen of a made history: each command is sent before its place in the log, and told later. */

/** An entry and when it was written; a command at offset n got to the log at the time n. */
interface Timed {
  readonly at: number;
  readonly entry: ClientEntry;
}

export function clientsOf(history: History): ClientEntry[] {
  const { topics, codec, log, random } = history;
  const spread = () => random() * 6;
  const written: Timed[] = [];
  const replies = new Map(
    log.replies.map((record) => {
      const { data } = codec.decode(topics.replies, record.value as Buffer);
      const reply = data as unknown as Reply;
      return [reply.commandOffset, reply] as const;
    }),
  );
  log.commands.forEach((record) => {
    const offset = Number(record.offset);
    const reply = replies.get(offset);
    if (reply === undefined) return;
    const [from, to] = [offset - spread(), offset + spread()];
    const said = saidOf(history, record, reply);
    if (said === null) return;
    const { begun, ended } = said;
    // Not everybody hears the answer.
    const isUnheard = random() < 0.1 && begun.f === "command";
    const { commandId, aggregateId } = reply;
    const end = isUnheard ? { f: "command", type: "info", commandId, aggregateId } : ended;
    const about = { process: `c-${offset}`, aggregate: topics.aggregate };
    written.push({ at: from, entry: { ...begun, ...about, t: from } });
    written.push({ at: to, entry: { ...end, ...about, t: to } as ClientEntry });
  });
  written.push(...neverSent(history), ...readsOf(history, [...replies.values()]));
  return written.sort((a, b) => a.at - b.at).map(({ entry }) => entry);
}

/** What the client of that record wrote, but for when. */
function saidOf({ topics }: History, record: AuditRecord, reply: Reply) {
  const poison = headerOf(record, poisonHeader);
  if (poison !== null) {
    const code = reply.reason ?? "";
    const said = { f: "poison", id: poison, code } as const;
    return { begun: { ...said, type: "invoke" }, ended: { ...said, type: "ok" } } as const;
  }
  const { commandId, aggregateId, outcome, version, reason, duplicate, commandOffset } = reply;
  if (commandId === null || aggregateId === null) return null;
  const said = { f: "command", commandId, aggregateId } as const;
  const result: CommandResult = {
    ...{ outcome, version: version ?? 0, reason, duplicate, partition: 0 },
    commandOffset: String(commandOffset),
  };
  const token = tokenOf(
    {
      ...{ topic: topics.events.name, partition: 0, aggregateId, version: version ?? 0 },
      commandOffset: BigInt(reply.firstOffset),
    },
    1,
  );
  const isAccepted = outcome === "accepted";
  return {
    begun: { ...said, type: "invoke", expectedVersion: null },
    ended: { ...said, type: "ok", result, ...(isAccepted && { token }) },
  } as const;
}

function neverSent({ topics, random }: History): readonly Timed[] {
  return [1, 2, 3].flatMap((i) => {
    const at = random() * 50;
    const common = { t: at, process: `n-${i}`, aggregate: topics.aggregate, aggregateId: "a" };
    const command = { ...common, f: "command", commandId: `never-${i}` } as const;
    return [
      { at, entry: { ...command, type: "invoke", expectedVersion: null } },
      { at: at + 1, entry: { ...command, type: "fail" } },
    ] as const;
  });
}

/** Some clients look at some accounts now and then, in a view that is behind and goes forward. */
function readsOf({ topics, log, random }: History, replies: readonly Reply[]): readonly Timed[] {
  const all: Timed[] = [];
  const end = log.commands.length;
  for (const reader of ["r-1", "r-2", "r-3"]) {
    let reached = -1;
    for (let now = random() * 8; now < end + 5; now += 2 + random() * 5) {
      const answered = replies.filter(({ outcome, commandOffset }) => {
        return outcome === "accepted" && commandOffset + 6 < now;
      });
      const of = answered[Math.floor(random() * answered.length)];
      const withToken = of !== undefined && random() < 0.5;
      const due = withToken ? of.firstOffset : -1;
      // Behind by a while, and never more than there is.
      reached = Math.max(reached, due, Math.floor(now - 1 - random() * 15));
      const aggregateId = of?.aggregateId ?? "a";
      const version = versionAt(log.events, aggregateId, reached);
      const token = withToken
        ? tokenOf(
            {
              ...{ topic: topics.events.name, partition: 0, aggregateId },
              ...{ commandOffset: BigInt(of.firstOffset), version: of.version ?? 1 },
            },
            1,
          )
        : null;
      const common = { process: reader, aggregate: topics.aggregate, aggregateId, token };
      const read = { ...common, f: "query", view: "balances" } as const;
      all.push({ at: now, entry: { ...read, t: now, type: "invoke" } });
      all.push({ at: now + 1, entry: { ...read, t: now + 1, type: "ok", version } });
    }
  }
  return all;
}

/** The account's version when everything up to that command is done. */
function versionAt(events: readonly AuditRecord[], aggregateId: string, offset: number): number {
  const own = events.filter(({ key }) => String(key).startsWith(`${aggregateId}/`));
  return own.filter((event) => Number(commandOffsetOf(event)) <= offset).length;
}

/** Positions that go forward, looked at ten times. */
export function samplesOf({ topics, ends, checkpoints }: History): PositionSample[] {
  const part = (offset: bigint, i: number) => String((offset * BigInt(i)) / 10n);
  const { commands, events } = topics;
  return Array.from({ length: 10 }, (_, i) => ({
    kind: "seen",
    t: i * 1_000,
    views: (["balances", "statements"] as const).map((projection) => ({
      ...{ projection, version: 1, topic: events.name, partition: 0 },
      nextOffset: part(checkpoints[projection].nextOffset, i + 1),
    })),
    groups: [
      {
        ...{ group: "bank.account", topic: commands.name, partition: 0 },
        offset: i === 0 ? null : part(ends.commands, i + 1),
      },
    ],
    ends: [
      { topic: commands.name, partition: 0, end: String(ends.commands) },
      { topic: events.name, partition: 0, end: part(ends.events, i + 1) },
    ],
  }));
}
