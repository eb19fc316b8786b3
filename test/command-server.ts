import { once } from "node:events";
import { type IncomingMessage, request } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { expect } from "vitest";
import { systemClock } from "../engine/clock.ts";
import type { Codec } from "../engine/codec.ts";
import { commandRoutes } from "../engine/gateway/commands.ts";
import { openServer } from "../engine/gateway/server.ts";
import { openSubmitter, type Submitter } from "../engine/gateway/submitter.ts";
import type { LogRecord } from "../engine/log.ts";
import { MemoryLog } from "../engine/testing/memory-log.ts";
import { MemoryStoreFiles } from "../engine/testing/memory-store.ts";
import type { AggregateTopics } from "../engine/topic.ts";
import {
  accountDecider,
  bankCodec,
  bankTopics,
  createTopics,
  processPartition,
  type RunningPartition,
} from "./bank.ts";

/** The gateway's command routes on a socket, over a log in memory. */
export interface CommandServer {
  readonly log: MemoryLog;
  readonly topics: AggregateTopics;
  readonly codec: Codec;
  /** `null` makes it a server that is not ready yet. */
  submitter: Submitter | null;
  /** Stops it as a signal does. */
  readonly stopping: AbortController;
  /** Starts the worker that decides. */
  startBank(): void;
  /** What is in the commands topic. */
  sent(): readonly LogRecord[];
  post(type: string, posting: Posting): Promise<Answer>;
  ask(method: string, path: string, asked?: Asked): Promise<Answer>;
  /** Fails where the server took something for a fault of its own. */
  close(): Promise<void>;
}

export interface Posting {
  readonly body: unknown;
  readonly headers?: Asked["headers"];
  readonly query?: string;
}

export interface Asked {
  readonly headers?: Readonly<Record<string, string | string[]>>;
  readonly payload?: string;
}

export interface Answer {
  readonly statusCode: number | undefined;
  readonly headers: IncomingMessage["headers"];
  readonly json: Readonly<Record<string, unknown>>;
}

/** `over` is how the server reaches the log. */
export async function serveCommands(
  over: (log: MemoryLog) => MemoryLog = (log) => log,
): Promise<CommandServer> {
  const log = new MemoryLog();
  const topics = bankTopics("test", 2);
  await createTopics(log, topics);
  const codec = await bankCodec(topics, systemClock);
  const faults: unknown[] = [];
  const stopping = new AbortController();
  let running: RunningPartition[] = [];
  const opened = await openSubmitter({
    ...{ log: over(log), codec, aggregates: [topics] },
    onTrouble: () => undefined,
  });
  const app = openServer({
    answered: () => undefined,
    fault: (error) => faults.push(error),
  });
  const api = {
    title: "the bank",
    version: "0",
    aggregates: [{ topics, decider: accountDecider }],
    projections: [],
  };
  const server: CommandServer = {
    log,
    topics,
    codec,
    submitter: opened,
    stopping,
    startBank() {
      const { open: openStore } = new MemoryStoreFiles();
      const bank = { log, topics, codec, clock: systemClock, openStore };
      running = [0, 1].map((partition) => processPartition(bank, partition));
    },
    sent: () =>
      [0, 1].flatMap((partition) => log.committed({ topic: topics.commands.name, partition })),
    post: async (type, { body, headers = {}, query = "" }) =>
      server.ask("POST", `/commands/${type}${query}`, {
        headers: { "content-type": "application/json", ...headers },
        payload: typeof body === "string" ? body : JSON.stringify(body),
      }),
    ask: async (method, path, asked) => {
      const { port } = app.server.address() as AddressInfo;
      return askAt(port, { method, path, ...asked });
    },
    async close() {
      await app.close();
      await opened.close();
      for (const partition of running) await partition.stop();
      expect(faults).toEqual([]);
    },
  };
  commandRoutes(app, {
    ...{ api, codec, clock: systemClock, era: 1 },
    submitter: () => server.submitter,
    stopping: stopping.signal,
  });
  await app.listen({ host: "127.0.0.1", port: 0 });
  return server;
}

/** By a client that sends headers just as they are given. */
async function askAt(
  port: number,
  { payload = "", ...asked }: Asked & { readonly method: string; readonly path: string },
): Promise<Answer> {
  const outgoing = request({ host: "127.0.0.1", port, agent: false, ...asked });
  outgoing.end(Buffer.from(payload, "utf8")); // Bytes: text would drag the headers into UTF-8.
  const [response] = (await once(outgoing, "response")) as [IncomingMessage];
  const { statusCode, headers } = response;
  return { statusCode, headers, json: JSON.parse(await text(response)) as Answer["json"] };
}
