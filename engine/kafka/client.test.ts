import { once } from "node:events";
import { createServer, type AddressInfo, type Socket } from "node:net";
import { expect, test } from "vitest";
import { createCluster } from "./kafkajs.ts";

test("a connection that is gone takes nothing more in, however often it is given up", async () => {
  const server = createServer((socket) => socket.destroy()).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const opened: Socket[] = [];
  const config = { brokers: [`127.0.0.1:${port}`], clientId: "test", tls: null, sasl: null };
  const cluster = createCluster(config, (create) => {
    const socket = create();
    opened.push(socket);
    return socket;
  });
  await expect(cluster.connect()).rejects.toThrow();
  const [socket] = opened;
  if (socket === undefined) throw new Error("Nothing was opened");
  if (!socket.closed) await once(socket, "close");
  for (let i = 0; i < 20; i++) socket.unref();
  expect(socket.listenerCount("connect")).toBeLessThanOrEqual(1);
  server.close();
});
