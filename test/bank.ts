import { openCodec } from "../engine/avro/avro-codec.ts";
import type { Clock } from "../engine/clock.ts";
import type { Codec } from "../engine/codec.ts";
import {
  type CommandEnd,
  type CommandLimits,
  commandLimits,
  type CommandPartition,
  processCommands,
} from "../engine/commands/command-processor.ts";
import type { OpenNote } from "../engine/commands/note.ts";
import type { OpenStore } from "../engine/commands/store.ts";
import type { Decider, Message } from "../engine/decider.ts";
import { Position, Reply } from "../engine/generated.ts";
import { headerOf, type Log, type LogRecord, type OutRecord } from "../engine/log.ts";
import { partitionOf } from "../engine/message.ts";
import { registryWith } from "../engine/testing/memory-registry.ts";
import { settingsOf } from "../engine/topic-check.ts";
import { aggregateTopics, type AggregateTopics, type Topic } from "../engine/topic.ts";
import { account } from "../processors/aggregates/account.ts";
import * as schemas from "../schemas/generated.ts";

/** The bank's account aggregate on any log, with few partitions: for tests of the command processor. */

export type AnyDecider = Decider<schemas.AccountState, Message, Message, string>;
export const accountDecider = account as unknown as AnyDecider;

/** Topics of their own for each test, so that tests on one broker do not meet. */
export function bankTopics(namespace: string, partitions = 2): AggregateTopics {
  return aggregateTopics({
    namespace,
    aggregate: "account",
    partitions,
    commands: [
      schemas.OpenAccount,
      schemas.DepositFunds,
      schemas.WithdrawFunds,
      schemas.CloseAccount,
    ],
    events: [
      schemas.AccountOpened,
      schemas.FundsDeposited,
      schemas.FundsWithdrawn,
      schemas.AccountClosed,
    ],
    state: schemas.AccountState,
    reply: Reply,
    position: Position,
  });
}

export function topicsOf(topics: AggregateTopics): readonly Topic[] {
  return [topics.commands, topics.events, topics.snapshots, topics.replies, topics.dlq];
}

export async function createTopics(log: Log, topics: AggregateTopics): Promise<void> {
  for (const topic of topicsOf(topics)) {
    const { name, partitions } = topic;
    const config = settingsOf(topic, 1);
    await log.createTopic({ name, partitions, replicationFactor: 1, config });
  }
}

/** A codec over a registry in memory. */
export async function bankCodec(topics: AggregateTopics, clock: Clock): Promise<Codec> {
  const registry = await registryWith(topicsOf(topics));
  const all = { registry, topics: topicsOf(topics), unknownIdWaitMs: 1_000, clock };
  return openCodec(all, new AbortController().signal);
}

type Fields = Readonly<Record<string, unknown>>;

/** The command as the record that a client sends. */
export function commandRecord(
  { topics, codec }: { topics: AggregateTopics; codec: Codec },
  type: string,
  data: Fields & { readonly commandId: string; readonly accountId: string },
): OutRecord {
  const nothing = { issuedAt: null, expectedVersion: null, reference: null };
  const value = codec.encode(topics.commands, type, { ...nothing, ...data });
  return {
    topic: topics.commands.name,
    partition: partitionOf(data.accountId, topics.commands.partitions),
    key: data.accountId,
    value: Buffer.from(value),
    headers: [],
    timestamp: 0,
  };
}

export interface BankRun {
  readonly log: Log;
  readonly topics: AggregateTopics;
  readonly codec: Codec;
  readonly clock: Clock;
  readonly openStore: OpenStore;
  readonly openNote?: OpenNote;
  readonly decider?: AnyDecider;
  readonly limits?: Partial<CommandLimits>;
  readonly confirm?: CommandPartition<schemas.AccountState>["confirm"];
}

export interface RunningPartition {
  /** `opening <reason>` and `ready from store|log` in the order in which they came. */
  readonly story: string[];
  readonly ended: Promise<CommandEnd>;
  /** The next offset to consume, after the last commit or restore. */
  position(): bigint;
  /** Ends the run as a signal does: the batch under way is finished. */
  stop(): Promise<CommandEnd>;
}

/** Processes one partition until stopped. */
export function processPartition(run: BankRun, partition: number): RunningPartition {
  const stopping = new AbortController();
  const story: string[] = [];
  let next = -1n;
  const ended = processCommands<schemas.AccountState>(
    {
      decider: run.decider ?? accountDecider,
      topics: run.topics,
      partition,
      group: run.topics.commands.name,
      log: run.log,
      codec: run.codec,
      openStore: run.openStore,
      ...(run.openNote && { openNote: run.openNote }),
      clock: run.clock,
      confirm: run.confirm ?? (async () => true),
      limits: { ...commandLimits, ...run.limits },
      hooks: {
        opening: (reason) => story.push(`opening ${reason}`),
        stuck: (_, ms) => story.push(ms === 0 ? "goes on" : "stuck"),
        ready: ({ fromStore, resume }) => {
          story.push(`ready from ${fromStore ? "store" : "log"}`);
          next = resume;
        },
        committed: (commit) => {
          next = commit.next;
        },
        lag: () => undefined,
      },
    },
    stopping.signal,
  );
  void Promise.allSettled([ended]);
  return {
    story,
    ended,
    position: () => next,
    stop: () => {
      stopping.abort();
      return ended;
    },
  };
}

/** A record of ours as a test wants to see it. */
export interface Seen {
  readonly offset: bigint;
  readonly key: string;
  readonly type: string;
  readonly data: Fields;
  readonly header: (name: string) => string | null;
}

export function seen(codec: Codec, topic: Topic, records: readonly LogRecord[]): Seen[] {
  return records.flatMap((record) => {
    if (record.value === null) return [];
    const { type, data } = codec.decode(topic, record.value);
    const header = (name: string) => headerOf(record, name);
    return [{ offset: record.offset, key: String(record.key), type, data, header }];
  });
}
