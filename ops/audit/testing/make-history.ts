import type { Codec } from "../../../engine/codec.ts";
import { WriterLostError } from "../../../engine/errors.ts";
import type { OutRecord, TopicPartition } from "../../../engine/log.ts";
import type { AnyProjection } from "../../../engine/projection.ts";
import { jumpingClock, randomFrom } from "../../../engine/testing/jumping-clock.ts";
import { MemoryLog } from "../../../engine/testing/memory-log.ts";
import { MemoryStoreFiles } from "../../../engine/testing/memory-store.ts";
import { type MemoryRow, memoryViews } from "../../../engine/testing/memory-views.ts";
import type { Network } from "../../../engine/testing/network.ts";
import { startProjection } from "../../../engine/testing/running-projection.ts";
import type { AggregateTopics, TopicKind } from "../../../engine/topic.ts";
import { balances } from "../../../processors/projections/balances.ts";
import { statements } from "../../../processors/projections/statements.ts";
import {
  accountDecider,
  type AnyDecider,
  bankCodec,
  bankTopics,
  commandRecord,
  createTopics,
  processPartition,
} from "../../../test/bank.ts";
import type { Movement } from "../bank-fold.ts";
import type { BalanceRow } from "../bank-views.ts";
import { poisonHeader } from "../client-history.ts";
import type { ViewCheckpoint } from "../views.ts";
import { clientsOf, samplesOf } from "./clients.ts";
import type { History } from "./history.ts";

export interface Shape {
  readonly commands?: number;
  /** How many command ids are remembered; few, and some are forgotten and run again. */
  readonly window?: number;
  /** How often a request of the writer, or its answer, is lost. */
  readonly faults?: number;
  /** Another bank's rules. */
  readonly decider?: AnyDecider;
  /** Adds commands of the test's own. */
  readonly more?: (bank: { topics: AggregateTopics; codec: Codec }) => readonly OutRecord[];
}

const accounts = ["a", "b", "c", "@d", "e/1"];

/** Commands on few accounts, many sent twice or doomed, some poisonous; all are consumed and projected. */
export async function makeHistory(seed: number, shape: Shape = {}): Promise<History> {
  const random = randomFrom(seed);
  const clock = jumpingClock(seed);
  const topics = bankTopics("audited", 1);
  const log = new MemoryLog({ clock });
  await createTopics(log, topics);
  const codec = await bankCodec(topics, clock);
  const records = [
    ...commandsFor(random, shape.commands ?? 80, { topics, codec }),
    ...(shape.more?.({ topics, codec }) ?? []),
  ];
  const bank = {
    log: log.via(losing(random, shape.faults ?? 0.02)),
    topics,
    codec,
    clock,
    openStore: new MemoryStoreFiles().open,
    decider: shape.decider ?? accountDecider,
    limits: {
      maxRecords: 1 + Math.floor(random() * 12),
      window: { maxAgeMs: 1e12, maxCount: shape.window ?? 1_000 },
      snapshots: {
        maxEventsBehind: Math.floor(random() * 20),
        maxAgeMs: 1e9,
        maxPerTransaction: 2,
      },
    },
  };
  const producer = await log.openProducer();
  let sent = 0n;
  while (records.length > 0) {
    // A worker for each part: a restart now and then.
    const part = records.splice(0, 1 + Math.floor(random() * 40));
    await producer.send(part);
    sent += BigInt(part.length);
    const running = processPartition(bank, 0);
    await turnUntil(() => running.position() >= sent);
    await running.stop();
  }
  const history = await project(log, { topics, codec, random, clock });
  history.clients.push(...clientsOf(history));
  history.samples.push(...samplesOf(history));
  return history;
}

function commandsFor(
  random: () => number,
  count: number,
  bank: { topics: AggregateTopics; codec: Codec },
): OutRecord[] {
  const pick = <T>(list: readonly T[]) => list[Math.floor(random() * list.length)] as T;
  const records: OutRecord[] = accounts
    .slice(0, 3)
    .map((accountId) =>
      commandRecord(bank, "OpenAccount", { commandId: `o-${accountId}`, accountId, owner: "Ada" }),
    );
  const headers = (i: number): OutRecord["headers"] => [
    ["h", "x"],
    [poisonHeader, `p-${i}`],
  ];
  /** Each kind of poison at least once. */
  const sure = new Map([
    [20, "value"],
    [40, "key"],
  ]);
  const types = ["OpenAccount", "DepositFunds", "DepositFunds", "DepositFunds", "WithdrawFunds"];
  while (records.length < count) {
    const i = records.length;
    if (random() < 0.2 && !sure.has(i)) {
      records.push(pick(records));
      continue;
    }
    const fields = {
      commandId: `c-${i}`,
      accountId: pick(accounts),
      owner: `owner ${i}`,
      amountCents: Math.floor(random() * 100) - 5,
      reference: random() < 0.5 ? `ref ${i}` : null,
      expectedVersion: random() < 0.1 ? Math.floor(random() * 6) : null,
      issuedAt: random() < 0.5 ? Date.UTC(2020, 0, 1) + i : null,
    };
    const record = commandRecord(bank, random() < 0.05 ? "CloseAccount" : pick(types), fields);
    const dice = random();
    if (dice < 0.04 || sure.get(i) === "value")
      records.push({ ...record, value: Buffer.from("poison"), headers: headers(i) });
    else if (dice < 0.06 || sure.get(i) === "key")
      records.push({ ...record, key: null, headers: headers(i) });
    else records.push(record);
  }
  return records;
}

/** Requests of writers are lost on their way, or their answers are. */
function losing(random: () => number, rate: number): Network {
  return async (call, handle) => {
    if (call.by === null) return handle();
    const dice = random();
    if (dice < rate) throw new WriterLostError("indefinite", `${call.api} was lost`);
    const answer = handle();
    if (dice < 2 * rate) throw new WriterLostError("indefinite", `its answer was lost`);
    return answer;
  };
}

async function turnUntil(isMet: () => boolean): Promise<void> {
  for (let turns = 0; !isMet(); turns++) {
    if (turns > 200_000) throw new Error("The commands were not consumed to their end");
    await new Promise((resolve) => setImmediate(resolve));
  }
}

async function project(
  log: MemoryLog,
  of: Pick<History, "topics" | "codec" | "random"> & { clock: ReturnType<typeof jumpingClock> },
): Promise<History> {
  const { topics, codec, clock } = of;
  const at = (kind: TopicKind): TopicPartition => ({ topic: topics[kind].name, partition: 0 });
  const reader = await log.openReader();
  const signal = new AbortController().signal;
  const view = async (projection: AnyProjection) => {
    const views = memoryViews(projection);
    const run = startProjection({
      projection: { ...projection, topics: [topics.events] },
      ...{ topicPartition: at("events"), reader, codec, views, clock },
    });
    await run.caughtUp();
    await run.stop();
    const stored = await views.checkpoint(at("events"), signal);
    const checkpoint: ViewCheckpoint = {
      nextOffset: stored?.nextOffset ?? 0n,
      commandOffset: stored?.commandOffset == null ? null : Number(stored.commandOffset),
      aggregateVersion: stored?.version ?? null,
    };
    return { rows: views.rows(projection.name), checkpoint };
  };
  const [balance, statement] = [await view(balances), await view(statements)];
  const kinds = ["commands", "events", "snapshots", "replies", "dlq"] as const;
  const ends = {} as Record<TopicKind, bigint>;
  for (const kind of kinds) ends[kind] = (await reader.offsets(at(kind), signal)).end;
  const read = (kind: TopicKind) =>
    log.committed(at(kind)).map((record) => ({
      ...record,
      timestamp: Math.trunc(record.timestamp), // This clock has parts of a millisecond.
      writer: kind === "commands" ? null : "1/0",
    }));
  return {
    ...of,
    log: {
      commands: read("commands"),
      events: read("events"),
      snapshots: read("snapshots"),
      replies: read("replies"),
      dlq: read("dlq"),
    },
    starts: { commands: 0n, events: 0n, snapshots: 0n, replies: 0n, dlq: 0n },
    ends,
    snapshotsEndNow: ends.snapshots,
    balances: balanceRows(balance.rows),
    statements: movementRows(statement.rows),
    checkpoints: { balances: balance.checkpoint, statements: statement.checkpoint },
    aborted: { commands: [], events: [], snapshots: [], replies: [], dlq: [] },
    ...{ hanging: [], clients: [], samples: [] },
  };
}

function balanceRows(rows: readonly MemoryRow[]): Map<string, BalanceRow> {
  return new Map(
    rows.map((row) => [
      String(row.key[0]),
      {
        owner: String(row["owner"]),
        status: String(row["status"]),
        balanceCents: Number(row["balance_cents"]),
        version: Number(row["version"]),
        updatedAt: Number(row["updated_at"]),
      },
    ]),
  );
}

function movementRows(rows: readonly MemoryRow[]): Map<string, Movement[]> {
  const byAccount = new Map<string, Movement[]>();
  for (const row of rows) {
    const [accountId, version] = row.key;
    const movements = byAccount.get(String(accountId)) ?? [];
    const reference = row["reference"];
    movements.push({
      version: Number(version),
      amountCents: Number(row["amount_cents"]),
      reference: typeof reference === "string" ? reference : null,
      commandId: String(row["command_id"]),
      bookedAt: Number(row["booked_at"]),
    });
    byAccount.set(String(accountId), movements);
  }
  return byAccount;
}
