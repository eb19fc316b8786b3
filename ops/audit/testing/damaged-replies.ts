import type { AuditRecord } from "../audited-log.ts";
import {
  answer,
  type Damage,
  insert,
  lose,
  pick,
  refused,
  replace,
  repliesWhere,
} from "./damage.ts";

/** Replies lost, doubled, changed, or about something else. */
export const onReplies: readonly Damage[] = [
  {
    what: "a reply is lost",
    breaks: "I4",
    apply: (it) => {
      lose(it, "replies", pick(it, it.log.replies));
    },
  },
  {
    what: "a reply is there twice, side by side",
    breaks: "I4",
    apply: (it) => {
      const record = pick(it, it.log.replies);
      insert(it, "replies", record, record);
    },
  },
  {
    what: "a reply is there again at the end of the log",
    breaks: "I4",
    apply: (it) => {
      insert(it, "replies", pick(it, it.log.replies), null);
    },
  },
  {
    what: "a duplicate got another version",
    breaks: "I4",
    apply: (it) => {
      const replied = pick(
        it,
        repliesWhere(it, ({ duplicate }) => duplicate),
      );
      answer(it, replied, { version: (replied.reply.version ?? 0) + 1 });
    },
  },
  {
    what: "a duplicate got another outcome",
    breaks: "I4",
    apply: (it) => {
      const replied = pick(
        it,
        repliesWhere(it, ({ duplicate }) => duplicate),
      );
      const isAccepted = replied.reply.outcome === "accepted";
      answer(it, replied, { outcome: isAccepted ? "rejected" : "accepted" });
    },
  },
  {
    what: "a duplicate was answered as if it were the first",
    breaks: "I4",
    apply: (it) => {
      const replied = pick(
        it,
        repliesWhere(it, ({ duplicate }) => duplicate),
      );
      const { commandOffset: firstOffset } = replied.reply;
      answer(it, replied, { duplicate: false, firstOffset });
    },
  },
  {
    what: "a duplicate repeats an answer that was never given",
    breaks: "I4",
    apply: (it) => {
      const replied = pick(it, repliesWhere(it, refused));
      answer(it, replied, { duplicate: true, firstOffset: replied.reply.commandOffset - 1 });
    },
  },
  {
    what: "the final answer was changed after it had been repeated",
    breaks: "I4",
    apply: (it) => {
      const repeated = repliesWhere(it, ({ duplicate }) => duplicate).map((r) => r.reply);
      const firsts = repliesWhere(it, (reply) =>
        repeated.some((it) => it.firstOffset === reply.commandOffset),
      );
      answer(it, pick(it, firsts), { reason: "changed" });
    },
  },
  {
    what: "a rejection met another version than there was",
    breaks: "I4",
    apply: (it) => {
      const replied = pick(it, repliesWhere(it, refused));
      answer(it, replied, { version: (replied.reply.version ?? 0) + 1 });
    },
  },
  {
    what: "a conflict is answered where none was",
    breaks: "I4",
    apply: (it) => {
      answer(it, pick(it, repliesWhere(it, refused)), { outcome: "conflict", reason: null });
    },
  },
  {
    what: "a reply is under another key",
    breaks: "I4",
    apply: (it) => {
      replace(it, "replies", pick(it, it.log.replies), { key: Buffer.from("another") });
    },
  },
  {
    what: "a reply is about another command",
    breaks: "I4",
    apply: (it) => {
      const replied = pick(it, repliesWhere(it, refused));
      const key = Buffer.from("another");
      answer(it, replied, { commandId: "another" });
      const moved = it.log.replies.find(({ offset }) => offset === replied.record.offset);
      replace(it, "replies", moved as AuditRecord, { key });
    },
  },
  {
    what: "a reply is about another aggregate",
    breaks: "I4",
    apply: (it) => {
      answer(it, pick(it, repliesWhere(it, refused)), { aggregateId: "another" });
    },
  },
  {
    what: "a reply answers no command",
    breaks: "I4",
    apply: (it) => {
      lose(it, "commands", pick(it, it.log.commands));
    },
  },
  {
    what: "two replies have changed places",
    breaks: "I4",
    apply: (it) => {
      const i = Math.floor(it.random() * (it.log.replies.length - 1));
      const [a, b] = it.log.replies.slice(i, i + 2) as [AuditRecord, AuditRecord];
      it.log.replies.splice(i, 2, b, a);
    },
  },
  {
    what: "a reply names a command that is not there yet",
    breaks: "I4",
    apply: (it) => {
      answer(it, pick(it, repliesWhere(it, refused)), { commandOffset: 1_000_000 });
    },
  },
  {
    what: "a reply's bytes are garbled",
    breaks: "I4",
    apply: (it) => {
      replace(it, "replies", pick(it, it.log.replies), { value: Buffer.from("garbled") });
    },
  },
];
