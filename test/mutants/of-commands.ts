import type { Killer, Mutant } from "./mutant.ts";

/** Bugs in the command processor's loop: what is written together, and what happens when that fails. */

const simulation: Killer = { by: "simulation", from: 1, seeds: 300 };
const restored: Killer = { by: "unit", file: "test/commands-restored.test.ts" };

const loop = "engine/commands/command-processor.ts";

/** Everything that a worker writes goes by its writer, which is opened in this one place. */
const opening = "const writer = await log.openWriter({ transactionalId: id });";

/** A writer that does otherwise with each transaction; `inner` is the one that it should have been. */
const writing = (transact: string) => `
  let inner = await log.openWriter({ transactionalId: id });
  const writer: Writer = {
    transact: async (transaction) => {${transact}
    },
    close: () => inner.close(),
  };`;

/** What `isSecond` says of a record decides in which of two transactions it is written. */
const inTwoTransactions = (isSecond: string, offsetsIn: "first" | "second") =>
  writing(`
      const { consumed } = transaction;
      const isSecond = (it: (typeof transaction.records)[number]) => ${isSecond};
      const lots = Map.groupBy(transaction.records, isSecond);
      const first = { records: lots.get(false) ?? [], consumed: ${offsetsIn === "first" ? "consumed" : "null"} };
      const second = { records: lots.get(true) ?? [], consumed: ${offsetsIn === "second" ? "consumed" : "null"} };
      const [ofFirst, ofSecond] = [[...(await inner.transact(first))], [...(await inner.transact(second))]];
      return transaction.records.map((it) => (isSecond(it) ? ofSecond : ofFirst).shift() ?? 0n);`);

/** What follows where the outcome is unknown, in place of law P1. */
const goingOn = (then: string) =>
  writing(`
      try {
        return await inner.transact(transaction);
      } catch (error) {
        if (!(error instanceof WriterLostError)) throw error;
        inner = await log.openWriter({ transactionalId: id });${then}
      }`);

export const mutantsOfCommands: readonly Mutant[] = [
  {
    name: "p1-same-writer",
    breaks: "G2: after an indefinite error the same transaction is tried again by the same writer.",
    file: loop,
    find: opening,
    replace: writing(
      "return inner.transact(transaction).catch(() => inner.transact(transaction));",
    ),
    killedBy: simulation,
  },
  {
    name: "p1-send-again",
    breaks:
      "G4: after an indefinite error a new writer sends the same transaction again, without reading the log.",
    file: loop,
    find: opening,
    replace: goingOn("return inner.transact(transaction);"),
    killedBy: simulation,
  },
  {
    name: "p1-assume-commit",
    breaks:
      "G1: a transaction whose outcome is unknown is taken for committed, and the draft is kept.",
    file: loop,
    find: opening,
    replace: goingOn(`
        const reader = await log.openReader();
        const offsets: bigint[] = [];
        for (const { topic } of transaction.records) {
          offsets.push((await reader.offsets({ topic, partition: number }, signal)).end);
        }
        return offsets;`),
    killedBy: simulation,
  },
  {
    name: "p1-without-ownership",
    breaks: "G11: a worker that lost its partition opens a writer again, and fences the new owner.",
    file: loop,
    find: 'if (!(await confirm(of))) return "dropped";',
    replace: "",
    killedBy: simulation,
  },
  {
    name: "restore-before-fencing",
    breaks: "G11: the state is restored while the previous owner can still write.",
    file: loop,
    find: opening,
    replace: `
  let opened: Writer | null = null;
  const writer: Writer = {
    transact: async (transaction) =>
      (opened ??= await log.openWriter({ transactionalId: id })).transact(transaction),
    close: async () => opened?.close(),
  };`,
    killedBy: simulation,
  },
  {
    name: "marks-before-fencing",
    breaks: "G11: how far to restore is asked before the previous owner is fenced.",
    file: loop,
    find: "const { log, topics, openStore, openNote, partition: number } = partition;",
    replace: `
  const { log: real, topics, openStore, openNote, partition: number } = partition;
  const bounds = new Map<string, Awaited<ReturnType<Reader["offsets"]>>>();
  const openWriter: typeof real.openWriter = async (options) => {
    const early = await real.openReader();
    for (const { name: topic } of [topics.commands, topics.events, topics.snapshots, topics.replies]) {
      bounds.set(topic, await early.offsets({ topic, partition: number }, signal));
    }
    return real.openWriter(options);
  };
  const openReader = async (): Promise<Reader> => {
    const late = await real.openReader();
    return {
      offsets: async (of, given) => bounds.get(of.topic) ?? late.offsets(of, given),
      read: async (...given) => late.read(...given),
      close: async () => late.close(),
    };
  };
  const log = Object.assign(Object.create(real) as typeof real, { openWriter, openReader });`,
    killedBy: restored,
  },
  {
    name: "reply-after-commit",
    breaks: "G2: replies are written in a transaction of their own, after that of the events.",
    file: loop,
    find: opening,
    replace: inTwoTransactions("it.topic === topics.replies.name", "first"),
    killedBy: simulation,
  },
  {
    name: "reply-before-commit",
    breaks: "G1: replies say accepted in a transaction of their own, before the events are there.",
    file: loop,
    find: opening,
    replace: inTwoTransactions("it.topic !== topics.replies.name", "second"),
    killedBy: simulation,
  },
  {
    name: "offsets-before-records",
    breaks:
      "G2: the position and the group's offset are committed before what the commands lead to.",
    file: loop,
    find: opening,
    replace: inTwoTransactions('it.key !== "@position"', "first"),
    killedBy: simulation,
  },
  {
    name: "no-transaction",
    breaks: "G2: the records are appended by a producer without transactions.",
    file: loop,
    find: opening,
    replace: writing(`
      const receipt = await (await log.openProducer()).send(transaction.records);
      await inner.transact({ ...transaction, records: [] });
      return receipt;`),
    killedBy: simulation,
  },
  {
    name: "dead-letter-outside",
    breaks:
      "G7: dead letters are sent before the transaction, and again when that has to be repeated.",
    file: loop,
    find: opening,
    replace: writing(`
      const isDead = ({ topic }: { readonly topic: string }) => topic === topics.dlq.name;
      const dead = transaction.records.filter(isDead);
      if (dead.length > 0) await (await log.openProducer()).send(dead);
      const records = transaction.records.filter((it) => !isDead(it));
      return inner.transact({ ...transaction, records });`),
    killedBy: simulation,
  },
  {
    name: "store-before-commit",
    breaks: "G2: the local store has a batch before the log has it.",
    file: loop,
    find: "draft.keep(await writer.transact(transaction));",
    replace: `
    const { progress } = state;
    const ends = new Map([
      [context.topics.events.name, progress.events],
      [context.topics.replies.name, progress.replies],
    ]);
    draft.keep(
      transaction.records.map(({ topic }, i) => (ends.get(topic) ?? progress.snapshots) + BigInt(i)),
    );
    state.write(true, clock.now());
    await writer.transact(transaction);`,
    killedBy: simulation,
  },
  {
    name: "batch-boundary",
    breaks: "G2: the record between two batches is passed over.",
    file: "engine/read-ahead.ts",
    find: "const records = this.buffer.splice(0, count);",
    replace: "const records = this.buffer.splice(0, count + 1).slice(0, count);",
    killedBy: simulation,
  },
  {
    name: "store-lost-unseen",
    breaks: "G11: a worker acts on what it read from a local store after another has taken it.",
    file: loop,
    find: "  state.requireStore();\n",
    replace: "",
    killedBy: restored,
  },
  {
    name: "two-loops-at-once",
    breaks: "G11: a partition that comes back starts while its old loop is still ending.",
    file: "engine/assignment.ts",
    find: "await Promise.all(before);",
    replace: "",
    killedBy: { by: "unit", file: "engine/assignment.test.ts" },
  },
];
