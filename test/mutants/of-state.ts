import type { Killer, Mutant } from "./mutant.ts";

/** Bugs in what a command processor decides, remembers, restores and keeps in its local store. */

const simulation: Killer = { by: "simulation", from: 1, seeds: 300 };
const commands: Killer = { by: "unit", file: "test/commands.test.ts" };

const restored: Killer = { by: "unit", file: "test/commands-restored.test.ts" };

const settle = "engine/commands/settle.ts";
const draft = "engine/commands/draft.ts";
const restore = "engine/commands/restore.ts";
const state = "engine/commands/partition-state.ts";
const answers = "engine/commands/answers.ts";

const judging: readonly Mutant[] = [
  {
    name: "dedupe-off",
    breaks: "G3: a command id runs each time that it is sent.",
    file: draft,
    find: "answered: this.answeredBefore(command),",
    replace: "answered: null,",
    killedBy: simulation,
  },
  {
    name: "dedupe-not-within-batch",
    breaks: "G3: a command id runs twice where both sendings come in one batch.",
    file: draft,
    find: "this.answered.set(JSON.stringify([aggregateId, commandId]), answer);",
    replace: "",
    killedBy: simulation,
  },
  {
    name: "dedupe-before-commit",
    breaks: "G1: an answer is remembered, and stored, before its transaction is committed.",
    file: draft,
    find: "const remembered = { aggregateId, commandId, answer };",
    replace: `
    const remembered = { aggregateId, commandId, answer };
    const foreseen = this.state.progress.replies + BigInt(this.replies.length);
    this.state.answers.remember(remembered, foreseen);
    this.state.write(true, this.now);`,
    killedBy: simulation,
  },
  {
    name: "dedupe-without-aggregate",
    breaks: "G3: an id that another aggregate has used is taken for a duplicate.",
    file: answers,
    find: "return `${aggregateId.length}:${aggregateId}${commandId}`;",
    replace: "return `${aggregateId.length * 0}:${commandId}`;",
    killedBy: restored,
  },
  {
    name: "failure-is-final",
    breaks: "G3: a failure is remembered as the answer, and the same id never runs.",
    file: draft,
    find: 'this.reply(record, command, key, failure(outcome.code), "failed");',
    replace:
      'this.answer(record, command, { outcome: "rejected", version: 0, reason: outcome.code });',
    killedBy: commands,
  },
  {
    name: "payload-hash-ignored",
    breaks: "G3: an id with another payload gets the answer of the first one.",
    file: settle,
    find: 'if (!answered.hash.equals(command.hash)) return { kind: "failed", code: "COMMAND_ID_REUSED" };',
    replace: "",
    killedBy: commands,
  },
  {
    name: "horizon-ignored",
    breaks: "G3: an id that has been forgotten runs again.",
    file: settle,
    find: "horizon !== null && issueTime <= horizon",
    replace: "horizon !== null && issueTime < 0",
    killedBy: commands,
  },
  {
    name: "horizon-below-forgotten",
    breaks: "G3: the last id that was forgotten is not behind the horizon, and runs again.",
    file: settle,
    find: "issueTime <= horizon",
    replace: "issueTime < horizon",
    killedBy: commands,
  },
  {
    name: "horizon-not-raised",
    breaks: "G3: answers are forgotten and the horizon stays where it was.",
    file: answers,
    find: "horizon = latest(horizon, answer.issueTime);",
    replace: "",
    killedBy: commands,
  },
  {
    name: "clock-ahead-taken",
    breaks: "G3: an id issued in the future is taken, and so never falls behind the horizon.",
    file: settle,
    find: "issueTime > appendTime + toleratedClockLeadMs",
    replace: "issueTime > appendTime * 2",
    killedBy: commands,
  },
  {
    name: "expected-version-ignored",
    breaks: "G5: a stale writer overwrites what it has not seen.",
    file: settle,
    find: "expectedVersion !== null && expectedVersion !== aggregate.version",
    replace: "expectedVersion !== null && expectedVersion > aggregate.version + 1e9",
    killedBy: simulation,
  },
  {
    name: "expected-version-at-least",
    breaks: "G5: an expected version is met by any later one.",
    file: settle,
    find: "expectedVersion !== aggregate.version",
    replace: "expectedVersion > aggregate.version",
    killedBy: simulation,
  },
  {
    name: "batch-decides-on-old-state",
    breaks: "G4: each command of a batch meets the state as it was before the batch.",
    file: draft,
    find: "return this.changes.get(id) ?? this.state.get(id);",
    replace: "return this.state.get(id);",
    killedBy: simulation,
  },
  {
    name: "duplicate-as-first",
    breaks:
      "G9: a duplicate's answer names its own offset as the first, and so a token never reached.",
    file: draft,
    find: "const { firstOffset, version, reason } = outcome.answer;",
    replace: "const { version, reason } = outcome.answer;\n        const firstOffset = offset;",
    killedBy: commands,
  },
  {
    name: "poison-without-reply",
    breaks: "G2: a record that cannot be processed leaves no reply.",
    file: draft,
    find: 'this.reply(record, unread, key, failure(code), "failed");',
    replace: 'if (commandId !== null) this.reply(record, unread, key, failure(code), "failed");',
    killedBy: simulation,
  },
  {
    name: "poison-without-dead-letter",
    breaks: "G7: a record that cannot be processed is answered, and its bytes are gone.",
    file: draft,
    find: "...this.deadLetters,\n    ];",
    replace: "...this.deadLetters.slice(1),\n    ];",
    killedBy: simulation,
  },
  {
    name: "event-time-goes-back",
    breaks: "The time of events goes back within a partition, where the clock does.",
    file: draft,
    find: "this.eventTime = Math.max(now, state.progress.lastEventTime);",
    replace: "this.eventTime = now;",
    killedBy: restored,
  },
];

const storing: readonly Mutant[] = [
  {
    name: "store-without-compare",
    breaks: "G11: a worker writes to a local store that another has taken over.",
    file: state,
    find: "if (!this.options.store.replace(this.written, next, changes)) throw",
    replace:
      "if (!this.options.store.replace(this.options.store.checkpoint(), next, changes)) throw",
    killedBy: restored,
  },
  {
    name: "store-of-other-cluster",
    breaks: "G4: the local store of another cluster's log is used.",
    file: state,
    find: "stored.clusterId === clusterId &&",
    replace: "",
    killedBy: commands,
  },
  {
    name: "store-of-other-fold",
    breaks: "G12: the local store of another fold is used.",
    file: state,
    find: "stored.fold === fold &&",
    replace: "",
    killedBy: commands,
  },
  {
    name: "store-half-restored",
    breaks: "G4: a local store that a restore was still filling is used.",
    file: state,
    find: "stored.whole &&",
    replace: "",
    killedBy: commands,
  },
  {
    name: "store-older-than-tombstones",
    breaks: "A local store is used that is older than the tombstones it would have to have read.",
    file: state,
    find: "stored.writtenAt >= notBefore;",
    replace: "stored.writtenAt >= 0;",
    killedBy: restored,
  },
  {
    name: "store-fits-by-length",
    breaks: "G4: a local store fits any log that is as long, whatever its last event is.",
    file: restore,
    find: "if (record) return record.offset === lastEvent.offset && String(record.key) === lastEvent.key;",
    replace: "if (record) return true;",
    killedBy: restored,
  },
  {
    name: "store-ahead-of-log",
    breaks: "G4: a local store that is ahead of the log is used.",
    file: restore,
    find: "events > marks.events.end || snapshots > marks.snapshots.end || replies > marks.replies.end",
    replace: "events > marks.events.end + 1_000_000n",
    killedBy: commands,
  },
  {
    name: "store-version-off",
    breaks: "G4: an aggregate read from the local store has another version than was written.",
    file: state,
    find: "version: stored.readDoubleBE(0),",
    replace: "version: stored.readDoubleBE(0) + (since < 0n ? 1 : 0),",
    killedBy: simulation,
  },
  {
    name: "sqlite-without-compare",
    breaks: "G11: SQLite writes whatever the checkpoint that it holds.",
    file: "engine/commands/sqlite-store.ts",
    find: "const same = expected === null ? stored === null : stored?.equals(expected) === true;",
    replace: "const same = stored === null || stored.length > 0;",
    killedBy: { by: "unit", file: "engine/commands/store.test.ts" },
  },
];

export const mutantsOfState: readonly Mutant[] = [...judging, ...storing];
