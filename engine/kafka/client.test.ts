import { once } from "node:events";
import { createServer, type AddressInfo, type Socket } from "node:net";
import { expect, test } from "vitest";
import { KafkaClient } from "./client.ts";
import { createCluster } from "./kafkajs.ts";

test("a connection that is gone takes nothing more in, however often it is given up", async () => {
  const server = createServer((socket) => socket.destroy()).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const opened: Socket[] = [];
  const closed: Promise<unknown>[] = [];
  const config = { brokers: [`127.0.0.1:${port}`], clientId: "test", tls: null, sasl: null };
  const cluster = createCluster(config, (create) => {
    const socket = create();
    opened.push(socket);
    closed.push(once(socket, "close"));
    return socket;
  });
  await expect(cluster.connect()).rejects.toThrow();
  const [socket] = opened;
  if (socket === undefined) throw new Error("Nothing was opened");
  await Promise.all(closed);
  for (let i = 0; i < 20; i++) socket.unref();
  expect(socket.listenerCount("connect")).toBeLessThanOrEqual(1);
  server.close();
});

/** Less than a connection may take by itself. */
const soon = { timeout: 4_000 };

test(
  "who waits for a connection is told when the client is closed, and not left waiting",
  soon,
  async () => {
    const accepted: Socket[] = [];
    const server = createServer((socket) => accepted.push(socket)).listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    // A server that never greets: TCP is there, TLS never.
    const brokers = [`127.0.0.1:${port}`];
    const client = new KafkaClient({ brokers, clientId: "test", tls: {}, sasl: null });
    const asked = client.clusterId();
    await once(server, "connection");
    client.close();
    await expect(asked).rejects.toThrow("cut before it stood");
    for (const socket of accepted) socket.destroy();
    server.close();
  },
);

test("so is who waits for a host that does not take the connection", soon, async () => {
  const server = createServer((socket) => socket.destroy()).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const config = { brokers: [`127.0.0.1:${port}`], clientId: "test", tls: null, sasl: null };
  const cluster = createCluster(config, (create) => {
    const socket = create();
    process.nextTick(() => socket.destroy()); // Before anything of the network can have come.
    return socket;
  });
  await expect(cluster.connect()).rejects.toThrow("cut before it stood");
  server.close();
});
