import type { Codec } from "../../engine/codec.ts";
import type { Reply } from "../../engine/generated.ts";
import type { Log } from "../../engine/log.ts";
import type { AggregateTopics } from "../../engine/topic.ts";
import type { Replay } from "./replay.ts";
import { scan } from "./scan.ts";

/** What the replies topic still knows of command ids. */

type Send = Extract<Replay, { kind: "send" }>;

export interface EarlierAnswers {
  /** The final answer that the old id of a replay has on its aggregate. */
  readonly answers: ReadonlyMap<Replay, Reply>;
  /** When the oldest reply that is still there was written; `null` where none has been deleted yet. */
  readonly oldest: Date | null;
}

/** Looks through the replies of every partition that a replay goes to. */
export async function earlierAnswers(
  { log, codec, topics }: { log: Log; codec: Codec; topics: AggregateTopics },
  plan: readonly Replay[],
): Promise<EarlierAnswers> {
  const sends = plan.filter((it) => it.kind === "send");
  const answers = new Map<Replay, Reply>();
  let oldest: Date | null = null;
  const reader = await log.openReader();
  try {
    for (const [partition, here] of byPartition(sends)) {
      let isFirst = true;
      for await (const { records } of scan({
        reader,
        of: { topic: topics.replies.name, partition },
      })) {
        const [first] = records;
        if (isFirst && first !== undefined) {
          isFirst = false;
          const time = new Date(first.timestamp);
          if (first.offset > 0n && (oldest === null || time > oldest)) oldest = time;
        }
        for (const { key, value } of records) {
          const asked =
            key === null || value === null ? [] : (here.get(key.toString("utf8")) ?? []);
          if (asked.length === 0 || value === null) continue;
          await codec.learn([value], new AbortController().signal);
          const reply = codec.decode(topics.replies, value).data as unknown as Reply;
          for (const it of asked) {
            if (reply.outcome !== "failed" && reply.aggregateId === it.aggregateId)
              answers.set(it, reply);
          }
        }
      }
    }
  } finally {
    await reader.close();
  }
  return { answers, oldest };
}

/** Partition → old command id → the replays with it. */
function byPartition(
  sends: readonly Send[],
): ReadonlyMap<number, ReadonlyMap<string, readonly Send[]>> {
  const partitions = new Map<number, Map<string, Send[]>>();
  for (const send of sends) {
    const ids = partitions.get(send.record.partition) ?? new Map<string, Send[]>();
    partitions.set(send.record.partition, ids);
    ids.set(send.oldId, [...(ids.get(send.oldId) ?? []), send]);
  }
  return partitions;
}
