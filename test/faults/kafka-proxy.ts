import { connect, createServer, type Server, type Socket } from "node:net";

/**
 * A TCP proxy that knows as much of the Kafka protocol as faults need: the length, the API key and the
 * correlation id of a request. It works for every client and version.
 */

export const apiKey = {
  Produce: 0,
  Fetch: 1,
  ListOffsets: 2,
  Metadata: 3,
  OffsetFetch: 9,
  FindCoordinator: 10,
  JoinGroup: 11,
  Heartbeat: 12,
  InitProducerId: 22,
  AddPartitionsToTxn: 24,
  AddOffsetsToTxn: 25,
  EndTxn: 26,
  TxnOffsetCommit: 28,
} as const;

export type ApiName = keyof typeof apiKey;

export interface Fault {
  readonly api: ApiName;
  /**
   * `lose-request`: cut the connection instead of passing the request on. `lose-answer`: pass it on, and
   * cut the connection when the answer comes. `swallow-answer`: pass it on and never answer, the
   * connection staying up. `stall`: hold the request, and all that follow on the connection, `until`
   * then. `strand`: hold it likewise, and cut the client off at once.
   */
  readonly does: "lose-request" | "lose-answer" | "swallow-answer" | "stall" | "strand";
  readonly until?: Promise<unknown>;
}

export interface KafkaProxy {
  readonly port: number;
  /** Applies to the next request of that API; several faults apply to as many requests, in order. */
  inject(fault: Fault): void;
  /**
   * From now on the connections that there are pass nothing on, nor are they cut: as where a host has
   * vanished. New ones work.
   */
  freeze(): void;
  /** Ends every connection that there is, as a broker does with idle ones. */
  hangUp(): void;
  /** How many connections clients have open. */
  connections(): number;
  /** Forgets the faults that have hit nothing yet. */
  heal(): void;
  /** How many requests of that API have passed or been hit. */
  seen(api: ApiName): number;
  /** How many requests of that API the broker has answered, whether or not the client heard of it. */
  answered(api: ApiName): number;
  close(): Promise<void>;
}

export async function startKafkaProxy(listenPort: number, brokerPort: number): Promise<KafkaProxy> {
  const faults: Fault[] = [];
  const seen = new Counts();
  const answered = new Counts();
  const open = new Set<Socket>();
  const clients = new Set<Socket>();

  const server: Server = createServer((client) => {
    clients.add(client);
    client.on("close", () => clients.delete(client));
    const broker = connect(brokerPort, "127.0.0.1");
    const asked = new Map<number, { readonly key: number; readonly fate: Fault["does"] | null }>();
    let order: Promise<void> = Promise.resolve();
    const cut = () => {
      client.destroy();
      broker.destroy();
    };
    for (const socket of [client, broker]) {
      open.add(socket);
      socket.setNoDelay(true);
      socket.on("error", cut);
      socket.on("close", () => {
        open.delete(socket);
        // What the client sent before it went away still reaches the broker, as on a real network.
        if (socket === client) void order.then(() => broker.end());
        else client.destroy();
      });
    }
    const onRequests = frames((frame) => {
      const key = frame.readInt16BE(4);
      seen.add(key);
      const index = faults.findIndex(({ api }) => apiKey[api] === key);
      const [fault] = index < 0 ? [] : faults.splice(index, 1);
      if (fault?.does === "lose-request") {
        cut();
        return;
      }
      asked.set(frame.readInt32BE(8), { key, fate: fault?.does ?? null });
      order = order.then(async () => {
        await fault?.until;
        if (!broker.destroyed) broker.write(frame);
      });
      if (fault?.does === "strand") client.destroy();
    });
    const onAnswers = frames((frame) => {
      const request = asked.get(frame.readInt32BE(4));
      asked.delete(frame.readInt32BE(4));
      if (request) answered.add(request.key);
      if (request?.fate === "swallow-answer") return;
      if (request?.fate === "lose-answer") cut();
      else if (!client.destroyed) client.write(frame);
    });
    client.on("data", onRequests);
    broker.on("data", onAnswers);
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(listenPort, "127.0.0.1", resolve);
  });

  return {
    port: listenPort,
    inject: (fault) => {
      faults.push(fault);
    },
    freeze: () => {
      for (const socket of open) socket.removeAllListeners("data").resume(); // What comes is dropped.
    },
    hangUp: () => {
      for (const socket of clients) socket.end();
    },
    connections: () => clients.size,
    heal: () => {
      faults.length = 0;
    },
    seen: (api) => seen.of(apiKey[api]),
    answered: (api) => answered.of(apiKey[api]),
    close: async () => {
      for (const socket of open) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

class Counts {
  private readonly counts = new Map<number, number>();
  add(key: number): void {
    this.counts.set(key, this.of(key) + 1);
  }
  of(key: number): number {
    return this.counts.get(key) ?? 0;
  }
}

/** Cuts a stream of bytes into frames, each with its four bytes of length. */
function frames(onFrame: (frame: Buffer) => void): (data: Buffer) => void {
  let rest = Buffer.alloc(0);
  return (data) => {
    rest = Buffer.concat([rest, data]);
    while (rest.length >= 4 && rest.length >= 4 + rest.readInt32BE(0)) {
      const end = 4 + rest.readInt32BE(0);
      onFrame(Buffer.from(rest.subarray(0, end)));
      rest = rest.subarray(end);
    }
  };
}
