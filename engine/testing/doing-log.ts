import type { Clock } from "../clock.ts";
import type { Codec } from "../codec.ts";
import { PoisonError, TransientError } from "../errors.ts";
import type { OutRecord } from "../log.ts";
import { eventKey, headers } from "../message.ts";
import type { TableRows } from "../projection.ts";
import { doingTopics } from "./doing.ts";
import { MemoryLog } from "./memory-log.ts";

type Apply<T extends string> = (rows: Readonly<Record<T, TableRows>>) => void;

/** What an event does to a view, or what is wrong with its bytes. */
export type DoingEvent<T extends string> =
  | { readonly aggregateId?: string; readonly apply: Apply<T> }
  | { readonly broken: "value" | "key" | "headers" | "tombstone" };

export interface DoingLog<T extends string> {
  readonly log: MemoryLog;
  readonly codec: Codec;
  /** Appends events in one transaction; an aggregate's versions count up from 1. */
  append(partition: number, ...events: readonly DoingEvent<T>[]): Promise<readonly bigint[]>;
  /** The same, but the transaction is aborted: no reader may ever see them. */
  appendAborted(partition: number, count: number): Promise<void>;
}

/** A log in memory whose events carry the row operations that they stand for. */
export async function doingLog<T extends string>(clock: Clock): Promise<DoingLog<T>> {
  const log = new MemoryLog({
    clock,
    network: async (call, handle) => {
      if (call.api === "EndTxn" && call.by === aborting) throw new TransientError("lost");
      return handle();
    },
  });
  const { name: topic, partitions, config } = doingTopics.events;
  await log.createTopic({ name: topic, partitions, replicationFactor: 1, config });
  const applies: Apply<T>[] = [];
  const versions = new Map<string, number>();

  const recordOf = (partition: number, event: DoingEvent<T>): OutRecord => {
    const aggregateId = "apply" in event ? (event.aggregateId ?? "a-1") : "broken";
    const version = (versions.get(aggregateId) ?? 0) + 1;
    versions.set(aggregateId, version);
    const sound: OutRecord = {
      topic,
      partition,
      key: eventKey(aggregateId, version),
      value: Buffer.from(String("apply" in event ? applies.push(event.apply) - 1 : 0)),
      headers: [
        [headers.commandId, `c-${aggregateId}-${version}`],
        [headers.commandOffset, String(version * 10)],
      ],
      timestamp: clock.now(),
    };
    return "broken" in event ? spoiled(sound, event.broken) : sound;
  };

  return {
    log,

    codec: {
      encode() {
        throw new Error("events are made by append");
      },
      learn: async () => undefined,
      decode(_topic, value) {
        const apply = applies[Number(value.toString())];
        if (apply === undefined) throw new PoisonError("TRUNCATED", "the bytes end too early");
        return { type: "Done", data: { apply } };
      },
    },

    async append(partition, ...events) {
      const writer = await log.openWriter({ transactionalId: `writer-${partition}` });
      const records = events.map((event) => recordOf(partition, event));
      return writer.transact({ records, consumed: null });
    },

    async appendAborted(partition, count) {
      const writer = await log.openWriter({ transactionalId: aborting });
      const unseen = { aggregateId: "unseen", apply: () => undefined };
      const records = Array.from({ length: count }, () => recordOf(partition, unseen));
      await Promise.allSettled([writer.transact({ records, consumed: null })]); // It cannot end it.
      await log.openWriter({ transactionalId: aborting });
    },
  };
}

/** The id of a producer that never gets to commit. */
const aborting = "aborting";

function spoiled(record: OutRecord, part: "value" | "key" | "headers" | "tombstone"): OutRecord {
  switch (part) {
    case "value":
      return { ...record, value: Buffer.from("?") };
    case "key":
      return { ...record, key: "no version" };
    case "headers":
      return { ...record, headers: [] };
    case "tombstone":
      return { ...record, value: null };
  }
}
