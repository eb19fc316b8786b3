import { tokenOf } from "../../../engine/gateway/token.ts";
import type { ClientEntry } from "../client-entry.ts";
import type { CommandResult } from "../client-history.ts";
import { answer, type Damage, insert, lose, pick, refused, repliesWhere } from "./damage.ts";
import type { History } from "./history.ts";

type Command = Extract<ClientEntry, { readonly f: "command" }>;
type Told = Command & { readonly type: "ok"; readonly result: CommandResult };
type Read = Extract<ClientEntry, { readonly f: "query" }> & {
  readonly type: "ok";
  readonly version: number;
};

const isTold = (entry: ClientEntry): entry is Told => entry.f === "command" && entry.type === "ok";
const isRead = (entry: ClientEntry): entry is Read => entry.f === "query" && entry.type === "ok";

function change<T extends ClientEntry>({ clients }: History, entry: T, to: Partial<T>): void {
  clients[clients.indexOf(entry)] = { ...entry, ...to };
}

function isSentOnce({ clients }: History): (of: Told) => boolean {
  const sent = clients.flatMap((e) =>
    e.f === "command" && e.type === "invoke" ? [e.commandId] : [],
  );
  return ({ commandId }) => sent.indexOf(commandId) === sent.lastIndexOf(commandId);
}

function retell(it: History, result: (was: CommandResult) => Partial<CommandResult>): void {
  const told = pick(it, it.clients.filter(isTold));
  change(it, told, { result: { ...told.result, ...result(told.result) } });
}

/** What a client was told that the log does not say, or was not told that it does. */
export const onAnswersToClients: readonly Damage[] = [
  {
    what: "a client was told another outcome",
    breaks: "history",
    apply: (it) => {
      retell(it, ({ outcome }) => ({ outcome: outcome === "accepted" ? "rejected" : "accepted" }));
    },
  },
  {
    what: "a client was told another version",
    breaks: "history",
    apply: (it) => {
      retell(it, ({ version }) => ({ version: version + 1 }));
    },
  },
  {
    what: "a client was told another reason",
    breaks: "history",
    apply: (it) => {
      retell(it, () => ({ reason: "SomethingElse" }));
    },
  },
  {
    what: "a client was told another offset",
    breaks: "history",
    apply: (it) => {
      retell(it, () => ({ commandOffset: "100000" }));
    },
  },
  {
    what: "a client was told another partition",
    breaks: "history",
    apply: (it) => {
      retell(it, () => ({ partition: 1 }));
    },
  },
  {
    what: "a client was told of a first handling as of a duplicate",
    breaks: "history",
    apply: (it) => {
      const told = pick(it, it.clients.filter(isTold).filter(isSentOnce(it)));
      change(it, told, { result: { ...told.result, duplicate: true } });
    },
  },
  {
    what: "a client was told an answer to a command that is not in the log",
    breaks: "history",
    apply: (it) => {
      const told = pick(it, it.clients.filter(isTold));
      const { process, commandId } = told;
      for (const entry of it.clients.filter((e) => e.process === process)) {
        change(it, entry as Command, { commandId: `${commandId}-invented` });
      }
    },
  },
  {
    what: "an answer that a client was told is lost",
    breaks: "history",
    apply: (it) => {
      const { result } = pick(it, it.clients.filter(isTold));
      const isIt = repliesWhere(it, (r) => String(r.commandOffset) === result.commandOffset);
      lose(it, "replies", pick(it, isIt).record);
    },
  },
  {
    what: "a client got the token of another version",
    breaks: "history",
    apply: (it) => {
      const told = pick(
        it,
        it.clients.filter(isTold).filter(({ token }) => token !== undefined),
      );
      const { version, commandOffset } = told.result;
      change(it, told, { token: tokenFor(it, told.aggregateId, version + 1, commandOffset) });
    },
  },
  {
    what: "a command that was certainly never sent is in the log",
    breaks: "history",
    apply: (it) => {
      const told = pick(it, it.clients.filter(isTold).filter(isSentOnce(it)));
      const { t, process, aggregate, aggregateId, f, commandId } = told;
      const failed = { t, process, aggregate, aggregateId, f, commandId, type: "fail" } as const;
      it.clients[it.clients.indexOf(told)] = failed;
    },
  },
];

/** Reads that show too little or too much, and an order that real time does not allow. */
export const onReads: readonly Damage[] = [
  {
    what: "a view shows a version that the log does not have",
    breaks: "history",
    apply: (it) => {
      change(it, pick(it, it.clients.filter(isRead)), { version: 1_000 });
    },
  },
  {
    what: "a token is not honoured",
    breaks: "I12",
    apply: (it) => {
      const read = pick(
        it,
        it.clients.filter(isRead).filter(({ token }) => token !== null),
      );
      const saying = it.clients.filter(isTold).find(({ token }) => token === read.token);
      const due = saying?.result.version ?? 1;
      change(it, read, { version: Math.floor(it.random() * due) });
    },
  },
  {
    what: "a token of another account in the same partition is not honoured",
    breaks: "I12",
    apply: (it) => {
      const token = tokenFor(it, "b", 1_000, String(it.ends.commands));
      const shown = it.clients.filter(isRead).filter(({ version }) => version > 0);
      const read = pick(it, shown);
      change(it, read, { token, version: read.version - 1 });
    },
  },
  {
    what: "a command that was sent after another was answered stands before it in the log",
    breaks: "order",
    apply: (it) => {
      const all = it.clients.filter(isTold);
      const hasLater = ({ commandId, aggregateId, result }: Told) =>
        all.some(
          (other) =>
            other.aggregateId === aggregateId &&
            other.commandId !== commandId &&
            other.result.outcome !== "failed" &&
            !other.result.duplicate &&
            Number(other.result.commandOffset) > Number(result.commandOffset),
        );
      const told = all
        .filter(isSentOnce(it))
        .filter((told) => told.result.outcome !== "failed" && hasLater(told));
      // Sent, and answered, when all else was over.
      const late = pick(it, told);
      const own = it.clients.filter(({ process }) => process === late.process);
      it.clients.splice(0, Infinity, ...it.clients.filter((e) => !own.includes(e)), ...own);
    },
  },
  {
    what: "a read shows what was sent only after it",
    breaks: "order",
    apply: (it) => {
      const told = it.clients
        .filter(isTold)
        .filter(isSentOnce(it))
        .filter(({ result }) => result.outcome === "accepted");
      const { aggregateId, result, t } = pick(it, told);
      const read = { t, process: "seer", aggregate: "account", aggregateId, token: null } as const;
      it.clients.unshift(
        { ...read, f: "query", type: "invoke" },
        { ...read, f: "query", type: "ok", version: result.version },
      );
    },
  },
  {
    what: "a client reads something older than it has read before",
    breaks: "order",
    apply: (it) => {
      const read = pick(
        it,
        it.clients.filter(isRead).filter(({ version }) => version > 0),
      );
      const { process, aggregateId, view } = read;
      const older = { ...read, ...(view !== undefined && { view }), token: null };
      it.clients.push(
        { ...older, process, aggregateId, type: "invoke" },
        {
          ...older,
          process,
          aggregateId,
          version: Math.floor(it.random() * read.version),
        },
      );
    },
  },
];

/** Poison that went missing, and dead letters of what was none. */
export const onKnownPoison: readonly Damage[] = [
  {
    what: "poison that was sent is nowhere",
    breaks: "I10",
    apply: (it) => {
      const common = { t: 0, process: "p", aggregate: "account", f: "poison", id: "lost" } as const;
      it.clients.push({ ...common, type: "invoke" }, { ...common, type: "ok" });
    },
  },
  {
    what: "poison was never sent that is in the log",
    breaks: "I10",
    apply: (it) => {
      const poison = pick(
        it,
        it.clients.filter((e) => e.f === "poison" && e.type === "ok"),
      );
      change(it, poison, { type: "fail" });
    },
  },
  {
    what: "a dead letter is of nothing that was sent as poison",
    breaks: "I10",
    apply: (it) => {
      const ids = it.clients.flatMap((e) => (e.f === "poison" ? [e.id] : []));
      const id = pick(it, ids);
      it.clients.splice(0, Infinity, ...it.clients.filter((e) => e.f !== "poison" || e.id !== id));
    },
  },
  {
    what: "poison was set aside for another reason than there is",
    breaks: "I10",
    apply: (it) => {
      const poison = pick(
        it,
        it.clients.filter((e) => e.f === "poison"),
      );
      for (const entry of it.clients.filter((e) => e.f === "poison" && e.id === poison.id)) {
        change(it, entry, { code: "TOO_DEEP" });
      }
    },
  },
  {
    what: "a good command is a dead letter, with a failed reply that fits",
    breaks: "I10",
    apply: (it) => {
      const code = "INVALID_AVRO";
      const isHeard = new Set(it.clients.flatMap((e) => (e.f === "command" ? [e.commandId] : [])));
      const ofClients = repliesWhere(it, (r) => {
        return refused(r) && r.commandId !== null && isHeard.has(r.commandId);
      });
      const replied = pick(it, ofClients);
      const letter = it.log.dlq[0];
      const { commandOffset } = replied.reply;
      const command = it.log.commands.find(({ offset }) => Number(offset) === commandOffset);
      if (letter === undefined || command === undefined) throw new Error("There is no dead letter");
      const headers = letter.headers
        .filter(([name]) => name.startsWith("__connect") || name.startsWith("foldlog"))
        .map(([name, value]): [string, Buffer | null] => {
          if (/offset/.test(name)) return [name, Buffer.from(String(commandOffset))];
          return /code/.test(name) ? [name, Buffer.from(code)] : [name, value];
        });
      const dead = { ...command, headers, writer: "1/0" };
      const before = it.log.dlq.findLast(
        (other) => Number(offsetOf(other.headers)) < commandOffset,
      );
      if (before === undefined) it.log.dlq.unshift(dead);
      else insert(it, "dlq", dead, before);
      answer(it, replied, { outcome: "failed", reason: code, version: null });
    },
  },
];

function offsetOf(headers: readonly (readonly [string, Buffer | null])[]): string {
  return String(headers.find(([name]) => /offset/.test(name))?.[1] ?? "");
}

function tokenFor(
  { topics }: History,
  aggregateId: string,
  version: number,
  commandOffset: string,
): string {
  const of = { topic: topics.events.name, partition: 0, aggregateId, version };
  return tokenOf({ ...of, commandOffset: BigInt(commandOffset) }, 1);
}
