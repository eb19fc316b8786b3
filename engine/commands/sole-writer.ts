import { WriterLostError } from "../errors.ts";
import type { LogOffsets, Reader } from "../log.ts";
import type { AggregateTopics } from "../topic.ts";

/**
 * To be asked before anything is said to be missing from the log: a worker that has been replaced during its
 * restore asks for its marks and for the group's offset while its successor writes, and one leads beyond another.
 * Each transaction writes a position, so the snapshots have grown then.
 * @throws WriterLostError `fenced` where somebody has written to the partition since `marks`
 */
export async function requireSoleWriter(
  partition: {
    readonly reader: Reader;
    readonly topics: AggregateTopics;
    readonly partition: number;
    readonly marks: { readonly snapshots: LogOffsets };
  },
  signal: AbortSignal,
): Promise<void> {
  const of = { topic: partition.topics.snapshots.name, partition: partition.partition };
  const { end } = await partition.reader.offsets(of, signal);
  if (end === partition.marks.snapshots.end) return;
  throw new WriterLostError("fenced", `Another worker has written to ${of.topic}/${of.partition}`);
}
