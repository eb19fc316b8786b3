import { headers } from "../../../engine/message.ts";
import type { AuditRecord } from "../audited-log.ts";
import {
  accepted,
  answer,
  commandOffsetOf,
  type Damage,
  insert,
  lose,
  pick,
  refused,
  replace,
  repliesWhere,
  withHeader,
} from "./damage.ts";

/** Events lost, doubled, torn off, reordered, and events of commands that were not accepted. */
export const onEvents: readonly Damage[] = [
  {
    what: "an event is lost",
    breaks: "I1",
    apply: (it) => {
      lose(it, "events", pick(it, it.log.events));
    },
  },
  {
    what: "an event names another command id",
    breaks: "I1",
    apply: (it) => {
      const record = pick(it, it.log.events);
      replace(it, "events", record, withHeader(record, headers.commandId, "another"));
    },
  },
  {
    what: "an accepted reply names another version",
    breaks: "I1",
    apply: (it) => {
      const replied = pick(it, repliesWhere(it, accepted));
      answer(it, replied, { version: (replied.reply.version ?? 0) + 1 });
    },
  },
  {
    what: "an event is there twice, side by side",
    breaks: "I2",
    apply: (it) => {
      const record = pick(it, it.log.events);
      insert(it, "events", record, record);
    },
  },
  {
    what: "an event is there again at the end of the log",
    breaks: "I2",
    apply: (it) => {
      insert(it, "events", pick(it, it.log.events), null);
    },
  },
  {
    what: "a duplicate has an effect of its own",
    breaks: "I2",
    apply: (it) => {
      const isLast = repliesWhere(it, (reply) => reply.duplicate && reply.outcome === "accepted");
      const { reply } = pick(it, isLast);
      const next = it.log.events.find((e) => Number(commandOffsetOf(e)) > reply.commandOffset);
      const before = next === undefined ? it.log.events.length : it.log.events.indexOf(next);
      const model = it.log.events[before - 1] as AuditRecord;
      const forged = withHeader(model, headers.commandOffset, String(reply.commandOffset));
      const named = withHeader({ ...model, ...forged }, headers.commandId, String(reply.commandId));
      const key = Buffer.from(`${String(reply.aggregateId)}/1000`);
      insert(it, "events", { ...model, ...named, key }, model);
    },
  },
  {
    what: "two versions of an aggregate are swapped",
    breaks: "I3",
    apply: (it) => {
      const ofB = it.log.events.filter(({ key }) => String(key).startsWith("b/"));
      const [first, second] = ofB.slice(-2) as [AuditRecord, AuditRecord];
      replace(it, "events", first, { key: second.key });
      replace(it, "events", second, { key: first.key });
    },
  },
  {
    what: "an event's bytes are garbled",
    breaks: "I3",
    apply: (it) => {
      replace(it, "events", pick(it, it.log.events), { value: Buffer.from("garbled") });
    },
  },
  {
    what: "an event is a tombstone",
    breaks: "I3",
    apply: (it) => {
      replace(it, "events", pick(it, it.log.events), { value: null });
    },
  },
  {
    what: "an event has a key that is none",
    breaks: "I3",
    apply: (it) => {
      replace(it, "events", pick(it, it.log.events), { key: Buffer.from("a") });
    },
  },
  {
    what: "the beginning of the log was deleted",
    breaks: "I3",
    apply: (it) => {
      it.starts.events = pick(it, it.log.events).offset + 1n;
    },
  },
  {
    what: "a rejected command has an event",
    breaks: "I6",
    apply: (it) => {
      const replied = pick(it, repliesWhere(it, accepted));
      answer(it, replied, { outcome: "rejected", reason: "NotOpen" });
    },
  },
  {
    what: "a conflict has an event",
    breaks: "I6",
    apply: (it) => {
      answer(it, pick(it, repliesWhere(it, accepted)), { outcome: "conflict" });
    },
  },
  {
    what: "a failed command has an event",
    breaks: "I6",
    apply: (it) => {
      const replied = pick(it, repliesWhere(it, accepted));
      answer(it, replied, { outcome: "failed", version: null, reason: "EXPIRED" });
    },
  },
  {
    what: "an event is forged for a command that was rejected",
    breaks: "I6",
    apply: (it) => {
      const { reply } = pick(it, repliesWhere(it, refused));
      const after = it.log.events.findLast(
        (event) => Number(commandOffsetOf(event)) < reply.commandOffset,
      ) as AuditRecord;
      const forged = withHeader(after, headers.commandOffset, String(reply.commandOffset));
      insert(it, "events", { ...after, ...forged, key: Buffer.from("z/1") }, after);
    },
  },
];
