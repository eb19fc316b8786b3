import { headers } from "../../../engine/message.ts";
import {
  accepted,
  type Damage,
  insert,
  lose,
  pick,
  refused,
  replace,
  repliesWhere,
  reposition,
  withHeader,
} from "./damage.ts";

/** What one transaction should have written, and did not; positions that do not fit. */
export const onTransactions: readonly Damage[] = [
  {
    what: "an event is torn off its reply",
    breaks: "I5",
    apply: (it) => {
      lose(it, "replies", pick(it, repliesWhere(it, accepted)).record);
    },
  },
  {
    what: "an event was written outside a transaction",
    breaks: "I5",
    apply: (it) => {
      replace(it, "events", pick(it, it.log.events), { writer: null });
    },
  },
  {
    what: "a reply was written by another writer than its events",
    breaks: "I5",
    apply: (it) => {
      replace(it, "replies", pick(it, repliesWhere(it, accepted)).record, { writer: "2/0" });
    },
  },
  {
    what: "a reply without events was written outside a transaction",
    breaks: "I5",
    apply: (it) => {
      replace(it, "replies", pick(it, repliesWhere(it, refused)).record, { writer: null });
    },
  },
  {
    what: "an event does not say of which command it is",
    breaks: "I5",
    apply: (it) => {
      const record = pick(it, it.log.events);
      replace(it, "events", record, withHeader(record, headers.commandOffset, null));
    },
  },
  {
    what: "an event was written late, behind those of other commands",
    breaks: "I5",
    apply: (it) => {
      const record = pick(it, it.log.events.slice(0, -1));
      lose(it, "events", record);
      insert(it, "events", record, null);
    },
  },
  {
    what: "the position is behind what was handled",
    breaks: "I5",
    apply: (it) => {
      reposition(it, () => ({ nextOffset: 1 }));
    },
  },
  {
    what: "the position is lost",
    breaks: "I5",
    apply: (it) => {
      const { log } = it;
      log.snapshots.splice(
        0,
        Infinity,
        ...log.snapshots.filter((r) => String(r.key) !== "@position"),
      );
    },
  },
  {
    what: "the position is ahead of the commands",
    breaks: "I5",
    apply: (it) => {
      reposition(it, ({ nextOffset }) => ({ nextOffset: nextOffset + 1 }));
    },
  },
  {
    what: "the position went back",
    breaks: "I5",
    apply: (it) => {
      const last = reposition(it, () => ({}));
      insert(it, "snapshots", last, null);
      reposition(it, ({ nextOffset }) => ({ nextOffset: nextOffset - 1 }));
    },
  },
  {
    what: "a position was written outside a transaction",
    breaks: "I5",
    apply: (it) => {
      replace(it, "snapshots", pick(it, it.log.snapshots), { writer: null });
    },
  },
];
