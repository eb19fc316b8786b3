import type { LogReader } from "../../ops/audit/log-reader.ts";
import type { GroupPosition, OffsetsCommitted } from "../../ops/audit/samples.ts";

/** Where brokers keep what groups have committed. */
const offsetsTopic = "__consumer_offsets";
/** Of a key that is about an offset; others are about members. */
const offsetKeyVersions = [0, 1];

/**
 * Every offset that a group has committed and that no compaction has removed, in the order of the log; `offset` is
 * `null` where it was deleted. Its coordinator's answers are no proof: one that was replaced and does not know it yet
 * answers from memory.
 * @throws what `openLogReader` says
 * @see OffsetCommitKey.json and OffsetCommitValue.json of Kafka's group coordinator
 */
export async function commitsOf(log: LogReader, group: string): Promise<OffsetsCommitted[]> {
  const count = await log.partitionsOf(offsetsTopic);
  const of = { topic: offsetsTopic, partition: Math.abs(javaHash(group)) % count };
  const commits: OffsetsCommitted[] = [];
  for await (const { records } of log.topic(of, await log.mark(of)).read("the end")) {
    for (const { key, value, timestamp } of records) {
      const at = key === null ? null : parseKey(key);
      if (at?.group !== group) continue;
      const offset = value === null ? null : String(value.readBigInt64BE(2));
      commits.push({ kind: "committed", t: timestamp, groups: [{ ...at, offset }] });
    }
  }
  return commits;
}

/** `null` where the record is about something else than an offset. */
function parseKey(key: Buffer): Omit<GroupPosition, "offset"> | null {
  if (!offsetKeyVersions.includes(key.readInt16BE(0))) return null;
  let position = 2;
  const text = () => {
    const from = position + 2;
    position = from + key.readInt16BE(position);
    return key.toString("utf8", from, position);
  };
  return { group: text(), topic: text(), partition: key.readInt32BE(position) };
}

/** Java's `String.hashCode`, by which groups are spread over partitions. */
function javaHash(text: string): number {
  let hash = 0;
  for (let i = 0; i < text.length; i++) hash = (Math.imul(31, hash) + text.charCodeAt(i)) | 0;
  return hash;
}
