import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { inject } from "vitest";
import type { Codec } from "../../engine/codec.ts";
import { loadConfig } from "../../engine/config.ts";
import type { Log, OutRecord } from "../../engine/log.ts";
import { readerRole } from "../../engine/projections/tables.ts";
import type { AggregateTopics } from "../../engine/topic.ts";
import { runWorkers } from "../../engine/run-workers.ts";
import { commandProcessor, projector } from "../../engine/worker.ts";
import { accountAudit } from "../../ops/audit/account-audit.ts";
import type { Reply } from "../../engine/generated.ts";
import { audit, type AuditReport } from "../../ops/audit/audit.ts";
import type { ClientEntry } from "../../ops/audit/client-entry.ts";
import type { ClientHistory } from "../../ops/audit/clients.ts";
import { type Expected } from "../../ops/audit/expected.ts";
import { openLogReader } from "../../ops/audit/log-reader.ts";
import { account } from "../../processors/aggregates/account.ts";
import { balances } from "../../processors/projections/balances.ts";
import { statements } from "../../processors/projections/statements.ts";
import { commandRecord } from "../bank.ts";
import { ownBank } from "../own-bank.ts";
import { endsOf, isConsumed } from "../log-reads.ts";
import { type FreshDatabase, freshDatabase } from "../postgres/fresh-database.ts";
import { until } from "../until.ts";

/** A bank of a test's own on the real stack: its own topics, its own database, the real workers. */
export interface AuditedBank {
  readonly log: Log;
  readonly topics: AggregateTopics;
  readonly codec: Codec;
  readonly database: FreshDatabase;
  /** Sends commands, in this order. */
  send(...commands: readonly OutRecord[]): Promise<void>;
  command(type: string, commandId: string, fields?: Readonly<Record<string, unknown>>): OutRecord;
  /** Until every command sent has its reply and both views have every event. */
  caughtUp(): Promise<void>;
  /** What clients were told who sent the commands one after the other. */
  toldToClients(): Promise<readonly ClientEntry[]>;
  /** `patienceMs`: with transactions that hang. */
  audit(more?: {
    expected?: Expected;
    clients?: ClientHistory;
    patienceMs?: number;
  }): Promise<AuditReport>;
  close(): Promise<void>;
}

const partitions = 3;
const { signal } = new AbortController();
/** For the reader that is not the engine's. */
const kafkaOf = () => ({
  brokers: [inject("kafkaBrokers")],
  clientId: "audit-test",
  tls: null,
  sasl: null,
});

export async function openAuditedBank(): Promise<AuditedBank> {
  const { log, topics, codec } = await ownBank("audit", partitions);
  const database = await freshDatabase();
  await database.prepare([balances, statements]);
  const stateDir = mkdtempSync(join(tmpdir(), "foldlog-audit-"));
  const stopping = new AbortController();
  const running = runWorkers(
    {
      workers: {
        account: commandProcessor(account, topics),
        balances: projector({ ...balances, topics: [topics.events] }),
        statements: projector({ ...statements, topics: [topics.events] }),
      },
      config: loadConfig(
        {
          KAFKA_BROKERS: inject("kafkaBrokers"),
          SCHEMA_REGISTRY_URL: inject("registryUrl"),
          DATABASE_URL: database.superuserUrl,
          FOLDLOG_STATE_DIR: stateDir,
          FOLDLOG_METRICS_PORT: "0",
          FOLDLOG_REPLICATION_FACTOR: "1",
          FOLDLOG_UNKNOWN_SCHEMA_WAIT_MS: "0",
        },
        ["DATABASE_URL"],
      ),
      version: "test",
      logger: pino({ level: "silent" }),
    },
    stopping.signal,
  );
  running.catch(() => undefined); // `close` tells.
  const producer = await log.openProducer();
  const admin = database.open(database.superuserUrl);
  const reader = database.open(readerRole);

  return {
    log,
    topics,
    codec,
    database,
    async send(...commands) {
      await producer.send(commands);
    },
    command: (type, commandId, fields = {}) =>
      commandRecord({ topics, codec }, type, { accountId: "a", commandId, ...fields }),
    async caughtUp() {
      await until("every worker to catch up", async () => {
        const commands = await endsOf(log, topics.commands);
        if (!(await isConsumed(log, topics, commands))) return false;
        for (const [partition, end] of (await endsOf(log, topics.events)).entries()) {
          const { count } = await admin.query(
            `select from foldlog.checkpoints where topic = $1 and partition = $2 and next_offset >= $3`,
            [topics.events.name, partition, end],
          );
          if (end > 0n && count < 2) return false;
        }
        return true;
      });
    },
    async toldToClients() {
      const own = openLogReader(kafkaOf(), signal);
      const entries: ClientEntry[] = [];
      for (let partition = 0; partition < partitions; partition++) {
        const of = { topic: topics.replies.name, partition };
        for await (const { records } of own.topic(of, await own.mark(of)).read("the end")) {
          for (const { value } of records) {
            const { data } = codec.decode(topics.replies, value as Buffer);
            entries.push(...entriesOf(data as unknown as Reply, partition, entries.length));
          }
        }
      }
      own.close();
      return entries;
    },
    async audit({ expected = null, clients, patienceMs } = {}) {
      const limits = patienceMs === undefined ? {} : { patienceMs };
      const own = openLogReader(kafkaOf(), signal, limits);
      try {
        const aggregate = accountAudit(topics);
        const common = { log: own, codec, database: reader, onProgress: () => undefined };
        const given = { expected, ...(clients !== undefined && { clients }) };
        return await audit({ aggregate, ...common, ...given }, signal);
      } finally {
        own.close();
      }
    },
    async close() {
      stopping.abort();
      await running;
      await producer.close();
      await log.close();
      await database.drop();
      rmSync(stateDir, { recursive: true, force: true });
    },
  };
}

/** A command that was sent, and its answer; nothing of a record that has no ids. */
function entriesOf(reply: Reply, partition: number, t: number): readonly ClientEntry[] {
  const { aggregateId, commandId, outcome, version, reason, duplicate, commandOffset } = reply;
  if (aggregateId === null || commandId === null || outcome === "failed") return [];
  const about = { t, process: `${partition}/${commandOffset}`, aggregate: "account", aggregateId };
  const command = { ...about, f: "command", commandId } as const;
  const result = {
    ...{ outcome, version: version ?? 0, reason, duplicate, partition },
    commandOffset: String(commandOffset),
  };
  return [
    { ...command, type: "invoke", expectedVersion: null },
    { ...command, type: "ok", result },
  ];
}
