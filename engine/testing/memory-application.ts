import { aggregatesOf, type Application, projectionsOf } from "../application.ts";
import { systemClock } from "../clock.ts";
import type { Codec } from "../codec.ts";
import { commandLimits, processCommands } from "../commands/command-processor.ts";
import { deadLetterHeaders } from "../commands/dead-letter.ts";
import type { Message } from "../decider.ts";
import type { Reply } from "../generated.ts";
import { headerOf, type TopicPartition } from "../log.ts";
import { headers, parseEventKey, partitionOf } from "../message.ts";
import type { AnyProjection } from "../projection.ts";
import type { Outgoing } from "../sending/command-record.ts";
import { Conversation } from "../sending/conversation.ts";
import { outgoingOf } from "../sending/send-commands.ts";
import type { AggregateTopics } from "../topic.ts";
import { codecFor, commandPartition, createTopics, loopsOf } from "./memory-application-loops.ts";
import { MemoryLog } from "./memory-log.ts";
import { MemoryStoreFiles } from "./memory-store.ts";
import { type MemoryRow, type MemoryViews, memoryViews } from "./memory-views.ts";
import { type RunningProjection, startProjection } from "./running-projection.ts";

/** An application's workers on a log and views in memory: the engine's own loops, and nothing to install. */

/** A running application in memory: send it commands, and look at its views. */
export interface MemoryApplication {
  readonly log: MemoryLog;
  /**
   * Sends a command, its fields as JSON has them, and resolves to the answer.
   * @throws Error with every fault where it cannot be a command; with what `decide` or `evolve` has thrown, or
   *   made that its schema cannot hold, which is answered `failed` and goes to the dead letters
   */
  send(command: Message): Promise<Reply>;
  /** What has happened to one aggregate, in order. */
  events(aggregate: string, id: string): readonly MemoryEvent[];
  /**
   * The rows of a projection's table, ordered by key, once everything in the log is in them.
   * @throws UnapplicableError or PoisonError where the projection stands still at an event
   */
  rows(table: string): Promise<readonly MemoryRow[]>;
  /** Ends every worker and starts it again without a local store: states are restored from the log. */
  restart(): Promise<void>;
  /** Ends every worker; to be called at the end of a test, unless the application is held by `await using`. */
  stop(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** An event as it is in the log. */
export interface MemoryEvent extends Message {
  /** The aggregate's version after this event; its first event has version 1. */
  readonly version: number;
  readonly commandId: string;
  readonly time: Date;
}

/**
 * Starts every worker of the application on all of its partitions:
 *
 *     await using app = await runInMemory({ workers });
 *     const { outcome } = await app.send({ type: "Increment", data: { commandId: "1", … } });
 *     expect(app.events("counter", "lamps")).toMatchObject([{ type: "Incremented", version: 1 }]);
 *     expect(await app.rows("counts")).toEqual([{ key: ["lamps"], count: 1 }]);
 *
 * A fault of a worker, which would end its process, is thrown by the call that waits for it.
 */
export async function runInMemory(application: Application): Promise<MemoryApplication> {
  const log = new MemoryLog();
  await createTopics(log, application);
  const codec = await codecFor(application);
  const views = new Map(projectionsOf(application).map((it) => [it, memoryViews(it)]));
  const aggregates = aggregatesOf(application);
  const waiting = new Map<string, (reply: Reply) => void>();
  const conversation = await Conversation.open<Outgoing & { readonly ticket: string }>({
    log,
    codec,
    aggregates,
    replies: "awaited",
    silenceMs: null,
    onAnswer: ({ outgoing, reply }) => waiting.get(outgoing.ticket)?.(reply),
    onTrouble: () => undefined,
  });

  const start = () => startWorkers({ application, log, codec, views });
  let running = await start();
  let tickets = 0;
  const stop = async () => {
    await conversation.close();
    await running.stop();
  };
  return {
    log,
    async send(command) {
      const made = outgoingOf(codec, aggregates, command);
      if ("problems" in made) {
        throw new Error(`${command.type} cannot be sent: ${made.problems.join("; ")}`);
      }
      const ticket = String(++tickets);
      const answer = new Promise<Reply>((resolve) => waiting.set(ticket, resolve));
      conversation.send({ ...made, ticket });
      const reply = await Promise.race([answer, running.failure]);
      waiting.delete(ticket);
      const fault = faultOf(reply, made.record, { aggregates, log });
      if (fault !== null) throw fault;
      return reply;
    },
    events: (aggregate, id) => eventsOf({ aggregate, id }, { aggregates, log, codec }),
    async rows(table) {
      const [projection, view] =
        [...views].find(([it]) => Object.hasOwn(it.tables, table)) ?? unknownTable(views, table);
      await Promise.race([running.caughtUp(projection), running.failure]);
      return view.rows(table);
    },
    async restart() {
      await running.stop();
      running = await start();
    },
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

/** What is wrong with the author's functions, where that is why the command was answered `failed`. */
function faultOf(
  { reason, commandType, commandOffset }: Reply,
  { topic, partition }: TopicPartition,
  { aggregates, log }: { readonly aggregates: readonly AggregateTopics[]; readonly log: MemoryLog },
): Error | null {
  if (reason !== "DECIDER_THREW" && reason !== "INVALID_EVENT") return null;
  const dlq = aggregates.find(({ commands }) => commands.name === topic)?.dlq;
  const letters = dlq === undefined ? [] : log.committed({ topic: dlq.name, partition });
  const letter = letters.find(
    (it) => headerOf(it, deadLetterHeaders.offset) === String(commandOffset),
  );
  const why = letter && headerOf(letter, deadLetterHeaders.exceptionMessage);
  return new Error(`${commandType ?? "A command"} failed, ${reason}: ${why ?? "nobody knows why"}`);
}

function eventsOf(
  { aggregate, id }: { readonly aggregate: string; readonly id: string },
  {
    aggregates,
    log,
    codec,
  }: Pick<Parts, "log" | "codec"> & { aggregates: readonly AggregateTopics[] },
): readonly MemoryEvent[] {
  const topic = aggregates.find((it) => it.aggregate === aggregate)?.events;
  if (topic === undefined) {
    const all = aggregates.map((it) => it.aggregate);
    throw new Error(`There is no aggregate ${aggregate}; the aggregates are ${all.join(", ")}`);
  }
  const records = log.committed({
    topic: topic.name,
    partition: partitionOf(id, topic.partitions),
  });
  return records.flatMap((record) => {
    const key = parseEventKey(String(record.key));
    if (key?.aggregateId !== id || record.value === null) return [];
    const commandId = headerOf(record, headers.commandId) ?? "";
    const { version } = key;
    const time = new Date(record.timestamp);
    return [{ ...codec.decode(topic, record.value), version, commandId, time }];
  });
}

function unknownTable(views: ReadonlyMap<AnyProjection, MemoryViews>, table: string): never {
  const all = [...views.keys()].flatMap(({ tables }) => Object.keys(tables));
  throw new Error(`There is no table ${table}; the tables are ${all.join(", ")}`);
}

interface Running {
  /** Rejects with the first fault that would end a process; never resolves. */
  readonly failure: Promise<never>;
  caughtUp(projection: AnyProjection): Promise<void>;
  stop(): Promise<void>;
}

interface Parts {
  readonly application: Application;
  readonly log: MemoryLog;
  readonly codec: Codec;
  readonly views: ReadonlyMap<AnyProjection, MemoryViews>;
}

async function startWorkers({ application, log, codec, views }: Parts): Promise<Running> {
  const stopping = new AbortController();
  const { open: openStore } = new MemoryStoreFiles();
  const ends: Promise<unknown>[] = [];
  const runs = new Map<AnyProjection, RunningProjection[]>();
  for (const loop of loopsOf(application)) {
    if (loop.kind === "commands") {
      const parts = { log, codec, openStore, clock: systemClock, limits: commandLimits };
      const partition = commandPartition(loop.worker, loop.partition, parts);
      ends.push(processCommands(partition, stopping.signal));
      continue;
    }
    const { projection, of: topicPartition } = loop;
    const view = views.get(projection);
    if (view === undefined) continue;
    const at = { topicPartition, reader: await log.openReader() };
    const run = startProjection({ projection, codec, views: view, clock: systemClock, ...at });
    runs.set(projection, [...(runs.get(projection) ?? []), run]);
    ends.push(run.ended);
  }
  return {
    failure: failureOf(ends),
    caughtUp: async (projection) => {
      await Promise.all((runs.get(projection) ?? []).map((run) => caughtUp(log, run)));
    },
    async stop() {
      stopping.abort();
      const projections = [...runs.values()].flat();
      await Promise.allSettled([...ends, ...projections.map((run) => run.stop())]);
    },
  };
}

async function caughtUp(log: MemoryLog, run: RunningProjection): Promise<void> {
  await run.until(({ progress }) => progress.length > 0);
  const of = run.progress[0]?.topicPartition;
  if (of === undefined) return;
  const { signal } = new AbortController();
  const { stable } = await (await log.openReader()).offsets(of, signal);
  await run.until(
    ({ progress, stops }) => stops.length > 0 || (progress.at(-1)?.position ?? 0n) >= stable,
  );
  const [stop] = run.stops;
  if (stop !== undefined) throw stop.cause;
}

/** Rejects with the first of these that rejects; never resolves. */
function failureOf(ends: readonly Promise<unknown>[]): Promise<never> {
  const failure = new Promise<never>((_, reject) => {
    for (const end of ends) end.catch(reject);
  });
  failure.catch(() => undefined); // Whoever waits for an answer sees it; nobody has to.
  return failure;
}
