import { WriterLostError } from "../engine/errors.ts";
import { MemoryLog } from "../engine/testing/memory-log.ts";
import type { Network } from "../engine/testing/network.ts";
import { type FaultyApi, logContract } from "./log-contract.ts";

logContract("the log in memory", async () => {
  const faults: { api: FaultyApi; loses: "request" | "answer" }[] = [];
  const network: Network = async (call, handle) => {
    const index = faults.findIndex(({ api }) => api === call.api);
    const [fault] = index < 0 ? [] : faults.splice(index, 1);
    if (fault?.loses !== "request") {
      const answer = handle();
      if (!fault) return answer;
    }
    throw new WriterLostError("indefinite", `${call.api}: no answer`);
  };
  const log = new MemoryLog({ network });
  return {
    log,
    loseRequest: (api) => faults.push({ api, loses: "request" }),
    loseAnswer: (api) => faults.push({ api, loses: "answer" }),
    compact: async (of) => {
      log.compact(of);
    },
    deleteBefore: async (of, offset) => {
      log.deleteBefore(of, offset);
    },
    compactedConfig: { "cleanup.policy": "compact" },
    close: () => log.close(),
  };
});
