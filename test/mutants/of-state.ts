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
    name: "horizon-lost-by-restore",
    breaks: "G3: a restore does not know the horizon where the replies have expired.",
    file: restore,
    find: "answers.horizon = latest(answers.horizon, position?.horizon ?? null);",
    replace: "",
    killedBy: restored,
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

const restoring: readonly Mutant[] = [
  {
    name: "restore-by-count",
    breaks: "A restore counts records, which control records and compaction keep from the mark.",
    file: restore,
    find: "offset = slice.next;\n      since = clock.now();\n      yield slice;",
    replace:
      "offset += BigInt(slice.records.length);\n      since = clock.now();\n      yield slice;",
    killedBy: simulation,
  },
  {
    name: "restore-ends-early",
    breaks:
      "G4: a restore is over at the last stable offset, before an open transaction has ended.",
    file: restore,
    find: "while (offset < marks[kind].end) {",
    replace: "while (offset < marks[kind].stable) {",
    killedBy: restored,
  },
  {
    name: "resume-by-group-offset",
    breaks: "G2: the group's offset alone says where to go on; it expires, and may come late.",
    file: restore,
    find: "return committed === null ? next : atLeast(next, committed);",
    replace: "return atLeast(committed ?? start, start);",
    killedBy: simulation,
  },
  {
    name: "resume-without-position",
    breaks: "G2: only replies, events and the group's offset say where to go on, and they expire.",
    file: restore,
    find: "position === null ? null : BigInt(position.nextOffset),",
    replace: "",
    killedBy: commands,
  },
  {
    name: "resume-one-late",
    breaks: "G1: the first command after a restart is passed over.",
    file: restore,
    find: "const next = atLeast(resume, start);",
    replace: "const next = atLeast(resume === 0n ? resume : resume + 1n, start);",
    killedBy: simulation,
  },
  {
    name: "offsets-ahead-believed",
    breaks: "G1: a group offset that skips commands is gone by.",
    file: restore,
    find: "committed > next && (await holdsData(run, next, committed, signal))",
    replace: "committed > next + 1_000_000n && (await holdsData(run, next, committed, signal))",
    killedBy: commands,
  },
  {
    name: "commands-lost-unseen",
    breaks: "G1: commands that were deleted before they were seen are passed over in silence.",
    file: restore,
    find: "start > resume && (committed === null || committed < start)",
    replace: "start > resume + 1_000_000n && (committed === null || committed < start)",
    killedBy: commands,
  },
  {
    name: "commands-lost-without-offset",
    breaks: "G1: commands that were deleted are passed over where the group has no offset.",
    file: restore,
    find: "start > resume && (committed === null || committed < start)",
    replace: "start > resume && committed !== null && committed < start",
    killedBy: restored,
  },
  {
    name: "version-gap-folded-over",
    breaks: "G4: a missing event is folded over.",
    file: restore,
    find: "if (version !== known.version + 1) {",
    replace: "if (version <= known.version) {",
    killedBy: commands,
  },
  {
    name: "version-off-after-restore",
    breaks: "G4: after a restore from snapshots a version is given twice.",
    file: restore,
    find: "state.set(id, { state: decoded, version, bytes, dirty: null });",
    replace: "state.set(id, { state: decoded, version: version - 1, bytes, dirty: null });",
    killedBy: simulation,
  },
  {
    name: "snapshot-of-other-fold",
    breaks: "G12: the snapshots of another fold are taken for this one's.",
    file: restore,
    find: "if (headerOf(record, headers.foldVersion) !== fold) continue;",
    replace: "",
    killedBy: commands,
  },
  {
    name: "covered-by-other-fold",
    breaks: "G12: events are left out because snapshots of another fold cover them.",
    file: restore,
    find: "position?.foldVersion === fold ? BigInt(position.coveredFrom) : 0n",
    replace: "BigInt(position?.coveredFrom ?? 0)",
    killedBy: commands,
  },
  {
    name: "events-skipped-by-offset",
    breaks: "G4: events below a snapshot's version are folded into it again.",
    file: restore,
    find: "if (version <= known.version) continue;",
    replace: "if (version < known.version) continue;",
    killedBy: simulation,
  },
  {
    name: "covered-from-one-high",
    breaks: "G4: a restore leaves out the first event that no snapshot has.",
    file: draft,
    find: "if (!chosen.has(id)) return since;",
    replace: "if (!chosen.has(id)) return since + 1n;",
    killedBy: simulation,
  },
  {
    name: "covered-without-snapshot",
    breaks: "G4: events of aggregates that no snapshot has count as covered.",
    file: draft,
    find: "state.set(id, { ...aggregate, dirty: snapshotted.has(id) ? null : since });",
    replace: "state.set(id, { ...aggregate, dirty: since.at < 0 ? since : null });",
    killedBy: simulation,
  },
  {
    name: "snapshot-newer-than-version",
    breaks: "G4: a snapshot has the state after the batch and the version before it.",
    file: draft,
    find: "chosen.push([id, snapshot]);",
    replace: "chosen.push([id, { ...snapshot, version: entry.version }]);",
    killedBy: simulation,
  },
  {
    name: "snapshot-older-than-version",
    breaks: "G4: a snapshot has the state before the batch and the version after it.",
    file: draft,
    find: "chosen.push([id, snapshot]);",
    replace: "chosen.push([id, { ...entry, version: snapshot.version }]);",
    killedBy: simulation,
  },
  {
    name: "first-offset-lost-by-restore",
    breaks: "G9: after a restore a duplicate's answer names another offset than the first.",
    file: restore,
    find: "firstOffset: BigInt(reply.firstOffset),",
    replace: "firstOffset: BigInt(reply.commandOffset) + 1n,",
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

export const mutantsOfState: readonly Mutant[] = [...judging, ...restoring, ...storing];
