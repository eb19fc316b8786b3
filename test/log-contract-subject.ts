import type { Log, OutRecord, TopicPartition, Writer } from "../engine/log.ts";
import type { WriterLostError } from "../engine/errors.ts";

/** The requests that a fault may hit; the names are those of the Kafka protocol. */
export type FaultyApi =
  "InitProducerId" | "AddPartitionsToTxn" | "Produce" | "TxnOffsetCommit" | "EndTxn";

/** What the contract needs beside the port, from each adapter under test. */
export interface Subject {
  readonly log: Log;
  /** The next request of that kind never arrives. */
  loseRequest(api: FaultyApi): void;
  /** The next request of that kind is carried out, and its answer is lost. */
  loseAnswer(api: FaultyApi): void;
  /**
   * The next request of that kind is held up, and whoever sent it hears nothing.
   * @returns delivers it, and resolves when it has been handled
   */
  delay(api: FaultyApi): () => Promise<void>;
  /** Whether an open transaction is aborted after some time although nobody asks for it. */
  readonly endsTransactions: boolean;
  /** Makes the cleaner run over a topic that was created with `compactedConfig`. */
  compact(of: TopicPartition): Promise<void>;
  deleteBefore(of: TopicPartition, offset: bigint): Promise<void>;
  readonly compactedConfig: Readonly<Record<string, string>>;
  close(): Promise<void>;
}

/** What the tests of the contract work with: a topic of three partitions, and ways to write and read it. */
export interface Bench {
  readonly subject: Subject;
  readonly log: Log;
  readonly topic: string;
  /** The partition that is written to. */
  readonly at: TopicPartition;
  readonly signal: AbortSignal;
  readonly record: (value: string | null, more?: Partial<OutRecord>) => OutRecord;
  readonly writer: (transactionalId?: string) => Promise<Writer>;
  readonly append: (by: Writer, ...values: string[]) => Promise<unknown>;
  /** Everything committed up to the high watermark, reached by position. */
  readonly values: () => Promise<readonly string[]>;
  readonly lost: (call: Promise<unknown>, reason: WriterLostError["reason"]) => Promise<void>;
}
