import { WriterLostError } from "../engine/errors.ts";
import { type Cluster, MemoryLog } from "../engine/testing/memory-log.ts";
import type { Network } from "../engine/testing/network.ts";
import type { FaultyApi, Subject } from "./log-contract-subject.ts";
import { logContract } from "./log-contract.ts";

logContract("the log in memory", async () => openMemory(null));

/** As a simulation has it: markers come late and out of order, groups hear of themselves by heartbeats. */
let markers = 0;
const cluster: Cluster = {
  transactions: { markerMs: () => (markers++ * 7) % 20, transactionTimeoutMs: 300 },
  groups: { sessionTimeoutMs: 5_000, heartbeatMs: 20 },
  brokerOf: (name) => name.length % 3,
};
logContract("a cluster in memory", async () => openMemory(cluster));

function openMemory(of: Cluster | null): Subject {
  const faults: {
    api: FaultyApi;
    loses: "request" | "answer";
    held?: (request: () => void) => void;
  }[] = [];
  const network: Network = async (call, handle) => {
    const index = faults.findIndex(({ api }) => api === call.api);
    const [fault] = index < 0 ? [] : faults.splice(index, 1);
    if (fault === undefined) return handle();
    const request = () => {
      try {
        handle();
      } catch {
        // The answer was an error, and is lost like any other.
      }
    };
    if (fault.held) fault.held(request);
    else if (fault.loses === "answer") request();
    throw new WriterLostError("indefinite", `${call.api}: no answer`);
  };
  const log = new MemoryLog({ network, ...(of && { cluster: of }) });
  return {
    log,
    loseRequest: (api) => faults.push({ api, loses: "request" }),
    loseAnswer: (api) => faults.push({ api, loses: "answer" }),
    delay: (api) => {
      let held = (): void => undefined;
      faults.push({ api, loses: "request", held: (request) => (held = request) });
      return async () => {
        held();
      };
    },
    endsTransactions: of !== null,
    compact: async (topicPartition) => {
      log.compact(topicPartition);
    },
    deleteBefore: async (topicPartition, offset) => {
      log.deleteBefore(topicPartition, offset);
    },
    compactedConfig: { "cleanup.policy": "compact" },
    close: () => log.close(),
  };
}
