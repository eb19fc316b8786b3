/** Which faults have hit what: pairs of a fault and what the one that it hit was doing. */
export class Hits {
  readonly counts = new Map<string, number>();

  add(fault: string, state: string, times = 1): void {
    const pair = `${fault} × ${state}`;
    this.counts.set(pair, (this.counts.get(pair) ?? 0) + times);
  }

  merge(counts: Iterable<readonly [pair: string, times: number]>): void {
    for (const [pair, times] of counts) {
      this.counts.set(pair, (this.counts.get(pair) ?? 0) + times);
    }
  }

  /** How often each fault has hit anything. */
  byFault(): ReadonlyMap<string, number> {
    const faults = new Map<string, number>();
    for (const [pair, times] of this.counts) {
      const [fault = ""] = pair.split(" × ");
      faults.set(fault, (faults.get(fault) ?? 0) + times);
    }
    return faults;
  }

  /** The pairs that should be possible and were never met. */
  never(): readonly string[] {
    return possible().filter((pair) => !this.counts.has(pair));
  }
}

/** Faults of the network hit a request of some kind. */
const hows = ["lose-request", "lose-answer", "stall", "cut", "delay"];
const requests = [
  "InitProducerId",
  "AddPartitionsToTxn",
  "Produce",
  "AddOffsetsToTxn",
  "TxnOffsetCommit",
  "EndTxn",
  "Fetch",
  "ListOffsets",
  "OffsetFetch",
  "Heartbeat",
  "JoinGroup",
  "checkpoint",
  "commit",
];
/** Those that a leader or coordinator can refuse for now. */
const refused = requests.slice(0, 6);
/** Faults of a process hit it while it waits for something, or in a phase of a partition's life. */
const blows = ["kill", "pause", "terminate", "lose-partition"];
const phases = ["opening", "restoring", "working", "projecting"];
const points = [
  "before:open-writer",
  "after:open-writer",
  "after:restore",
  "before:transaction",
  "after:produce",
  "after:send-offsets",
  "before:end-transaction",
  "after:end-transaction",
  "before:store",
  "after:store",
  "before:view-commit",
  "after:view-commit",
];
/** What happens around the processes, by the phase of a partition that it happens to. */
const events = [
  "compact",
  "idle",
  "hang-transaction",
  "delete-store",
  "restore-old-store",
  "swap-stores",
  "delete-group",
  "reset-group",
  "fail-over-postgres",
];

function possible(): readonly string[] {
  const pairs = (faults: readonly string[], states: readonly string[]) =>
    faults.flatMap((fault) => states.map((state) => `${fault} × ${state}`));
  return [
    ...pairs(hows, requests),
    ...pairs(["refuse"], refused),
    ...pairs(blows, [...phases, ...requests.filter((it) => it !== "JoinGroup")]),
    ...pairs(["fail"], points),
    ...events.map((event) => `${event} × bank`),
  ];
}
