/** A request to the broker, as a fault can tell it from others. */
export interface Call {
  readonly api:
    | "InitProducerId"
    | "AddPartitionsToTxn"
    | "Produce"
    | "AddOffsetsToTxn"
    | "TxnOffsetCommit"
    | "EndTxn"
    | "Fetch"
    | "ListOffsets"
    | "OffsetFetch"
    | "JoinGroup"
    | "LeaveGroup"
    | "Heartbeat";
  /** The transactional id, where the caller has one. */
  readonly by: string | null;
  /** The broker that is asked: the partition's leader, or the coordinator; see `Cluster.brokerOf`. */
  readonly broker: number;
}

/**
 * How a request travels. The network may take its time, lose the request (throw before `handle`), lose the
 * answer (throw after it), or deliver the request later than its caller waits.
 */
export type Network = <T>(call: Call, handle: () => T) => Promise<T>;

/**
 * An answer that says that the request has had no effect, and why it should be made again:
 * CONCURRENT_TRANSACTIONS, NOT_LEADER_OR_FOLLOWER and their like.
 */
export class NotNow extends Error {
  override readonly name = "NotNow";
}
