import { parseEventKey } from "../../../engine/message.ts";
import type { AuditRecord } from "../audited-log.ts";
import {
  accepted,
  answer,
  commandOffsetOf,
  type Damage,
  eventsWhere,
  insert,
  isMoney,
  lose,
  pick,
  refused,
  replace,
  repliesWhere,
} from "./damage.ts";
import type { History } from "./history.ts";

/** What was recorded and answered is not what the decider says, and all else fits as well as it can. */
export const onDecisions: readonly Damage[] = [
  {
    what: "an event moves another amount than its command asked for",
    breaks: "oracle",
    apply: (it) => {
      const { record, type, data } = pick(it, eventsWhere(it, isMoney));
      const changed = { ...data, amountCents: Number(data["amountCents"]) + 1 };
      replace(it, "events", record, { value: encoded(it, type, changed) });
    },
  },
  {
    what: "an event has another text than its command",
    breaks: "oracle",
    apply: (it) => {
      const { record, type, data } = pick(it, eventsWhere(it, isMoney));
      replace(it, "events", record, { value: encoded(it, type, { ...data, reference: "forged" }) });
    },
  },
  {
    what: "an event is of another type",
    breaks: "oracle",
    apply: (it) => {
      const isDeposit = ({ type }: { readonly type: string }) => type === "FundsDeposited";
      const { record, data } = pick(it, eventsWhere(it, isDeposit));
      replace(it, "events", record, { value: encoded(it, "FundsWithdrawn", data) });
    },
  },
  {
    what: "a rejection has another reason",
    breaks: "oracle",
    apply: (it) => {
      answer(it, pick(it, repliesWhere(it, refused)), { reason: "SomethingElse" });
    },
  },
  {
    what: "a command was rejected that was to be accepted, and left nothing",
    breaks: "oracle",
    apply: (it) => {
      const last = pick(it, lastEvents(it));
      const replied = repliesTo(it, last);
      lose(it, "events", last);
      const version = (replied.reply.version ?? 1) - 1;
      answer(it, replied, { outcome: "rejected", reason: "NotOpen", version });
    },
  },
  {
    what: "a command has an event more than was decided",
    breaks: "oracle",
    apply: (it) => {
      const last = pick(it, lastEvents(it));
      const replied = repliesTo(it, last);
      const version = (replied.reply.version ?? 0) + 1;
      const key = Buffer.from(`${String(replied.reply.aggregateId)}/${version}`);
      insert(it, "events", { ...last, key }, last);
      answer(it, replied, { version });
    },
  },
  {
    what: "a command is answered with a conflict although it expected no version",
    breaks: "oracle",
    apply: (it) => {
      answer(it, pick(it, repliesWhere(it, refused)), { outcome: "conflict", reason: null });
    },
  },
  ...(["EXPIRED", "CLOCK_AHEAD", "COMMAND_ID_REUSED", "TOO_LARGE", "DECIDER_THREW"] as const).map(
    (reason): Damage => ({
      what: `a command that is sound is refused as ${reason}`,
      breaks: "oracle",
      apply: (it) => {
        const isFirst = repliesWhere(it, refused).filter(({ reply }) => {
          const { commandId, commandOffset } = reply;
          const same = repliesWhere(it, (other) => other.commandId === commandId);
          return same.every((other) => other.reply.commandOffset >= commandOffset);
        });
        answer(it, pick(it, isFirst), { outcome: "failed", reason, version: null });
      },
    }),
  ),
];

function encoded({ topics, codec }: History, type: string, data: object): Buffer {
  return Buffer.from(codec.encode(topics.events, type, data));
}

/** Of each aggregate. */
function lastEvents({ log }: History): AuditRecord[] {
  const last = new Map(
    log.events.map((record) => [parseEventKey(String(record.key))?.aggregateId, record]),
  );
  return [...last.values()];
}

function repliesTo(history: History, event: AuditRecord) {
  const offset = Number(commandOffsetOf(event));
  const found = repliesWhere(history, (it) => accepted(it) && it.commandOffset === offset);
  return pick(history, found);
}
