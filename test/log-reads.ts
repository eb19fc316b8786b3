import type { Log, LogRecord, TopicPartition } from "../engine/log.ts";
import type { AggregateTopics, Topic } from "../engine/topic.ts";

/** What a log holds, for tests that look at it beside the engine. */

const signal = new AbortController().signal;

/** Where the partition ends now. */
export async function endOf(log: Log, of: TopicPartition): Promise<bigint> {
  const reader = await log.openReader();
  const { end } = await reader.offsets(of, signal);
  await reader.close();
  return end;
}

/** Where each partition of the topic ends now. */
export async function endsOf(log: Log, topic: Topic): Promise<readonly bigint[]> {
  const reader = await log.openReader();
  const ends: bigint[] = [];
  for (let partition = 0; partition < topic.partitions; partition++) {
    ends.push((await reader.offsets({ topic: topic.name, partition }, signal)).end);
  }
  await reader.close();
  return ends;
}

/** The committed records of a partition, from its beginning where no offset is given, up to the end that it has now. */
export async function readAll(log: Log, of: TopicPartition, from?: bigint): Promise<LogRecord[]> {
  const reader = await log.openReader();
  const { start, end } = await reader.offsets(of, signal);
  const records: LogRecord[] = [];
  for (let offset = from ?? start; offset < end;) {
    const limits = { maxBytes: 1 << 20, maxWaitMs: 500 };
    const slice = await reader.read({ ...of, offset }, limits, signal);
    records.push(...slice.records);
    offset = slice.next;
  }
  await reader.close();
  return records;
}

/** Whether the command processors have consumed every partition up to `ends`. */
export async function isConsumed(
  log: Log,
  { namespace, aggregate, commands }: AggregateTopics,
  ends: readonly bigint[],
): Promise<boolean> {
  for (const [partition, end] of ends.entries()) {
    const of = { topic: commands.name, partition };
    const offset = await log.committedOffset(`${namespace}.${aggregate}`, of);
    if ((offset ?? 0n) < end) return false;
  }
  return true;
}
