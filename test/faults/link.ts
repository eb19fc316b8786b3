import { connect, createServer, type Socket } from "node:net";

/** What a client asks, whole, as it goes to the server. */
export interface Request {
  /** Its answer carries the same; unlike that of every other request of the connection that is under way. */
  readonly id: number;
  /** What it asks for, in the protocol's own words: "EndTxn", "COMMIT", "GET". */
  readonly name: string;
  readonly bytes: Buffer;
}

/** A part of an answer, or all of it. */
export interface Answer {
  /** The request's. */
  readonly id: number;
  readonly bytes: Buffer;
}

/** One connection, as its protocol has it: where requests and answers begin and end. */
export interface Dialogue {
  /** What is complete by this; a second part of one request carries the same id. */
  readonly requests: (data: Buffer) => readonly Request[];
  readonly answers: (data: Buffer) => readonly Answer[];
}

/** What becomes of a request that does not simply pass. */
export type Fate =
  /** The connection is cut; nothing of it has passed. */
  | { readonly does: "lose-request" }
  /** The connection is cut when half of it has passed. */
  | { readonly does: "cut" }
  /** It passes, and the connection is cut when the answer comes. */
  | { readonly does: "lose-answer" }
  /** It passes, and the connection is cut when half of the answer has come. */
  | { readonly does: "halve-answer" }
  /** It passes, and nothing is heard of it; the connection stays. */
  | { readonly does: "swallow-answer" }
  /** It is held, with all that follow on the connection, and passes even where its client has gone. */
  | { readonly does: "stall"; readonly until: () => Promise<unknown> }
  /** It is held likewise, and the client is cut off at once. */
  | { readonly does: "strand"; readonly until: () => Promise<unknown> }
  /** It passes; its answer comes so much later. Others pass meanwhile, in their order. */
  | { readonly does: "delay"; readonly until: () => Promise<unknown> }
  /** It is held until this settles, then dropped with the connection. */
  | { readonly does: "drop-request"; readonly until: () => Promise<unknown> }
  /** It passes; its answer is held until this settles, then dropped with the connection. */
  | { readonly does: "drop-answer"; readonly until: () => Promise<unknown> };

export interface LinkOptions {
  readonly listen: { readonly host: string; readonly port: number };
  readonly to: { readonly host: string; readonly port: number };
  readonly dialogue: () => Dialogue;
  /** Asked about each request when it has come; `null` lets it pass. */
  readonly fateOf: (request: Request) => Fate | null;
  /** Told of the first part of each answer, whether or not the client hears of it. */
  readonly onAnswer?: (name: string) => void;
}

/** A TCP proxy that knows where requests begin and end, and so can lose exactly one of them. */
export interface Link {
  readonly port: number;
  /**
   * From now on the connections that there are pass nothing on, nor are they cut: as where a host has
   * vanished. New ones work.
   */
  freeze(): void;
  /** Ends every connection that there is, as a server does with idle ones. */
  hangUp(): void;
  /** How many connections clients have open. */
  connections(): number;
  close(): Promise<void>;
}

export async function startLink(options: LinkOptions): Promise<Link> {
  const open = new Set<Socket>();
  const clients = new Set<Socket>();
  const server = createServer({ noDelay: true }, (client) => {
    const served = connect({ ...options.to, noDelay: true });
    clients.add(client);
    for (const socket of [client, served]) {
      open.add(socket);
      socket.on("close", () => open.delete(socket));
    }
    client.on("close", () => clients.delete(client));
    join(client, served, options);
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(options.listen.port, options.listen.host, resolve);
  });
  const address = server.address();
  return {
    port: address !== null && typeof address === "object" ? address.port : options.listen.port,
    freeze: () => {
      for (const socket of open) socket.removeAllListeners("data").resume(); // What comes is dropped.
    },
    hangUp: () => {
      for (const socket of clients) socket.end();
    },
    connections: () => clients.size,
    close: async () => {
      for (const socket of open) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Passes on what goes between the two, each request by its fate. */
function join(client: Socket, served: Socket, options: LinkOptions): void {
  const { requests, answers } = options.dialogue();
  const asked = new Map<number, { readonly name: string; readonly fate: Fate | null }>();
  const lanes = { toServer: new Lane(client, served), toClient: new Lane(served, client) };
  const cut = () => {
    client.destroy();
    served.destroy();
  };
  let heard: number | null = null;

  const ask = (request: Request) => {
    if (served.destroyed || served.writableEnded) return;
    if (asked.has(request.id)) {
      lanes.toServer.send(request.bytes); // More of one whose fate is known.
      return;
    }
    const fate = options.fateOf(request);
    asked.set(request.id, { name: request.name, fate });
    passRequest(request, fate, { client, served, toServer: lanes.toServer, cut });
  };
  const answer = ({ id, bytes }: Answer) => {
    const request = asked.get(id);
    const fate = request?.fate ?? null;
    if (heard !== id) {
      // Of one connection, answers come one after the other.
      if (heard !== null) asked.delete(heard);
      heard = id;
      if (request !== undefined) options.onAnswer?.(request.name);
      if (fate?.does === "delay") lanes.toClient.hold(fate.until());
      if (fate?.does === "drop-answer") lanes.toClient.hold(fate.until().finally(cut));
    }
    if (fate?.does === "lose-answer") cut();
    else if (fate?.does === "halve-answer") {
      lanes.toClient.send(bytes.subarray(0, bytes.length >> 1));
      lanes.toClient.do(() => {
        client.destroySoon();
        served.destroy();
      });
    } else if (fate?.does !== "swallow-answer") lanes.toClient.send(bytes);
  };

  client.on("error", cut);
  served.on("error", cut);
  client.on("data", (data) => {
    for (const request of requests(data)) ask(request);
  });
  served.on("data", (data) => {
    for (const part of answers(data)) answer(part);
  });
  // What the client sent before it went away still reaches the server, as on a real network.
  client.on("close", () => {
    lanes.toServer.do(() => served.end());
  });
  served.on("close", () => {
    lanes.toClient.do(() => {
      client.destroySoon();
    });
  });
}

function passRequest(
  { bytes }: Request,
  fate: Fate | null,
  ends: {
    readonly client: Socket;
    readonly served: Socket;
    readonly toServer: Lane;
    readonly cut: () => void;
  },
): void {
  const { client, served, toServer, cut } = ends;
  switch (fate?.does) {
    case "lose-request":
      cut();
      return;
    case "cut":
      toServer.send(bytes.subarray(0, bytes.length >> 1));
      toServer.do(() => {
        served.destroySoon(); // And so the client.
      });
      return;
    case "drop-request":
      toServer.hold(fate.until().finally(cut));
      return;
    case "stall":
      toServer.hold(fate.until());
      toServer.send(bytes);
      return;
    case "strand":
      toServer.hold(fate.until());
      toServer.send(bytes);
      client.destroy();
      return;
    case "delay":
    case "lose-answer":
    case "halve-answer":
    case "swallow-answer":
    case "drop-answer":
    case undefined:
      toServer.send(bytes);
  }
}

/** One direction of a connection: what is sent goes out in order, after everything that is held before it. */
class Lane {
  private readonly from: Socket;
  private readonly to: Socket;
  private held: Promise<unknown> | null = null;

  constructor(from: Socket, to: Socket) {
    this.from = from;
    this.to = to;
  }

  /** All that is sent from now on waits for this too. */
  hold(until: Promise<unknown>): void {
    const all = Promise.all([this.held, until]);
    this.held = all;
    void all.then(() => {
      if (this.held === all) this.held = null;
    });
  }

  send(bytes: Buffer): void {
    this.do(() => {
      this.write(bytes);
    });
  }

  /** Takes this step after everything before it. */
  do(step: () => void): void {
    if (this.held === null) step();
    else this.hold(this.held.then(step));
  }

  private write(bytes: Buffer): void {
    if (this.to.destroyed || this.to.writableEnded || this.to.write(bytes)) return;
    if (this.from.isPaused()) return;
    this.from.pause();
    this.to.once("drain", () => this.from.resume());
  }
}
