import type { TopicKind } from "../../../engine/topic.ts";
import type { AuditRecord } from "../audited-log.ts";
import type { GroupPosition, PositionsSeen } from "../samples.ts";
import { accepted, type Damage, lose, pick, repliesWhere } from "./damage.ts";
import type { History } from "./history.ts";

/** Changes one moment: not the first, so that there is one before it. */
function resample(it: History, change: (seen: PositionsSeen) => Partial<PositionsSeen>): void {
  const at = 2 + Math.floor(it.random() * (it.samples.length - 2));
  const seen = it.samples[at] as PositionsSeen;
  it.samples[at] = { ...seen, ...change(seen) };
}

type Move = (offset: string) => string | null;

function moved(groups: readonly GroupPosition[], move: Move): GroupPosition[] {
  return groups.map((group) => ({ ...group, offset: move(group.offset ?? "0") }));
}

/** Puts the commits of one moment into the log of them, and behind them one that goes elsewhere. */
function commit(it: History, move: Move): void {
  const at = 1 + Math.floor(it.random() * (it.samples.length - 1));
  const { t, groups } = it.samples[at] as PositionsSeen;
  const commits = [groups, moved(groups, move)].map((groups) => ({ kind, t, groups }));
  it.samples.splice(at, 0, ...commits);
}
const kind = "committed" as const;

/** Changes the last moment. */
function resampleLast(it: History, move: Move): void {
  const seen = it.samples.at(-1) as PositionsSeen;
  it.samples[it.samples.length - 1] = { ...seen, groups: moved(seen.groups, move) };
}

/** Moves a record to those of aborted transactions, with its writer. */
function abort(it: History, kind: TopicKind, record: AuditRecord): void {
  lose(it, kind, record);
  it.aborted[kind].push(record);
}

const back = (offset: string) => String(BigInt(offset) / 3n);
const beyond = (offset: string) => String(BigInt(offset) + 1_000n);

/** Positions that go back or are ahead of everything, as somebody saw them. */
export const onPositions: readonly Damage[] = [
  {
    what: "the checkpoint of a view has gone back",
    breaks: "I9",
    apply: (it) => {
      resample(it, ({ views }) => ({
        views: views.map((view, i) =>
          i === 0 ? { ...view, nextOffset: back(view.nextOffset) } : view,
        ),
      }));
    },
  },
  {
    what: "the checkpoint of a view was ahead of the events",
    breaks: "I9",
    apply: (it) => {
      resample(it, ({ views }) => ({
        views: views.map((view) => ({ ...view, nextOffset: beyond(view.nextOffset) })),
      }));
    },
  },
  {
    what: "the offset of a group has gone back in the log of commits",
    breaks: "I11",
    apply: (it) => {
      commit(it, back);
    },
  },
  {
    what: "the offset of a group was deleted in the log of commits",
    breaks: "I11",
    apply: (it) => {
      commit(it, () => null);
    },
  },
  {
    what: "the offset of a group has gone back for good",
    breaks: "I11",
    apply: (it) => {
      resampleLast(it, back);
    },
  },
  {
    what: "the offset of a group is gone for good",
    breaks: "I11",
    apply: (it) => {
      resampleLast(it, () => null);
    },
  },
  {
    what: "the offset of a group was ahead of the commands",
    breaks: "I11",
    apply: (it) => {
      resample(it, ({ groups }) => ({
        groups: groups.map((group) => ({ ...group, offset: beyond(group.offset ?? "0") })),
      }));
    },
  },
];

/** Transactions that have no end, or two. */
export const onEnds: readonly Damage[] = [
  {
    what: "a transaction has no end",
    breaks: "I13",
    apply: (it) => {
      const { name: topic } = it.topics[pick(it, ["events", "replies", "snapshots"] as const)];
      it.hanging.push({ topic, partition: 0, stable: 3n, end: 10n });
    },
  },
  {
    what: "the event of a transaction was aborted and its reply was not",
    breaks: "I15",
    apply: (it) => {
      abort(it, "events", pick(it, it.log.events));
    },
  },
  {
    what: "the reply of a transaction was aborted and its event was not",
    breaks: "I15",
    apply: (it) => {
      abort(it, "replies", pick(it, repliesWhere(it, accepted)).record);
    },
  },
  {
    what: "the dead letter of a transaction was aborted and its reply was not",
    breaks: "I15",
    apply: (it) => {
      abort(it, "dlq", pick(it, it.log.dlq));
    },
  },
  {
    what: "a command was aborted, and handled",
    breaks: "I15",
    apply: (it) => {
      abort(it, "commands", pick(it, it.log.commands));
    },
  },
];
