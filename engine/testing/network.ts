/** A request to the broker, as a fault can tell it from others. */
export interface Call {
  readonly api:
    | "InitProducerId"
    | "AddPartitionsToTxn"
    | "Produce"
    | "TxnOffsetCommit"
    | "EndTxn"
    | "Fetch"
    | "ListOffsets"
    | "OffsetFetch"
    | "Heartbeat";
  /** The transactional id, where the caller has one. */
  readonly by: string | null;
}

/**
 * How a request travels. The network may take its time, lose the request (throw before `handle`), lose the
 * answer (throw after it), or deliver the request later than its caller waits.
 */
export type Network = <T>(call: Call, handle: () => T) => Promise<T>;
