import { invariant, WriterLostError } from "../errors.ts";
import type { OutRecord, Producer, Receipt, Transaction, Writer, WriterOptions } from "../log.ts";
import { KafkaClient } from "./client.ts";
import { type KafkaConfig, requestTimeoutMs } from "./kafkajs.ts";
import type { Broker } from "./kafkajs-types.ts";
import { movedElsewhere, producerFailure, retriable } from "./failure.ts";
import { produce, type ProducerSession } from "./produce.ts";
import { untilDefinite } from "./retry.ts";

/**
 * A transactional producer as protocol v1 of KIP-98 has it, under law P1: requests are repeated only after
 * an answer that says that nothing has happened; after anything else the writer is closed for good.
 */
export class KafkaWriter implements Writer {
  private readonly client: KafkaClient;
  private readonly session: ProducerSession & { readonly transactionalId: string };
  private readonly producerId: string;
  private coordinator: Broker | null = null;
  private usable = true;

  private constructor(
    client: KafkaClient,
    session: ProducerSession & { readonly transactionalId: string },
  ) {
    this.client = client;
    this.session = session;
    this.producerId = String(session.producerId);
  }

  static async open(config: KafkaConfig, { transactionalId }: WriterOptions): Promise<KafkaWriter> {
    const client = new KafkaClient(config);
    try {
      const identity = await untilDefinite(client, retriable.coordinator, async () => {
        const coordinator = await client.coordinatorOf("transaction", transactionalId);
        return coordinator.initProducerId({
          transactionalId,
          transactionTimeout: requestTimeoutMs,
        });
      });
      return new KafkaWriter(client, { transactionalId, ...newSession(identity) });
    } catch (error) {
      client.close();
      throw producerFailure("InitProducerId", error);
    }
  }

  async transact({ records, consumed }: Transaction): Promise<Receipt> {
    invariant(this.usable, "A writer was used after it failed or while it was in use");
    if (records.length === 0 && consumed === null) return [];
    this.usable = false; // Until this transaction is known to be committed.
    let call = "AddPartitionsToTxn";
    try {
      let receipt: Receipt = [];
      if (records.length > 0) {
        await this.ask(retriable.coordinator, (coordinator) =>
          coordinator.addPartitionsToTxn({ ...this.identity(), topics: topicsOf(records) }),
        );
        call = "Produce";
        receipt = await produce(this.client, this.session, records);
      }
      if (consumed) {
        // After the records: a transaction that begins with offsets fails more often (`probes` t3).
        call = "AddOffsetsToTxn";
        await this.ask(retriable.coordinator, (coordinator) =>
          coordinator.addOffsetsToTxn({ ...this.identity(), groupId: consumed.group }),
        );
        call = "TxnOffsetCommit";
        await this.commitOffset(consumed);
      }
      call = "EndTxn";
      await this.ask(retriable.endTxn, (coordinator) =>
        coordinator.endTxn({ ...this.identity(), transactionResult: true }),
      );
      this.usable = true;
      return receipt;
    } catch (error) {
      this.client.close();
      throw producerFailure(call, error);
    }
  }

  async close(): Promise<void> {
    this.usable = false;
    this.client.close();
  }

  private identity() {
    const { transactionalId, producerEpoch } = this.session;
    return { transactionalId, producerId: this.producerId, producerEpoch };
  }

  private async commitOffset(consumed: NonNullable<Transaction["consumed"]>): Promise<void> {
    const { group, topic, partition, offset } = consumed;
    await untilDefinite(this.client, retriable.coordinator, async () => {
      const coordinator = await this.client.coordinatorOf("group", group);
      await coordinator.txnOffsetCommit({
        ...this.identity(),
        groupId: group,
        topics: [{ topic, partitions: [{ partition, offset: String(offset) }] }],
      });
    });
  }

  private async ask<T>(
    codes: ReadonlySet<number>,
    call: (coordinator: Broker) => Promise<T>,
  ): Promise<T> {
    return untilDefinite(this.client, codes, async () => {
      this.coordinator ??= await this.client.coordinatorOf(
        "transaction",
        this.session.transactionalId,
      );
      try {
        return await call(this.coordinator);
      } catch (error) {
        if (movedElsewhere(error)) this.coordinator = null;
        throw error;
      }
    });
  }
}

function newSession(identity: { producerId: string; producerEpoch: number }) {
  return {
    producerId: BigInt(identity.producerId),
    producerEpoch: identity.producerEpoch,
    sequences: new Map<string, number>(),
    acknowledged: new Map<string, bigint>(),
  };
}

function topicsOf(records: readonly OutRecord[]): { topic: string; partitions: number[] }[] {
  const topics = new Map<string, Set<number>>();
  for (const { topic, partition } of records) {
    const partitions = topics.get(topic);
    if (partitions) partitions.add(partition);
    else topics.set(topic, new Set([partition]));
  }
  return [...topics].map(([topic, partitions]) => ({ topic, partitions: [...partitions] }));
}

/** An idempotent producer; sends that come while one is under way go out together after it. */
export class KafkaProducer implements Producer {
  private readonly client: KafkaClient;
  private readonly session: ProducerSession;
  private queue: {
    records: readonly OutRecord[];
    done: (receipt: Receipt) => void;
    failed: (error: unknown) => void;
  }[] = [];
  private sending = false;
  private failure: Error | null = null;

  private constructor(client: KafkaClient, session: ProducerSession) {
    this.client = client;
    this.session = session;
  }

  static async open(config: KafkaConfig): Promise<KafkaProducer> {
    const client = new KafkaClient(config);
    try {
      const identity = await untilDefinite(client, retriable.coordinator, async () => {
        const broker = await client.anyBroker();
        return broker.initProducerId({ transactionTimeout: requestTimeoutMs });
      });
      return new KafkaProducer(client, { transactionalId: null, ...newSession(identity) });
    } catch (error) {
      client.close();
      throw producerFailure("InitProducerId", error);
    }
  }

  send(records: readonly OutRecord[]): Promise<Receipt> {
    return new Promise((done, failed) => {
      this.queue.push({ records, done, failed });
      if (!this.sending) void this.drain();
    });
  }

  async close(): Promise<void> {
    this.failure ??= new WriterLostError("indefinite", "The producer was closed");
    this.client.close();
  }

  private async drain(): Promise<void> {
    this.sending = true;
    while (this.queue.length > 0) {
      const sends = this.queue;
      this.queue = [];
      try {
        if (this.failure) throw this.failure;
        const receipt = await produce(
          this.client,
          this.session,
          sends.flatMap(({ records }) => records),
        );
        let from = 0;
        for (const { records, done } of sends) done(receipt.slice(from, (from += records.length)));
      } catch (error) {
        this.failure ??= producerFailure("Produce", error);
        this.client.close();
        for (const { failed } of sends) failed(this.failure);
      }
    }
    this.sending = false;
  }
}
