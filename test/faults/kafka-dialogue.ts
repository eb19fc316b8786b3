import { framesBy } from "./frames.ts";
import type { Dialogue } from "./link.ts";

/** The numbers of requests (KIP and version apart), as far as anybody here wants to tell them apart. */
export const apiKey = {
  Produce: 0,
  Fetch: 1,
  ListOffsets: 2,
  Metadata: 3,
  OffsetCommit: 8,
  OffsetFetch: 9,
  FindCoordinator: 10,
  JoinGroup: 11,
  Heartbeat: 12,
  LeaveGroup: 13,
  SyncGroup: 14,
  ApiVersions: 18,
  InitProducerId: 22,
  AddPartitionsToTxn: 24,
  AddOffsetsToTxn: 25,
  EndTxn: 26,
  TxnOffsetCommit: 28,
} as const;

export type ApiName = keyof typeof apiKey;

const nameOf = new Map<number, string>(Object.entries(apiKey).map(([name, key]) => [key, name]));

/**
 * As much of the Kafka protocol as faults need: the length, the API key and the correlation id of a request. It
 * works for every client and version.
 */
export function kafkaDialogue(): Dialogue {
  const asked = framesBy(4, lengthOf);
  const answered = framesBy(4, lengthOf);
  return {
    requests: (data) =>
      asked(data).map((bytes) => ({
        id: bytes.readInt32BE(8),
        name: nameOf.get(bytes.readInt16BE(4)) ?? `api ${bytes.readInt16BE(4)}`,
        bytes,
      })),
    answers: (data) => answered(data).map((bytes) => ({ id: bytes.readInt32BE(4), bytes })),
  };
}

function lengthOf(head: Buffer): number {
  return 4 + head.readInt32BE(0);
}
