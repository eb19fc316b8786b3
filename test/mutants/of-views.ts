import type { Killer, Mutant } from "./mutant.ts";

/** Bugs in projectors, in the views in Postgres, and in how the gateway reads them. */

const simulation: Killer = { by: "simulation", from: 1, seeds: 300 };
const trouble: Killer = { by: "unit", file: "engine/projections/projector-trouble.test.ts" };
const postgres: Killer = { by: "integration", file: "test/postgres/views.test.ts" };
const tokens: Killer = { by: "integration", file: "test/http/view-tokens.test.ts" };

const projector = "engine/projections/projector.ts";
const views = "engine/postgres/postgres-views.ts";
const rows = "engine/projections/rows.ts";
const freshness = "engine/gateway/freshness.ts";

const commit =
  "await views.commit({ topicPartition, expected, next: checkpoint, changes }, signal);";

export const mutantsOfViews: readonly Mutant[] = [
  {
    name: "checkpoint-after-rows",
    breaks: "G8: the checkpoint moves in a transaction of its own, after that of the rows.",
    file: projector,
    find: commit,
    replace: `
  const unmoved = expected ?? { nextOffset: position.offset, commandOffset: null, version: null };
  await views.commit({ topicPartition, expected, next: unmoved, changes }, signal);
  await views.commit(
    { topicPartition, expected: unmoved, next: checkpoint, changes: [] },
    signal,
  );`,
    killedBy: simulation,
  },
  {
    name: "checkpoint-before-rows",
    breaks: "G8: the checkpoint moves in a transaction of its own, before that of the rows.",
    file: projector,
    find: commit,
    replace: `
  await views.commit({ topicPartition, expected, next: checkpoint, changes: [] }, signal);
  await views.commit(
    { topicPartition, expected: checkpoint, next: checkpoint, changes },
    signal,
  );`,
    killedBy: simulation,
  },
  {
    name: "zombie-moves-view",
    breaks:
      "G11: a projector expects whatever checkpoint is stored, so that a zombie's batch is taken.",
    file: projector,
    find: "const expected = position.checkpoint;",
    replace: "const expected = await views.checkpoint(topicPartition, signal);",
    killedBy: simulation,
  },
  {
    name: "view-commit-tried-again",
    breaks:
      "G8: a commit whose outcome is unknown is made again, with whatever checkpoint is stored.",
    file: projector,
    find: commit,
    replace: `
  await views
    .commit({ topicPartition, expected, next: checkpoint, changes }, signal)
    .catch(async (error: unknown) => {
      if (!(error instanceof WriterLostError) || error.reason === "fenced") throw error;
      const stored = await views.checkpoint(topicPartition, signal);
      await views.commit({ topicPartition, expected: stored, next: checkpoint, changes }, signal);
    });`,
    killedBy: simulation,
  },
  {
    name: "projector-resumes-one-late",
    breaks: "G8: a projector goes on one event after its checkpoint.",
    file: projector,
    find: "const offset = checkpoint?.nextOffset ?? log.start;",
    replace: `
  const offset =
    checkpoint === null || checkpoint.nextOffset >= log.end
      ? (checkpoint?.nextOffset ?? log.start)
      : checkpoint.nextOffset + 1n;`,
    killedBy: simulation,
  },
  {
    name: "projector-resumes-two-late",
    breaks: "G8: a projector goes on two events after its checkpoint.",
    file: projector,
    find: "const offset = checkpoint?.nextOffset ?? log.start;",
    replace: `
  const offset =
    checkpoint === null || checkpoint.nextOffset + 1n >= log.end
      ? (checkpoint?.nextOffset ?? log.start)
      : checkpoint.nextOffset + 2n;`,
    killedBy: simulation,
  },
  {
    name: "projector-resumes-one-early",
    breaks: "G8: a projector applies the last event before its checkpoint again.",
    file: projector,
    find: "const offset = checkpoint?.nextOffset ?? log.start;",
    replace: `
  const offset =
    checkpoint === null || checkpoint.nextOffset === log.start
      ? log.start
      : checkpoint.nextOffset - 1n;`,
    killedBy: simulation,
  },
  {
    name: "projector-from-the-end",
    breaks: "G8: a view without a checkpoint begins at the end of the log.",
    file: projector,
    find: "const offset = checkpoint?.nextOffset ?? log.start;",
    replace: "const offset = checkpoint?.nextOffset ?? log.end;",
    killedBy: simulation,
  },
  {
    name: "projector-skips-poison",
    breaks: "G8: an event that the view cannot take is passed over.",
    file: "engine/projections/projected-batch.ts",
    find: "obstacle = { record, type: read?.event.type ?? null, cause: error };\n      break;",
    replace: `if (error.message !== "") continue;
      obstacle = { record, type: read?.event.type ?? null, cause: error };
      break;`,
    killedBy: trouble,
  },
  {
    name: "projector-drops-half",
    breaks: "G8: where a batch is refused, its second half is passed over.",
    file: projector,
    find: "const right = await commitAll(run, left.position, parts[1]);",
    replace: "const right = await commitAll(run, left.position, { ...parts[1], records: [] });",
    killedBy: trouble,
  },
  {
    name: "projector-keeps-lost-partition",
    breaks: "G11: a projector that was fenced goes on without asking whether it has the partition.",
    file: projector,
    find: "error instanceof WriterLostError && !(await run.confirm(topicPartition))",
    replace: "error instanceof WriterLostError && (await run.confirm(topicPartition)) === null",
    killedBy: trouble,
  },
  {
    name: "rows-in-wrong-order",
    breaks: "G8: of two values for a column in one batch the earlier one stays.",
    file: rows,
    find: "sets: new Map([...change.sets, ...values])",
    replace: "sets: new Map([...values, ...change.sets])",
    killedBy: simulation,
  },
  {
    name: "sum-dropped-by-batch",
    breaks: "G8: of several amounts added to a column in one batch only the last counts.",
    file: rows,
    find: "adds.set(column, (adds.get(column) ?? 0n) + amount);",
    replace: "adds.set(column, amount);",
    killedBy: simulation,
  },
  {
    name: "set-keeps-earlier-sum",
    breaks: "G8: what was added to a column before it was set is added to the new value.",
    file: rows,
    find: "for (const column of values.keys()) adds.delete(column);",
    replace: "",
    killedBy: { by: "unit", file: "engine/projections/rows-composed.test.ts" },
  },
  {
    name: "checkpoint-not-compared",
    breaks: "G11: Postgres moves a checkpoint whatever it is.",
    file: views,
    find: "and next_offset = $8\n",
    replace: "and $8::bigint is not null\n",
    killedBy: postgres,
  },
  {
    name: "fenced-batch-committed",
    breaks: "G11: rows are written although the checkpoint was not the expected one.",
    file: views,
    find: "if (moved.value === 0) {",
    replace: "if (moved.value > 1) {",
    killedBy: postgres,
  },
  {
    name: "checkpoint-outside-transaction",
    breaks: "G8: Postgres commits the checkpoint by itself, and then the rows.",
    file: views,
    find: "async (session) => write(session, projection, { commit, statements }),",
    replace: `
          async (session) => {
            await moveCheckpoint(session, projection, commit);
            await session.query("commit", []);
            await session.query("begin", []);
            const moved = { ...commit, expected: commit.next };
            await write(session, projection, { commit: moved, statements });
          },`,
    killedBy: postgres,
  },
  {
    name: "missing-row-passed-over",
    breaks: "G8: an operation on a row that is not there does nothing, and nobody hears of it.",
    file: views,
    find: "if (expects === null || result?.value.count === expects) return;",
    replace: 'if (expects === null || result?.status === "fulfilled") return;',
    killedBy: { by: "integration", file: "test/postgres/row-operations.test.ts" },
  },
  {
    name: "token-by-version-alone",
    breaks:
      "G9: a view has a token where its last event's version is as great, of whatever account.",
    file: freshness,
    find: "(c.command_offset, c.aggregate_version) >= ($4::bigint, $5::bigint)",
    replace: "$4::bigint is not null and c.aggregate_version >= $5::bigint",
    killedBy: tokens,
  },
  {
    name: "token-one-too-easy",
    breaks: "G9: a view has a token one command before it is there.",
    file: freshness,
    find: "(c.command_offset, c.aggregate_version) >= ($4::bigint, $5::bigint)",
    replace: "(c.command_offset + 1, c.aggregate_version) >= ($4::bigint, $5::bigint)",
    killedBy: tokens,
  },
  {
    name: "token-of-any-version",
    breaks: "G9: a view has a token in the middle of its command's events.",
    file: freshness,
    find: "(c.command_offset, c.aggregate_version) >= ($4::bigint, $5::bigint)",
    replace: "c.command_offset >= $4::bigint and $5::bigint is not null",
    killedBy: tokens,
  },
  {
    name: "wait-not-honoured",
    breaks: "G9: a reader that would wait for its token is refused at once.",
    file: freshness,
    find: "if (leftMs <= 0 || isOver) throw behind(of, found.commandOffset);",
    replace: "if (leftMs <= 1e9 || isOver) throw behind(of, found.commandOffset);",
    killedBy: tokens,
  },
  {
    name: "stale-read-after-wait",
    breaks: "G9: a reader whose time is up is shown the view as it is.",
    file: freshness,
    find: "if (leftMs <= 0 || isOver) throw behind(of, found.commandOffset);",
    replace: `
      if (leftMs <= 0 || isOver) {
        found = await readIfFresh(database, { ...of, token: null });
        continue;
      }`,
    killedBy: tokens,
  },
  {
    name: "fresh-in-another-snapshot",
    breaks: "G9: whether a view is fresh is asked without holding it to the version that is read.",
    file: freshness,
    find: "lockViews(session, of.views),",
    replace: 'session.query("select 1", of.views.slice(of.views.length)),',
    killedBy: tokens,
  },
];
