import { randomUUID } from "node:crypto";
import type { Producer, Transaction } from "kafkajs";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, inject, test } from "vitest";
import { kafkaLog } from "../../engine/kafka/kafka-log.ts";
import type { Log, TopicPartition } from "../../engine/log.ts";
import { randomFrom } from "../../engine/testing/jumping-clock.ts";
import type { AuditRecord } from "../../ops/audit/audited-log.ts";
import { openLogReader } from "../../ops/audit/log-reader.ts";
import { stockClient } from "../broker/admin.ts";
import { until } from "../until.ts";
import { hasCompiler, type JavaRecord, readByJava, type ReadByJava } from "./java-reader.ts";

/** The audit's reader beside Kafka's own client, record by record: the deepest check of who checks. */

const settings = {
  brokers: [inject("kafkaBrokers")],
  clientId: "checker-test",
  tls: null,
  sasl: null,
};
const { signal } = new AbortController();
const seed = Number(process.env["SEED"] ?? Date.now() % 1_000_000);

let log: Log;
let at: TopicPartition;
let producers: Producer[] = [];

beforeAll(() => {
  log = kafkaLog(settings);
});
beforeEach(() => {
  at = { topic: `checked-${randomUUID()}`, partition: 0 };
});
afterEach(async () => {
  await Promise.all(producers.map((producer) => producer.disconnect()));
  producers = [];
});
afterAll(async () => {
  await log.close();
});

async function openProducer(transactionalId?: string): Promise<Producer> {
  const producer = stockClient().producer({
    idempotent: true,
    maxInFlightRequests: 1,
    ...(transactionalId !== undefined && { transactionalId, transactionTimeout: 60_000 }),
  });
  await producer.connect();
  producers.push(producer);
  return producer;
}

interface Script {
  readonly random: () => number;
  readonly steps: number;
  /** Any of so many; few, so that a cleaner has something to do. */
  readonly keys: number;
  /** Called between two steps, now and then. */
  readonly between: (step: number) => Promise<void>;
}

/** Batches of several sizes by four writers, three of whom commit some transactions and abort others. */
async function write({ random, steps, keys, between }: Script): Promise<void> {
  const plain = await openProducer();
  const ids = [randomUUID(), randomUUID(), randomUUID()];
  const writers = await Promise.all(ids.map((id) => openProducer(id)));
  const open = new Map<Producer, Transaction>();
  const end = async (writer: Producer) => {
    const transaction = open.get(writer);
    await (random() < 0.5 ? transaction?.commit() : transaction?.abort());
    open.delete(writer);
  };
  const batch = (step: number) =>
    Array.from({ length: 1 + Math.floor(random() * 5) }, (_, i) => ({
      partition: 0,
      key: random() < 0.05 && keys > 100 ? null : `key-${Math.floor(random() * keys)}`,
      value: random() < 0.05 ? null : `${step}/${i} ${"é".repeat(Math.floor(random() * 300))}`,
      headers: random() < 0.5 ? { h: `${step}`, twice: ["1", "2"], empty: "" } : {},
      timestamp: String(1_600_000_000_000 + Math.floor(random() * 1_000_000)),
    }));
  for (let step = 0; step < steps; step++) {
    await between(step);
    const writer = writers[Math.floor(random() * writers.length)] as Producer;
    const dice = random();
    if (dice < 0.2) await plain.send({ topic: at.topic, messages: batch(step) });
    else if (dice < 0.45) await end(writer);
    else {
      const transaction = open.get(writer) ?? (await writer.transaction());
      open.set(writer, transaction);
      await transaction.send({ topic: at.topic, messages: batch(step) });
    }
  }
  for (const writer of writers) await end(writer);
  await untilMarked();
}

/** EndTxn is answered before its markers are in the log, and to its readers an unmarked transaction is no aborted one. */
async function untilMarked(): Promise<void> {
  const reader = openLogReader(settings, signal);
  try {
    expect(await reader.hanging(at, (await reader.mark(at)).end)).toBeNull();
  } finally {
    reader.close();
  }
}

/** What the audit's reader makes of the topic. */
async function readByAudit() {
  const reader = openLogReader(settings, signal);
  try {
    const committed: AuditRecord[] = [];
    const aborted: AuditRecord[] = [];
    const mark = await reader.mark(at);
    for await (const slice of reader.topic(at, mark).read("all is decided")) {
      committed.push(...slice.records);
      aborted.push(...(slice.aborted ?? []));
    }
    return { committed, aborted };
  } finally {
    reader.close();
  }
}

function asJava({ offset, timestamp, key, value, headers }: AuditRecord): JavaRecord {
  const text = (bytes: Buffer | null) => bytes?.toString("base64") ?? null;
  return {
    offset: String(offset),
    timestamp,
    key: text(key),
    value: text(value),
    headers: headers.map(([name, content]) => [text(Buffer.from(name)) ?? "", text(content)]),
  };
}

interface Compared {
  readonly audit: { readonly committed: readonly AuditRecord[]; readonly aborted: AuditRecord[] };
  readonly java: ReadByJava;
}

/** By both; `null` where a cleaner has changed the log meanwhile. */
async function readByBoth(): Promise<Compared | null> {
  const audit = await readByAudit();
  const java = await readByJava(inject("kafkaBrokers"), at.topic);
  const again = await readByAudit();
  const offsets = ({ committed, aborted }: typeof audit) =>
    [...committed, ...aborted].map(({ offset }) => String(offset)).join();
  return offsets(audit) === offsets(again) ? { audit, java } : null;
}

function expectAgreement({ audit, java }: Compared): void {
  const { committed, aborted } = audit;
  expect(committed.map(asJava), `SEED=${seed}`).toEqual(java.committed);
  const all = [...committed, ...aborted].sort((a, b) => (a.offset < b.offset ? -1 : 1));
  expect(all.map(asJava), `SEED=${seed}`).toEqual(java.all);
}

const twoMinutes = { timeout: 120_000 };

describe.skipIf(!hasCompiler())("Kafka's own client and the audit's reader agree", () => {
  test(
    "on a log of committed and aborted transactions, in batches kept in several ways",
    twoMinutes,
    async () => {
      const config = { "retention.ms": "-1", "message.timestamp.type": "CreateTime" };
      await log.createTopic({ name: at.topic, partitions: 1, replicationFactor: 1, config });
      const kinds = ["uncompressed", "gzip", "zstd"];
      await write({
        random: randomFrom(seed),
        steps: 150,
        keys: 1_000,
        between: async (step) => {
          const kind = kinds[(step / 25) % kinds.length];
          if (kind !== undefined) await log.alterTopic(at.topic, { "compression.type": kind });
        },
      });
      const read = await readByBoth();
      if (read === null) throw new Error("Nobody cleans this log, and it has changed");
      expectAgreement(read);
      expect(read.audit.committed.length).toBeGreaterThan(0);
      expect(read.audit.aborted.length).toBeGreaterThan(0);
    },
  );

  test("on a log that the cleaner has been over", twoMinutes, async () => {
    await log.createTopic({
      ...{ name: at.topic, partitions: 1, replicationFactor: 1 },
      config: {
        "cleanup.policy": "compact",
        "segment.ms": "200",
        "min.cleanable.dirty.ratio": "0.001",
        "max.compaction.lag.ms": "200",
        "delete.retention.ms": "100",
      },
    });
    const random = randomFrom(seed);
    await write({ random, steps: 120, keys: 5, between: async () => undefined });
    const before = (await readByAudit()).committed.length;
    const fill = await openProducer();
    let fillers = 0;
    await until("the cleaner to pass", async () => {
      const messages = [{ partition: 0, key: `filler-${fillers++}`, value: "x" }];
      await fill.send({ topic: at.topic, messages });
      const { committed } = await readByAudit();
      return committed.length - fillers <= Math.min(before - 1, 10);
    });
    const read = await until("a log that stands still while it is read", readByBoth);
    expectAgreement(read);
    expect(read.audit.committed.length).toBeLessThan(before + fillers);
  });
});
