import type { AddressInfo } from "node:net";
import { client } from "../../engine/client/client.ts";
import { overHttp } from "../../engine/client/over-http.ts";
import { overLog } from "../../engine/client/over-kafka.ts";
import type { Transport } from "../../engine/client/transport.ts";
import { systemClock } from "../../engine/clock.ts";
import { commandRoutes } from "../../engine/gateway/commands.ts";
import { Problem } from "../../engine/gateway/problem.ts";
import { openServer } from "../../engine/gateway/server.ts";
import { openSubmitter } from "../../engine/gateway/submitter.ts";
import type { LogRecord } from "../../engine/log.ts";
import { MemoryLog } from "../../engine/testing/memory-log.ts";
import { MemoryStoreFiles } from "../../engine/testing/memory-store.ts";
import type { Network } from "../../engine/testing/network.ts";
import type { AccountRejection } from "../../processors/aggregates/account.ts";
import { accountClient } from "../../schemas/client.ts";
import {
  accountDecider,
  bankCodec,
  bankTopics,
  createTopics,
  processPartition,
  type RunningPartition,
} from "../bank.ts";

/** The bank on a log in memory, and a client of it, over a socket or straight to the log. */
export interface MemoryBank {
  /** Starts the command processors; until then nothing is answered. */
  start(): void;
  readonly transport: Transport;
  events(): readonly LogRecord[];
  commands(): readonly LogRecord[];
  /** What the server took for faults of its own. */
  readonly faults: readonly unknown[];
  close(): Promise<void>;
}

const direct: Network = async (_, handle) => handle();

export async function memoryBank(
  over: "HTTP" | "Kafka",
  network: Network = direct,
): Promise<MemoryBank> {
  const log = new MemoryLog();
  const topics = bankTopics("test", 2);
  await createTopics(log, topics);
  const codec = await bankCodec(topics, systemClock);
  const faults: unknown[] = [];
  const onFault = (error: unknown) => {
    faults.push(error);
  };
  const api = { aggregates: [{ topics, decider: accountDecider }], projections: [] };
  const parts = { log: log.via(network), codec, api, era: 1, onFault };
  const transport = await (over === "HTTP"
    ? listening(parts)
    : overLog({ ...parts, databaseUrl: null }));
  let running: RunningPartition[] = [];
  const all = (topic: string) => [0, 1].flatMap((partition) => log.committed({ topic, partition }));
  return {
    transport,
    faults,
    start() {
      const { open: openStore } = new MemoryStoreFiles();
      running = [0, 1].map((partition) =>
        processPartition({ log, topics, codec, clock: systemClock, openStore }, partition),
      );
    },
    events: () => all(topics.events.name),
    commands: () => all(topics.commands.name),
    async close() {
      await transport.close();
      for (const partition of running) await partition.stop();
    },
  };
}

type Parts = Omit<Parameters<typeof overLog>[0], "databaseUrl">;

/** By a server's socket. */
async function listening({ log, codec, api, era, onFault }: Parts): Promise<Transport> {
  const aggregates = api.aggregates.map(({ topics }) => topics);
  const submitter = await openSubmitter({ log, codec, aggregates, onTrouble: () => undefined });
  const app = openServer({ answered: () => undefined, fault: (error) => onFault?.(error) });
  const stopping = new AbortController();
  commandRoutes(app, {
    api: { title: "the bank", version: "0", ...api },
    codec,
    clock: systemClock,
    era,
    submitter: () => submitter,
    stopping: stopping.signal,
  });
  app.get("/commands/:id", () => {
    throw new Problem("VIEWS_UNAVAILABLE", { detail: "There is no database.", retryAfter: 1 });
  });
  await app.listen({ host: "127.0.0.1", port: 0 });
  const { port } = app.server.address() as AddressInfo;
  const transport = overHttp(`http://127.0.0.1:${port}/`);
  return {
    ...transport,
    async close() {
      stopping.abort();
      await app.close();
      await submitter.close();
    },
  };
}

/** The client of the bank as an application declares it. */
export function bankOver(transport: Transport) {
  return client(transport, { aggregates: { account: accountClient<AccountRejection> } });
}
