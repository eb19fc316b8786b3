import type { BalanceRow } from "../bank-views.ts";
import {
  changeRow,
  type Damage,
  eventsWhere,
  isMoney,
  pick,
  replace,
  reposition,
  resnapshot,
} from "./damage.ts";

/** Money that is lost or made, rows that are wrong, checkpoints and snapshots that do not fit. */
export const onMoney: readonly Damage[] = [
  {
    what: "an event moves another amount than it did",
    breaks: "I7",
    apply: (it) => {
      const { record, type, data } = pick(it, eventsWhere(it, isMoney));
      const amountCents = Number(data["amountCents"]) + 1;
      const value = it.codec.encode(it.topics.events, type, { ...data, amountCents });
      replace(it, "events", record, { value: Buffer.from(value) });
    },
  },
  {
    what: "more is withdrawn than there was",
    breaks: "I7",
    apply: (it) => {
      const { record, data } = pick(it, eventsWhere(it, isMoney));
      const amount = { ...data, amountCents: 1_000_000 };
      const value = it.codec.encode(it.topics.events, "FundsWithdrawn", amount);
      replace(it, "events", record, { value: Buffer.from(value) });
    },
  },
  {
    what: "an account is opened twice",
    breaks: "I7",
    apply: (it) => {
      const { record } = pick(it, eventsWhere(it, isMoney));
      const value = it.codec.encode(it.topics.events, "AccountOpened", { owner: "Eve" });
      replace(it, "events", record, { value: Buffer.from(value) });
    },
  },
  {
    what: "a balance in the view is wrong",
    breaks: "I7",
    apply: (it) => {
      changeRow(it, ({ balanceCents }) => ({ balanceCents: balanceCents + 1 }));
    },
  },
];

/** Rows, checkpoints and snapshots. */
export const onViews: readonly Damage[] = [
  {
    what: "a row has another owner",
    breaks: "I8",
    apply: (it) => {
      changeRow(it, ({ owner }) => ({ owner: `${owner}!` }));
    },
  },
  {
    what: "a row has another status",
    breaks: "I8",
    apply: (it) => {
      changeRow(it, ({ status }) => ({ status: status === "open" ? "closed" : "open" }));
    },
  },
  {
    what: "a row has another version",
    breaks: "I8",
    apply: (it) => {
      changeRow(it, ({ version }) => ({ version: version + 1 }));
    },
  },
  {
    what: "a row has another time",
    breaks: "I8",
    apply: (it) => {
      changeRow(it, ({ updatedAt }) => ({ updatedAt: updatedAt + 1 }));
    },
  },
  {
    what: "money was moved from one row to another",
    breaks: "I8",
    apply: (it) => {
      const [[a, rowA], [b, rowB]] = [...it.balances] as [
        [string, BalanceRow],
        [string, BalanceRow],
      ];
      it.balances.set(a, { ...rowA, balanceCents: rowA.balanceCents + 1 });
      it.balances.set(b, { ...rowB, balanceCents: rowB.balanceCents - 1 });
    },
  },
  {
    what: "a row is missing",
    breaks: "I8",
    apply: (it) => {
      it.balances.delete(pick(it, [...it.balances.keys()]));
    },
  },
  {
    what: "a row is there of an account that is not",
    breaks: "I8",
    apply: (it) => {
      const row = { owner: "Eve", status: "open", balanceCents: 0, version: 1, updatedAt: 0 };
      it.balances.set("eve", row);
    },
  },
  {
    what: "a movement is missing",
    breaks: "I8",
    apply: (it) => {
      pick(it, [...it.statements.values()]).pop();
    },
  },
  {
    what: "a movement is there that was none",
    breaks: "I8",
    apply: (it) => {
      const rows = pick(it, [...it.statements.values()]);
      rows.push({ ...(rows[0] as (typeof rows)[0]), version: 0, amountCents: 0 });
    },
  },
  {
    what: "a movement has another reference",
    breaks: "I8",
    apply: (it) => {
      const rows = pick(it, [...it.statements.values()]);
      rows.push({ ...(rows.pop() as (typeof rows)[0]), reference: "another" });
    },
  },
  {
    what: "movements are there of an account that is not",
    breaks: "I8",
    apply: (it) => {
      it.statements.set("eve", pick(it, [...it.statements.values()]));
    },
  },
  {
    what: "a checkpoint is ahead of the log",
    breaks: "I8",
    apply: (it) => {
      const { balances } = it.checkpoints;
      it.checkpoints.balances = { ...balances, nextOffset: it.ends.events + 1n };
    },
  },
  {
    what: "a checkpoint is behind the rows",
    breaks: "I8",
    apply: (it) => {
      const { statements } = it.checkpoints;
      const nextOffset = pick(it, eventsWhere(it, isMoney)).record.offset;
      it.checkpoints.statements = { ...statements, nextOffset };
    },
  },
  {
    what: "a checkpoint names another last event",
    breaks: "I8",
    apply: (it) => {
      const { balances } = it.checkpoints;
      const aggregateVersion = (balances.aggregateVersion ?? 0) + 1;
      it.checkpoints.balances = { ...balances, aggregateVersion };
    },
  },
  {
    what: "a snapshot holds another state",
    breaks: "I8",
    apply: (it) => {
      resnapshot(it, (state) => ({ ...state, balanceCents: Number(state["balanceCents"]) + 1 }));
    },
  },
  {
    what: "events are said to be covered that no snapshot has",
    breaks: "I8",
    apply: (it) => {
      const { log } = it;
      const positions = log.snapshots.filter(({ key }) => String(key) === "@position");
      log.snapshots.splice(0, Infinity, ...positions);
      reposition(it, () => ({ coveredFrom: Number(it.ends.events) }));
    },
  },
];
