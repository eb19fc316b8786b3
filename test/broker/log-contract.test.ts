import { afterAll, beforeAll, inject } from "vitest";
import { kafkaLog } from "../../engine/kafka/kafka-log.ts";
import type { Log, TopicPartition } from "../../engine/log.ts";
import { type KafkaProxy, startKafkaProxy } from "../faults/kafka-proxy.ts";
import { logContract } from "../log-contract.ts";
import { until } from "../until.ts";
import { deleteRecords } from "./admin.ts";

const { boundPort, advertisedPort } = inject("kafkaProxied");
let proxy: KafkaProxy;

beforeAll(async () => {
  proxy = await startKafkaProxy(advertisedPort, boundPort);
});
afterAll(async () => {
  await proxy.close();
});

logContract("Kafka", async () => {
  const log = kafkaLog({
    brokers: [`127.0.0.1:${proxy.port}`],
    clientId: "contract",
    tls: null,
    sasl: null,
  });
  return {
    log,
    loseRequest: (api) => {
      proxy.inject({ api, does: "lose-request" });
    },
    loseAnswer: (api) => {
      proxy.inject({ api, does: "lose-answer" });
    },
    delay: (api) => {
      const delivery = Promise.withResolvers<undefined>();
      proxy.inject({ api, does: "strand", until: delivery.promise });
      return async () => {
        const before = proxy.answered(api);
        delivery.resolve(undefined);
        await until(`the late ${api} to be handled`, () => proxy.answered(api) > before);
      };
    },
    endsTransactions: true,
    compact: (of) => compact(log, of),
    deleteBefore: deleteRecords,
    compactedConfig: {
      "cleanup.policy": "compact",
      "segment.ms": "200",
      "min.cleanable.dirty.ratio": "0.001",
      "max.compaction.lag.ms": "200",
      "delete.retention.ms": "100",
    },
    close: () => log.close(),
  };
});

/** The cleaner leaves the newest segment alone: write on, so that new ones begin, until it has been there. */
async function compact(log: Log, of: TopicPartition): Promise<void> {
  const signal = new AbortController().signal;
  const reader = await log.openReader();
  const producer = await log.openProducer();
  let fillers = 0;
  await until("the cleaner to pass", async () => {
    const value = Buffer.from("filler");
    const key = `filler-${fillers++}`;
    await producer.send([{ ...of, key, value, headers: [], timestamp: Date.now() }]);
    const { start, end } = await reader.offsets(of, signal);
    const keys: string[] = [];
    for (let offset = start; offset < end;) {
      const limits = { maxBytes: 1 << 20, maxWaitMs: 100 };
      const slice = await reader.read({ ...of, offset }, limits, signal);
      keys.push(
        ...slice.records.map((it) => String(it.key)).filter((it) => !it.startsWith("filler")),
      );
      offset = slice.next;
    }
    return new Set(keys).size === keys.length;
  });
  await producer.close();
  await reader.close();
}
