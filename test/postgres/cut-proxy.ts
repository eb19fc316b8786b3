import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";

/**
 * What becomes of a COMMIT: it passes, its answer is lost with the connection, or nothing is heard of it; or of a BEGIN:
 * it is refused, and what was sent with it is not.
 */
export type CommitFate = "passes" | "answer lost" | "silence" | "begin refused";

export interface CutProxy {
  /** The URL, by way of the proxy. */
  readonly url: string;
  fate: CommitFate;
  close(): Promise<void>;
}

/** Stands between a client and Postgres and may cut them off right after a COMMIT went through. */
export async function cutProxy(url: string): Promise<CutProxy> {
  const target = new URL(url);
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const upstream = connect(Number(target.port), target.hostname);
    let silent = false;
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on("error", () => undefined); // Being cut is what it is for.
      socket.on("close", () => {
        client.destroy();
        upstream.destroy();
      });
    }
    client.on("data", (data) => {
      const isCut = proxy.fate === "answer lost" || proxy.fate === "silence";
      if (isCut && data.includes("commit\0")) silent = true;
      const begin = data.indexOf("begin isolation");
      if (proxy.fate === "begin refused" && begin !== -1) data.write("bogus", begin);
      upstream.write(data);
    });
    upstream.on("data", (data) => {
      if (!silent) client.write(data);
      else if (proxy.fate === "answer lost") client.destroy(); // The answer is there: it was carried out.
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");

  const address = server.address();
  const through = new URL(url);
  if (address !== null && typeof address === "object") through.port = String(address.port);
  const proxy: CutProxy = {
    url: through.href,
    fate: "passes",
    async close() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
  return proxy;
}
